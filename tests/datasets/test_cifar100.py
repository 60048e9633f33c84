import numpy as np

from mtl_zoo.datasets import cifar100
from tests.datasets.harness import assert_in_unit_interval, check_dataset, examples, mock, only_batch


def test_contract(no_network, tmp_path, capsys):
    with mock():
        check_dataset(cifar100, tmp_path, capsys)


def test_values():
    image = np.arange(4 * 32 * 32 * 3).reshape((4, 32, 32, 3)).astype("uint8")
    features = {"image": image, "label": np.array([99, 0, 1, 2]), "coarse_label": np.array([19, 5, 6, 7])}
    with mock(as_dataset_fn=examples(features)):
        x, labels = only_batch(cifar100, "test")
    assert_in_unit_interval(x)
    np.testing.assert_allclose(x, image / 255, atol=1e-6)
    assert labels["fine"].tolist() == [99, 0, 1, 2]
    assert labels["coarse"].tolist() == [19, 5, 6, 7]


def test_augmentation_is_for_training_alone():
    with mock():
        for split, changed in {"train": True, "test": False}.items():
            plain = only_batch(cifar100, split)[0]
            assert np.array_equal(only_batch(cifar100, split, augment=True)[0], plain) != changed
