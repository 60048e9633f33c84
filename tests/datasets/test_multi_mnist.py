import numpy as np
import pytest

from mtl_zoo.datasets import multi_mnist
from tests.datasets.harness import assert_in_unit_interval, check_dataset, examples, mock, only_batch


def digits(number=64):
    """Return digits that are full squares of a brightness that says their class."""
    label = np.arange(number) % 10
    image = np.broadcast_to((20 * (label + 1))[:, None, None, None], (number, 28, 28, 1)).astype("uint8")
    return examples({"image": image, "label": label})


def test_contract(no_network, tmp_path, capsys):
    with mock():
        check_dataset(multi_mnist, tmp_path, capsys)


def test_the_left_digit_is_top_left_and_the_right_one_bottom_right():
    with mock(as_dataset_fn=digits()):
        x, labels = only_batch(multi_mnist, "test", batch_size=64)
    assert x.shape == (64, 36, 36, 1)
    image = np.rint(x[..., 0] * 255 / 20).astype(int)
    np.testing.assert_array_equal(image[:, 4, 4], labels["left"] + 1)
    np.testing.assert_array_equal(image[:, 31, 31], labels["right"] + 1)
    centre = np.maximum(labels["left"], labels["right"]) + 1
    np.testing.assert_array_equal(image[:, 18, 18], centre)
    assert np.mean(labels["left"] == labels["right"]) < 0.3
    assert sorted(labels["left"]) == sorted(labels["right"])
    corners = {(int(np.argmax(part.any(axis=1))), int(np.argmax(part.any(axis=0)))) for part in image}
    assert corners == {(row, column) for row in range(4) for column in range(4)}


def test_pairs_stay_together():
    def pairs():
        x, labels = only_batch(multi_mnist, batch_size=64)
        sums = np.rint(x.sum(axis=(1, 2, 3))).astype(int)
        return sorted(zip(sums, labels["left"], labels["right"], strict=True))

    with mock(as_dataset_fn=digits()):
        assert pairs() == pairs()


@pytest.mark.parametrize("split", ["train", "test"])
def test_brightness(split):
    with mock():
        assert_in_unit_interval(only_batch(multi_mnist, split)[0])
