import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.testing.mocking import RandomFakeGenerator

import mtl_zoo as mz
from mtl_zoo.datasets import conll2003
from tests.datasets.harness import check_dataset, mock, only_batch

SENTENCES = ["EU rejects German call", "Peter Blackburn", "a b " * 80]

SPEC = dict.fromkeys(("pos", "chunks", "ner"), tf.TensorSpec((None,), tf.int64))
SPEC["tokens"] = tf.TensorSpec((None,), tf.string)


def sentences(self, *args, **kwargs):
    def generate():
        for text in SENTENCES:
            words = text.split()
            tags = np.arange(len(words))
            yield {"tokens": words, "pos": tags % 47, "chunks": tags % 23, "ner": tags % 9}

    return tf.data.Dataset.from_generator(generate, output_signature=SPEC)


def of_one_length(self, *args, **kwargs):
    """Return the random examples of the catalogue's features, their lists cut to the same length."""

    def generate():
        for example in RandomFakeGenerator(self.info.features, num_examples=8):
            length = min(len(example[name]) for name in SPEC)
            yield {name: example[name][:length] for name in SPEC}

    dataset = tf.data.Dataset.from_generator(generate, output_signature=SPEC)
    return dataset.apply(tf.data.experimental.assert_cardinality(8))


def test_contract(no_network, tmp_path, capsys):
    with mock(as_dataset_fn=of_one_length):
        check_dataset(conll2003, tmp_path, capsys)


def test_classes_are_those_of_the_catalogue(tmp_path):
    features = tfds.builder("conll2003", data_dir=tmp_path).info.features
    for task in conll2003.TASKS:
        names = features[conll2003.FEATURES[task.name]].feature.names
        assert task.output_shape == (None, len(names))


def test_short_sentences_are_padded_and_long_ones_cut():
    with mock(as_dataset_fn=sentences):
        words, labels = only_batch(conll2003, "test", batch_size=3)
    assert words.shape == (3, 128)
    assert words[1, :3].tolist() == [b"Peter", b"Blackburn", b""]
    for task in conll2003.TASKS:
        assert (labels[task.name] >= 0).sum(axis=1).tolist() == [4, 2, 128]
        assert labels[task.name][0, :5].tolist() == [0, 1, 2, 3, -1]


def test_a_recipe_tells_the_size_of_the_encoder():
    with mock(as_dataset_fn=sentences):
        model = mz.experiments.Recipe(dataset="conll2003:width=8,depth=1").model()
    assert model.get_layer("shared_1_tokens").output.shape == (None, None, 8)


def test_padding_and_unknown_words():
    with mock(as_dataset_fn=sentences):
        keras.utils.set_random_seed(0)
        stages = conll2003.encoder(width=8, depth=1)
        model = mz.architectures.hard_sharing(conll2003.inputs(), conll2003.TASKS, stages)
    assert model.get_layer("shared_1_tokens").input_dim == 10  # eight words, padding and the unknown word
    logits = model(tf.constant([["Peter", "rejects", "", ""]]))["chunk"][0, :2]
    np.testing.assert_allclose(model(tf.constant([["Peter", "rejects"]]))["chunk"][0], logits, atol=1e-5)
    unknown = model(tf.constant([["Paul", "rejects"], ["Mary", "rejects"]]))["chunk"]
    np.testing.assert_array_equal(unknown[0], unknown[1])
