"""News sentences: part of speech, chunk and named entity of every word (CoNLL-2003)."""

import functools

import keras

from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import transformer
from mtl_zoo.task import Task

TASKS = (Task.tagging("part_of_speech", 47), Task.tagging("chunk", 23), Task.tagging("named_entity", 9))
FEATURES = {"part_of_speech": "pos", "chunk": "chunks", "named_entity": "ner"}
FIELD = "language"
SIZES = {"train": 14_042, "validation": 3_251, "test": 3_454}
LICENSE = "research, on Reuters text"
DOWNLOAD = "959 KiB"
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
MAX_LENGTH = 128


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    Returns:
        `tf.data.Dataset` of `(words, labels)`: strings `[batch, length]`, `""` after the end of a sentence;
        and int64 `"part_of_speech"`, `"chunk"` and `"named_entity"`, `[batch, length]`, -1 there. The length
        is that of the longest sentence of the batch, at most 128 words.

    Note:
        The metric of each task is the accuracy of words; the F1 score of whole entities, as papers report
        it, is not computed.

    Reference:
        [Tjong Kim Sang and De Meulder, 2003](https://aclanthology.org/W03-0419/)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    examples = pipeline.read(pipeline.from_catalogue("conll2003", data_dir), SPLITS, split, seed)
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, SIZES["train"], _decode
    )


def inputs():
    """Return a fresh input of words, `[batch, length]`."""
    return keras.Input((None,), dtype="string", name="words")


def encoder(data_dir=None, width=128, depth=2):
    """Return stages that suit the words: an embedding of those of the training split, and transformer blocks.

    Args:
        data_dir: As for `load`.
        width: Channels of every stage. Defaults to 128.
        depth: Number of blocks. Defaults to 2.

    Returns:
        List of `1 + depth` stages.
    """
    transformer(1, width, depth)  # finds mistakes before the data are read
    words = (x.reshape(-1) for x, _ in load("train", 1_024, data_dir).as_numpy_iterator())
    vocabulary = sorted({word.decode() for batch in words for word in batch} - {""})
    embed, *blocks = transformer(len(vocabulary) + 2, width, depth, dropout=0.1, max_length=MAX_LENGTH)
    return [functools.partial(_look_up, vocabulary=vocabulary, embed=embed), *blocks]


def _look_up(x, name, vocabulary, embed):
    """Return the embedded words; 0 is padding and 1 every word that training lacks."""
    lookup = keras.layers.StringLookup(vocabulary=vocabulary, mask_token="", name=f"{name}_lookup")
    return embed(lookup(x), name)


def _decode(features):
    labels = {task: features[name][:MAX_LENGTH] for task, name in FEATURES.items()}
    return {"words": features["tokens"][:MAX_LENGTH], **labels}


def _transform(features):
    return features["words"], pipeline.pick(features, TASKS)
