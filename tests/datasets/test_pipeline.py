import concurrent.futures

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from mtl_zoo.datasets import pipeline
from tests.datasets.harness import block_network, refuse

SPLITS = {"train": "train[:80%]", "validation": "train[80%:]", "test": "test"}


class PipelineNumbers(tfds.core.GeneratorBasedBuilder):
    """Numbers below 1,000 for training and 7 for the test, each its own label."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"x": tfds.features.Scalar(np.int64), "y": tfds.features.Scalar(np.int64)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(1000), "test": self._generate_examples(7)}

    def _generate_examples(self, size):
        for i in range(size):
            yield i, {"x": i, "y": i}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def as_is(features):
    return features["x"], {"y": features["y"]}


def batches(data_dir, split="train", batch_size=64, seed=0, **options):
    examples = pipeline.read(PipelineNumbers(data_dir=data_dir), SPLITS, split, seed)
    return pipeline.batches(examples, split, batch_size, as_is, seed, **options)


def order(dataset):
    return np.concatenate([x for x, _ in dataset.as_numpy_iterator()]).tolist()


def test_training_order_follows_from_the_seed(data_dir):
    first, second = batches(data_dir, seed=3), batches(data_dir, seed=3)
    epochs = order(first), order(first)
    assert epochs == (order(second), order(second))
    assert epochs[0] != epochs[1]
    assert order(batches(data_dir, seed=4)) not in epochs
    assert sorted(epochs[0]) == sorted(epochs[1])


def test_training_examples_move_far(data_dir):
    drawn = np.argsort(order(batches(data_dir)))  # prepares the dataset
    stored = np.argsort(
        order(PipelineNumbers(data_dir=data_dir).as_dataset("train[:80%]").batch(64).map(as_is))
    )
    assert abs(np.corrcoef(stored, drawn)[0, 1]) < 0.2


@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_splits_keep_their_order(data_dir, split):
    dataset = batches(data_dir, split, seed=1)
    assert order(dataset) == order(dataset) == order(batches(data_dir, split, seed=2))


def test_split_instructions_partition_the_source(data_dir):
    train, validation = order(batches(data_dir)), order(batches(data_dir, "validation"))
    assert (len(train), len(validation)) == (800, 200)
    assert sorted(train + validation) == list(range(1000))


def test_labels_stay_with_their_inputs(data_dir):
    for x, y in batches(data_dir).as_numpy_iterator():
        np.testing.assert_array_equal(x, y["y"])


def test_remainder(data_dir):
    sizes = [len(x) for x, _ in batches(data_dir, "test", batch_size=3).as_numpy_iterator()]
    assert sizes == [3, 3, 1]
    sizes = [len(x) for x, _ in batches(data_dir, "test", 3, drop_remainder=True).as_numpy_iterator()]
    assert sizes == [3, 3]


def test_number_of_batches_is_known(data_dir):
    assert batches(data_dir, batch_size=64).cardinality() == 13


def test_transform_sees_batches(data_dir):
    examples = pipeline.read(PipelineNumbers(data_dir=data_dir), SPLITS, "test")
    dataset = pipeline.batches(
        examples, "test", 4, lambda features: (features["x"] * 0 + len(features["x"].shape), 0)
    )
    assert order(dataset) == [1] * 7


def test_examples_of_several_lengths_are_padded():
    examples = tf.data.Dataset.from_tensor_slices({"text": ["a", "b c d", ""]})

    def decode(features):
        words = tf.strings.split(features["text"])[:2]
        return {"words": words, "numbers": tf.strings.length(words)}

    dataset = pipeline.batches(examples, "test", 3, lambda x: (x["words"], x["numbers"]), decode=decode)
    words, numbers = next(dataset.as_numpy_iterator())
    assert words.tolist() == [[b"a", b""], [b"b", b"c"], [b"", b""]]
    assert numbers.tolist() == [[1, -1], [1, 1], [-1, -1]]


class MissingSource(PipelineNumbers):
    """A dataset whose archive cannot be had."""

    error = None

    def _split_generators(self, dl_manager):
        raise self.error


@pytest.mark.parametrize("error", [*pipeline.bad_source(), ConnectionError])
def test_a_source_that_is_out_of_reach_or_damaged(tmp_path, error):
    builder = MissingSource(data_dir=tmp_path)
    builder.error = error("no archive")
    with pytest.raises(OSError, match=rf"its source in reach and whole.*\({error.__name__}: no archive\)"):
        pipeline.prepare(builder)


def test_unknown_split_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"one of \['train', 'validation', 'test'\]. Received: split='dev'"):
        batches(tmp_path, "dev")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_is_checked(tmp_path, batch_size):
    with pytest.raises(ValueError, match=rf"at least 1. Received: batch_size={batch_size}"):
        batches(tmp_path, batch_size=batch_size)


def test_data_dir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        OSError, match=rf"'pipeline_numbers' can be prepared.*Received: data_dir='{tmp_path}/file/data'"
    ):
        batches(tmp_path / "file" / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_interrupted_preparation_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(self, size):
        yield 0, {"x": 0, "y": 0}
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PipelineNumbers, "_generate_examples", interrupted)
        with pytest.raises(KeyboardInterrupt):
            batches(tmp_path)
    assert not any((tmp_path / "pipeline_numbers").iterdir())
    assert len(order(batches(tmp_path))) == 800


def test_one_prepares_and_others_wait(tmp_path):
    builders = [PipelineNumbers(data_dir=tmp_path) for _ in range(3)]  # all made before there is anything
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(pipeline.prepare, builders))
    for builder in builders:
        assert order(builder.as_dataset("test").batch(7).map(as_is)) == order(batches(tmp_path, "test"))
    assert [path.name for path in (tmp_path / "pipeline_numbers").iterdir()] == ["1.0.0"]


def test_prepares_once_and_without_network(tmp_path, monkeypatch):
    block_network(monkeypatch)
    assert len(order(batches(tmp_path))) == 800
    monkeypatch.setattr(PipelineNumbers, "_generate_examples", refuse)
    assert len(order(batches(tmp_path))) == 800


def test_progress_goes_to_stderr(tmp_path, capsys):
    pipeline.prepare(PipelineNumbers(data_dir=tmp_path))
    out, err = capsys.readouterr()
    assert out == ""
    assert "Generating train examples" in err
    assert str(tmp_path) in err
