"""Where things are: every failure prints what to write, and where."""

import ast
import graphlib
import importlib
import inspect
import itertools
import pathlib
import pkgutil
import subprocess
import sys

import keras
import pytest

import mtl_zoo

TESTS = pathlib.Path(__file__).parent
FAMILIES = ["aggregators", "architectures", "balancers", "encoders", "layers", "optimizers", "plots"]
WALK = [module for module in pkgutil.walk_packages(mtl_zoo.__path__, "mtl_zoo.") if "._" not in module.name]
MODULES = [module.name for module in WALK if not module.ispkg]
MEMBERS = [name for name in MODULES if name.split(".")[1] in FAMILIES]

FLOORS = (  # what stands on a floor imports from floors below and from its own, where no circle may be
    {
        "task",
        "task_config",
        "constructors",
        "conversion",
        "kinds",
        "losses",
        "outputs",
        "kind_metrics",
        "metrics",
        "class_weights",
        "items",
        "headlines",
        "label_counts",
        "spaces",
        "auxiliary",
        "metric_names",
        "arguments",
        "options",
        "extras",
        "program",
        "files",
        "validation",
        "_activations",
        "versions",
        "layers",
        "features",
        "graphs",
        "table_rows",
        "numerics",
        "plots",
    },
    {"heads", "encoders", "balancers", "aggregators", "introspection", "optimizers"},
    {"architectures", "datasets", "training"},
    {"callbacks", "exporting"},
    {"experiments"},
    {"evaluation", "relations", "transfer"},
    {"command_line"},
    {"__init__", "__main__"},
)
# What a file takes from a floor above, inside the one function that needs it: `Trainer.export`, as in Keras.
EXEMPT = {"training/wrapper.py": {"exporting"}}
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
ROOMS_OF_TENSORFLOW = {"table_rows", "optimizers", "training", "datasets", *itertools.chain(*FLOORS[3:])}
COSTLY = {
    "ai_edge_litert",
    "matplotlib",
    "moocore",
    "onnx",
    "onnxruntime",
    "pandas",
    "sklearn",
    "tensorflow_datasets",
    "tensorflow_serving",
    "tf2onnx",
}
MAX_NEW_MODULES = 20
IMPORT = """
import sys, tensorflow, keras
before = set(sys.modules)
import mtl_zoo
print(*sys.modules.keys() - before)
"""
TRAIN_WITHOUT = """
import sys, keras, numpy as np, tensorflow
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in [name for name in sys.modules if name.partition(".")[0] in sys.argv[2:]]:
    del sys.modules[name]
sys.meta_path.insert(0, Absent())
import mtl_zoo as mz
tasks = [mz.Task.classification("kind", 3), mz.Task.regression("size")]
model = mz.architectures.mmoe(keras.Input((4,)), tasks, mz.encoders.mlp(4))
trainer = mz.Trainer(model, tasks, mz.balancers.Uncertainty(), mz.aggregators.PCGrad())
trainer.compile("adam")
x = np.ones((8, 4), "float32")
trainer.fit(x, {"kind": np.zeros(8, "int32"), "size": x[:, :1]}, verbose=0)
assert trainer.predict(x, verbose=0)["kind"].shape == (8, 3)
model.save(sys.argv[1] + "/model.keras")
mz.exporting.saved_model(model, tasks, sys.argv[1] + "/export")
assert not set(sys.argv[2:]) & {name.partition(".")[0] for name in sys.modules}
"""
SOURCE = pathlib.Path(mtl_zoo.__file__).parent
FILES = [path.relative_to(SOURCE) for path in sorted(SOURCE.rglob("*.py"))]


def room_of(path):
    """Return the room of a file of the package, or the name of the module where it stands in none."""
    return path.parts[0].removesuffix(".py")


