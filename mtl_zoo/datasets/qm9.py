"""Small organic molecules: 11 properties from quantum chemistry, of very different scales (QM9)."""

import csv
import re

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import mlp
from mtl_zoo.task import Task

HARTREE = 27.211386246  # eV
BOHR = 0.529177210903  # ångströms
CHARGES = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
MAX_ATOMS = 29
LEAST_DEVIATION = 0.05  # hartrees: the last eigenvalues are 0 but for a few molecules
CHUNK = 1_000  # molecules whose matrices are in memory at once
# Columns of the file, and what makes their numbers those in the units of `load`.
COLUMNS = {
    "mu": ("Dipole_debye", 1.0),
    "alpha": ("Polarizability_bohr3", 1.0),
    "homo": ("HOMO_au", HARTREE),
    "lumo": ("LUMO_au", HARTREE),
    "r2": ("R2_bohr2", 1.0),
    "zpve": ("ZPVE_au", HARTREE),
    "u0": ("InternalEnergy_0K_au", HARTREE),
    "u": ("InternalEnergy_298K_au", HARTREE),
    "h": ("Enthalphy_298K_au", HARTREE),
    "g": ("GibbsFreeEnergy_298K_au", HARTREE),
    "cv": ("Heatcapacity_Cv_cal_mol_K", 1.0),
}
# Of single atoms of H, C, N, O and F, in hartrees: what atomization energies are relative to.
ATOMS = {
    "u0": (-0.500273, -37.846772, -54.583861, -75.064579, -99.718730),
    "u": (-0.498857, -37.845355, -54.582445, -75.063163, -99.717314),
    "h": (-0.497912, -37.844411, -54.581501, -75.062219, -99.716370),
    "g": (-0.510927, -37.861317, -54.598897, -75.079532, -99.733544),
}
# Rounded means over all molecules, which labels are relative to.
MEANS = {
    **{"mu": 2.67, "alpha": 75.3, "homo": -6.54, "lumo": 0.322, "r2": 1189.0, "zpve": 4.06},
    **{"u0": -76.1, "u": -76.6, "h": -77.0, "g": -70.8, "cv": 31.6},
}
TASKS = tuple(Task.regression(name) for name in COLUMNS)
FIELD = "chemistry"
SIZES = {"train": 110_831, "validation": 10_000, "test": 10_000}
LICENSE = "MIT"
DOWNLOAD = "package qm9pack 1.0.3 (104 MB)"
SPLITS = {split: split for split in SIZES}
PACKAGE = ("qm9pack", "1.0.3")
FILES = (
    ("qm9pack/data/qm9_part1.csv", "19f0a5d595462d52cd82eef3370f3e9eb55a1f52cb14985657200349568deff3"),
    ("qm9pack/data/qm9_part2.csv", "2bca113fdc0b28a13563c80ed9b240e934f3da6c64c64fe74ddb4f0f36036e61"),
    ("qm9pack/data/qm9_part3.csv", "9c5efb5733d2af149db8d95d36ff198b4ffed12d9f7b344220a1e5877d5c6a43"),
)


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches, from package `qm9pack`; the arguments are in `mtl_zoo.datasets`.

    The first call computes the inputs and stores them in `data_dir`, which takes minutes.

    Returns:
        `tf.data.Dataset` of `(molecule, {"mu": value, ..., "cv": value})`: float32 `[batch, 34]`, the
        eigenvalues of the Coulomb matrix by falling magnitude, 0 where there are fewer than 29 atoms, and the
        numbers of H, C, N, O and F atoms, all standardized by mean and deviation of the training split (or
        by 0.05, if that is more); and float32 `[batch]`, a property less its rounded mean in `MEANS`:

        - `mu`, dipole moment, in debyes
        - `alpha`, isotropic polarizability, in cubic bohrs
        - `homo` and `lumo`, energies of the highest occupied and lowest free orbital, in eV
        - `r2`, electronic spatial extent, in square bohrs
        - `zpve`, zero-point vibrational energy, in eV
        - `u0`, `u`, `h` and `g`, atomization energies at 0 K and 298.15 K, enthalpy and free energy, in eV
        - `cv`, heat capacity at 298.15 K, in cal/(mol K)

        Deviations go from 0.6 (`homo`) to 280 (`r2`). Splits are at random.

    Raises:
        OSError: If the package is not installed, or `data_dir` cannot be written.

    Note:
        Papers on balancing divide labels by their deviations first (Navon et al., 2022); these are as they
        are, so that errors are in the units above. Errors of energies are often given in meV.

    Reference:
        [Ramakrishnan et al., 2014](https://doi.org/10.1038/sdata.2014.22),
        [Rupp et al., 2012](https://arxiv.org/abs/1109.2618),
        [Navon et al., 2022](https://arxiv.org/abs/2202.01017)
    """
    from mtl_zoo.datasets._qm9_builder import Qm9Properties

    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    examples = pipeline.read(Qm9Properties(data_dir=data_dir), SPLITS, split, seed)
    return pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder, SIZES["train"])


def __getattr__(name):
    """Return the TFDS builder `Qm9Properties`, imported when it is asked for."""
    if name != "Qm9Properties":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mtl_zoo.datasets._qm9_builder import Qm9Properties

    return Qm9Properties


def inputs():
    """Return a fresh input, `[batch, 34]`."""
    return keras.Input((MAX_ATOMS + len(CHARGES),), name="molecule")


def encoder():
    """Return stages that suit the molecules: three dense ones."""
    return mlp(256, 256, 128)


def read(path):
    """Read a file of molecules.

    Args:
        path: Path of a table with a header; lists are in brackets.

    Returns:
        Tuple of a float64 array `[molecules, 34]`, eigenvalues in hartrees and numbers of atoms, and a dict
        from the names of tasks to float64 arrays `[molecules]`, the properties in the units of `load`.
    """
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    counts = np.array([_numbers(row["Stoichiometry"]) for row in rows])
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    spectrum = np.concatenate([eigenvalues(*_atoms(chunk)) for chunk in chunks])
    labels = {name: _property(rows, counts, name) for name in COLUMNS}
    return np.concatenate([spectrum, counts], axis=1), labels


def eigenvalues(charges, places):
    """Return the eigenvalues of the Coulomb matrices of molecules, by falling magnitude.

    The matrix has `0.5 Z_i^2.4` on the diagonal and `Z_i Z_j / |R_i - R_j|` elsewhere.

    Args:
        charges: Array `[molecules, atoms]` of nuclear charges, 0 where there is no atom.
        places: Array `[molecules, atoms, 3]`, in ångströms.

    Returns:
        Array `[molecules, atoms]`, in hartrees; 0 for every atom that is not there.

    Example:

    >>> eigenvalues(np.array([[1, 1, 0]]), np.array([[[0, 0, 0], [0, 0, BOHR], [0, 0, 0]]]))
    array([[ 1.5, -0.5,  0. ]])
    """
    between = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1) / BOHR
    matrix = charges[:, :, None] * charges[:, None] / np.where(between > 0, between, 1.0)
    atoms = np.arange(charges.shape[1])
    matrix[:, atoms, atoms] = 0.5 * charges**2.4
    values = np.linalg.eigvalsh(matrix)
    return np.take_along_axis(values, np.argsort(-np.abs(values), axis=1), axis=1)


def _atoms(rows):
    """Return the charges and places of the atoms of molecules, 0 where there are fewer than 29."""
    charges, places = np.zeros((len(rows), MAX_ATOMS)), np.zeros((len(rows), MAX_ATOMS, 3))
    for row, charge, place in zip(rows, charges, places, strict=True):
        elements = re.findall("[A-Z]", row["Elements"])
        charge[: len(elements)] = [CHARGES[element] for element in elements]
        place[: len(elements)] = _numbers(row["XYZ_Ang"]).reshape(-1, 3)
    return charges, places


def _numbers(text):
    """Return the numbers of a list of lists, of which some are such as `0.`, unlike in JSON."""
    return np.array(text.replace("[", "").replace("]", "").split(","), "float64")


def _property(rows, counts, name):
    column, unit = COLUMNS[name]
    values = np.array([row[column] for row in rows], "float64")
    return unit * (values - counts @ np.array(ATOMS.get(name, (0.0,) * len(CHARGES))))


def _transform(features):
    properties = tf.unstack(features["properties"], axis=1)
    return features["molecule"], {task.name: x for task, x in zip(TASKS, properties, strict=True)}
