import numpy as np
import tensorflow_datasets as tfds

from mtl_zoo.datasets import celeb_a
from tests.datasets.harness import assert_in_unit_interval, check_dataset, examples, mock, only_batch


def test_contract_on_a_subset_of_the_tasks(no_network, tmp_path, capsys):
    with mock():
        x, _ = only_batch(celeb_a)
        assert x.shape == (4, 64, 64, 3)
        assert_in_unit_interval(x)
        check_dataset(celeb_a, tmp_path, capsys, tasks=["smiling", "young"])


def test_the_tasks_are_the_attributes_of_the_catalogue(tmp_path):
    attributes = tfds.builder("celeb_a", data_dir=tmp_path).info.features["attributes"]
    assert list(attributes) == list(celeb_a.ATTRIBUTES)
    assert [task.name for task in celeb_a.TASKS][::39] == ["five_o_clock_shadow", "young"]


def test_labels_are_those_of_their_attributes():
    values = np.random.default_rng(0).random((40, 4)) < 0.5
    attributes = dict(zip(celeb_a.ATTRIBUTES, values, strict=True))
    image = np.zeros((4, 218, 178, 3), "uint8")
    with mock(as_dataset_fn=examples({"image": image, "attributes": attributes})):
        _, labels = only_batch(celeb_a, "test")
    for name, row in zip(celeb_a.NAMES.values(), values, strict=True):
        np.testing.assert_array_equal(labels[name], row)
