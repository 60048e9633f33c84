"""The README's Python blocks run, in their order, on a few examples."""

import pathlib
import re

import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.choices import FAMILIES

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


def few_examples(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    del split, batch_size, data_dir, drop_remainder
    rng = np.random.default_rng(seed)
    labels = {task.name: rng.integers(0, 10, 8) for task in mz.datasets.multi_digits.TASKS}
    images = rng.uniform(size=(8, 13, 13, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


def test_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mz.datasets.multi_digits, "load", few_examples)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(block, names)
    assert (tmp_path / "model.keras").is_file()
    assert (tmp_path / "exported" / "digits" / "2" / "saved_model.pb").is_file()
    assert set(names["model"].output) == {"kind", "price", "tags"}


def test_every_method_and_architecture_is_named():
    for family in (mz.aggregators, mz.balancers, mz.architectures):
        for name, member in vars(family).items():
            is_public = getattr(member, "__module__", "").startswith(family.__name__ + ".")
            if is_public and not member.__module__.endswith(".base"):
                assert re.search(rf"`{name}[`(]", README), f"Name `{name}` in the README's tables."


def test_every_dataset_is_named():
    for name in FAMILIES["dataset"].members():
        assert f"| `{name}` |" in README, f"Name `{name}` in the README's table."


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (pathlib.Path(__file__).parent.parent / target).exists(), target
