import itertools

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from mtl_zoo.datasets import multi_digits

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data_dir(multi_digits_dir):
    return multi_digits_dir


@pytest.fixture(scope="module")
def examples(data_dir):
    """All features of all splits as arrays."""
    builder = multi_digits.MultiDigits(data_dir=data_dir)
    return {split: next(builder.as_dataset(split).batch(100_000).as_numpy_iterator()) for split in SPLITS}


def sources(example):
    return {*example["left_source"].tolist(), *example["right_source"].tolist()}


def test_no_source_image_is_in_two_splits(examples):
    for first, second in itertools.combinations(SPLITS, 2):
        assert sources(examples[first]).isdisjoint(sources(examples[second]))
    assert len(np.unique(load_digits().data, axis=0)) == 1797  # nor does an image have a copy


def test_every_source_image_is_used(examples):
    assert sorted(itertools.chain(*(sources(examples[split]) for split in SPLITS))) == list(range(1797))


def test_source_split_is_stratified():
    classes = load_digits().target
    split = multi_digits.source_split(classes)
    assert [len(split[name]) for name in SPLITS] == [1257, 270, 270]
    shares = np.array([np.bincount(classes[split[name]]) / len(split[name]) for name in SPLITS])
    np.testing.assert_allclose(shares, np.broadcast_to(np.bincount(classes) / 1797, (3, 10)), atol=0.01)


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_of_classes_are_balanced(examples, split):
    pairs = 10 * examples[split]["left"] + examples[split]["right"]
    size = {"train": 30_000, "validation": 2_000, "test": 4_000}[split]
    np.testing.assert_array_equal(np.bincount(pairs, minlength=100), size // 100)


@pytest.mark.parametrize("split", SPLITS)
def test_labels_are_those_of_the_sources(examples, split):
    classes = load_digits().target
    for side in ("left", "right"):
        np.testing.assert_array_equal(examples[split][side], classes[examples[split][f"{side}_source"]])


def test_images_are_the_maximum_of_the_sources_at_every_position(examples):
    digits = np.rint(load_digits().images * 255 / 16).astype("uint8")
    found = dict.fromkeys(itertools.product((0, 1), (0, 1), (4, 5), (4, 5)), 0)
    test = examples["test"]
    for image, left, right in zip(test["image"], test["left_source"], test["right_source"], strict=True):
        matches = [
            corners
            for corners in found
            if np.array_equal(image[..., 0], by_hand(digits[left], digits[right], *corners))
        ]
        assert matches
        found[matches[0]] += 1
    assert min(found.values()) > 4000 / 16 / 2


def by_hand(left, right, left_row, left_column, right_row, right_column):
    layers = np.zeros((2, 13, 13), "uint8")
    layers[0, left_row : left_row + 8, left_column : left_column + 8] = left
    layers[1, right_row : right_row + 8, right_column : right_column + 8] = right
    return layers.max(axis=0)


def test_digits_really_overlap():
    ones = np.ones((1000, 8, 8), "uint8")
    image = multi_digits.overlay(ones, ones, np.random.default_rng(0))
    covered = image.sum(axis=(1, 2), dtype=int)
    assert set(2 * 64 - covered) == {9, 12, 15, 16, 20, 25}


def test_batches(data_dir):
    image, labels = next(iter(multi_digits.load("validation", batch_size=500, data_dir=data_dir)))
    assert image.shape == (500, 13, 13, 1)
    assert image.dtype == "float32"
    assert (float(np.min(image)), float(np.max(image))) == (0.0, 1.0)
    assert list(labels) == [task.name for task in multi_digits.TASKS]
    for label in labels.values():
        assert label.shape == (500,)
        assert label.dtype == "int64"
        assert set(label.numpy()) == set(range(10))


@pytest.mark.parametrize(("split", "count"), [("train", 30_000), ("validation", 2_000), ("test", 4_000)])
def test_an_epoch_is_the_whole_split(data_dir, examples, split, count):
    dataset = multi_digits.load(split, batch_size=7_000, data_dir=data_dir)
    images = np.concatenate([image for image, _ in dataset.as_numpy_iterator()])
    assert len(images) == count
    sums = np.rint(images.sum(axis=(1, 2, 3), dtype="float64") * 255)
    np.testing.assert_array_equal(np.sort(sums), np.sort(examples[split]["image"].sum(axis=(1, 2, 3))))


def test_order_follows_from_the_seed(data_dir, monkeypatch):
    monkeypatch.setitem(
        multi_digits.SIZES, "train", 1_000
    )  # the size of the buffer, which takes time to fill

    def first(seed):
        return next(multi_digits.load("train", 64, data_dir, seed).as_numpy_iterator())[0]

    reference = first(seed=1)
    np.testing.assert_array_equal(reference, first(seed=1))
    assert np.mean(reference == first(seed=2)) < 0.9


def test_examples_are_generated_deterministically(data_dir, examples):
    builder = multi_digits.MultiDigits(data_dir=data_dir)
    generated = sorted(as_bytes(example) for _, example in builder._generate_examples("validation"))
    columns = examples["validation"]
    rows = [{name: column[i] for name, column in columns.items()} for i in range(2_000)]
    assert generated == sorted(as_bytes(row) for row in rows)


def as_bytes(example):
    return b"".join(np.asarray(example[name]).tobytes() for name in sorted(example))


def test_remainder(data_dir):
    def sizes(**options):
        dataset = multi_digits.load("validation", 1_500, data_dir, **options)
        return [len(image) for image, _ in dataset.as_numpy_iterator()]

    assert sizes() == [1_500, 500]
    assert sizes(drop_remainder=True) == [1_500]


def test_unknown_split(data_dir):
    with pytest.raises(ValueError, match=r"one of \['train', 'validation', 'test'\]. Received: split='dev'"):
        multi_digits.load("dev", batch_size=1, data_dir=data_dir)


def test_batch_size_is_checked(data_dir):
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        multi_digits.load("test", batch_size=0, data_dir=data_dir)


def test_data_dir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=rf"Received: data_dir='{tmp_path}/file'"):
        multi_digits.load("test", batch_size=1, data_dir=tmp_path / "file")


def test_info(data_dir):
    info = multi_digits.MultiDigits(data_dir=data_dir).info
    assert info.full_name == "multi_digits/1.0.0"
    assert info.features["left"].num_classes == info.features["right"].num_classes == 10
    assert "CC BY 4.0" in (data_dir / "multi_digits" / "1.0.0" / "LICENSE").read_text()
    assert "Alpaydin" in info.citation


def test_encoder_learns_both_tasks(data_dir):
    keras.utils.set_random_seed(0)
    image = x = multi_digits.inputs()
    for index, stage in enumerate(multi_digits.encoder()):
        x = stage(x, f"stage_{index}")
    names = [task.name for task in multi_digits.TASKS]
    model = keras.Model(image, {name: keras.layers.Dense(10, name=name)(x) for name in names})
    losses = {task.name: task.loss for task in multi_digits.TASKS}
    model.compile(keras.optimizers.Adam(4e-3), losses, metrics=dict.fromkeys(names, "accuracy"))
    model.fit(multi_digits.load("train", 128, data_dir), shuffle=False, verbose=0)
    results = model.evaluate(multi_digits.load("validation", 500, data_dir), return_dict=True, verbose=0)
    assert min(results[f"{name}_accuracy"] for name in names) > 0.9