def imported(path):
    """Return what a file imports anywhere, as dotted names."""
    for node in ast.walk(ast.parse((SOURCE / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"Write imports of {path} in full."
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_below(path):
    """Return the other rooms that a file imports from."""
    names = [name.split(".") for name in imported(path)]
    rooms = {name[1] for name in names if name[0] == "mtl_zoo"} - {room_of(path)}
    return rooms - EXEMPT.get(path.as_posix(), set())


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_run_downwards(path):
    assert room_of(path) in HEIGHT, f"Give {room_of(path)} a place in FLOORS."
    above = {room for room in rooms_below(path) if HEIGHT[room] > HEIGHT[room_of(path)]}
    assert not above, f"Move what {path} takes from {', '.join(sorted(above))} to where both can reach it."


def test_no_rooms_import_one_another_in_a_circle():
    graph = {}
    for path in FILES:
        graph.setdefault(room_of(path), set()).update(rooms_below(path))
    graphlib.TopologicalSorter(graph).prepare()  # raises an error that names the circle


@pytest.mark.parametrize("path", FILES, ids=str)
def test_tensorflow_stays_in_its_rooms(path):
    if room_of(path) not in ROOMS_OF_TENSORFLOW:
        found = [name for name in imported(path) if name.split(".")[0] == "tensorflow"]
        assert not found, f"Use `keras` and `keras.ops` in {path}. Received: {', '.join(found)}"


def test_import_brings_little_beyond_tensorflow_and_keras():
    run = subprocess.run([sys.executable, "-c", IMPORT], cwd=TESTS.parent, stdout=subprocess.PIPE, check=True)
    tops = [name.split(".")[0] for name in run.stdout.decode().split()]
    assert "mtl_zoo" in tops
    costly = COSTLY & set(tops)
    assert not costly, f"Import {', '.join(costly)} inside the functions that need it."
    foreign = [top for top in tops if top != "mtl_zoo"]
    assert len(foreign) <= MAX_NEW_MODULES, f"Import what few need where it is used. Received: {foreign}"


def test_tensorflow_and_keras_are_enough_to_train_and_export(tmp_path):
    absent = sorted({*COSTLY, "tensorboard", "importlib_resources"})
    command = [sys.executable, "-c", TRAIN_WITHOUT, str(tmp_path), *absent]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "export" / "saved_model.pb").is_file()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_costly_packages_are_imported_where_they_are_used(path):
    if path.name.startswith("_") and path.name.endswith("_builder.py"):
        return  # is itself imported where data are loaded
    body = ast.parse((SOURCE / path).read_text()).body
    names = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in body if isinstance(node, ast.ImportFrom)}
    found = COSTLY & {name.split(".")[0] for name in names}
    assert not found, f"Import {', '.join(found)} inside the functions of {path} that need it."


def defined(name):
    """Return the public classes and functions that a module defines."""
    module = importlib.import_module(name)
    members = inspect.getmembers(module, lambda x: inspect.isclass(x) or inspect.isfunction(x))
    return {key: x for key, x in members if x.__module__ == name and not key.startswith("_")}


@pytest.mark.parametrize("name", MEMBERS)
def test_the_idea_of_a_module_is_exported_by_its_family(name):
    family, stem = name.rsplit(".", 1)
    wanted = family.split(".")[1][:-1] if stem == "base" else stem.replace("_", "")
    found = [key for key in defined(name) if key == stem or key.lower().replace("_", "") == wanted]
    found.sort(key=lambda key: key != stem)
    assert found, f"Define in {name} a class or a function whose name is that of the module."
    line = f"from {name} import {found[0]} as {found[0]}"
    exports = pathlib.Path(importlib.import_module(family).__file__)
    assert line in exports.read_text().splitlines(), f"Add to {exports}: {line}"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_a_test(name):
    *folders, stem = name.split(".")[1:]
    path = TESTS.joinpath(*folders, f"test_{stem}.py")
    assert path.exists(), f"Write {path}"


@pytest.mark.parametrize("name", [module.name for module in WALK])
def test_all_that_is_public_has_a_docstring(name):
    assert importlib.import_module(name).__doc__, f"Write a docstring for {name}."
    for key, member in defined(name).items():
        assert member.__doc__, f"Write a docstring for {name}.{key}."


@pytest.mark.parametrize("name", MEMBERS)
def test_layers_and_methods_are_registered(name):
    if not name.endswith(".base"):
        for key, member in defined(name).items():
            if inspect.isclass(member) and issubclass(member, keras.layers.Layer):
                decorator = '@keras.saving.register_keras_serializable("mtl_zoo")'
                registered = keras.saving.get_registered_name(member)
                assert registered == f"mtl_zoo>{key}", f"Decorate {name}.{key} with {decorator}"


def test_requirements_are_those_of_the_package_and_its_extras():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")
    root = TESTS.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    lines = (root / "requirements.txt").read_text().splitlines()
    assert sorted(line for line in lines if not line.startswith("#")) == sorted(wanted)
