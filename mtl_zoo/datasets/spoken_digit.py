"""Spoken digits: which digit, and who speaks (Free Spoken Digit Dataset)."""

import keras
import tensorflow as tf

from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import spectrogram
from mtl_zoo.task import Task

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TASKS = (Task.classification("digit", 10), Task.classification("speaker", len(SPEAKERS)))
FIELD = "speech"
SIZES = {"train": 2_000, "validation": 250, "test": 250}
LICENSE = "CC BY-SA 4.0"
DOWNLOAD = "11 MiB"
SPLITS = {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}
LENGTH = 8_000


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    Returns:
        `tf.data.Dataset` of `(waveform, {"digit": class, "speaker": class})`: float32 `[batch, 8000]` in
        `[-1, 1]`, one second at 8 kHz, cut or filled with silence; and int64 `[batch]`. Speakers are the
        indices of `SPEAKERS`, from the names of the files.

    Note:
        All splits hold the same speakers, since one task is to tell them apart. Which recordings are in which
        split is at random.

    Reference:
        [Jackson et al., 2018](https://github.com/Jakobovski/free-spoken-digit-dataset)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    examples = pipeline.read(pipeline.from_catalogue("spoken_digit", data_dir), SPLITS, split, seed)
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, SIZES["train"], _decode
    )


def inputs():
    """Return a fresh input, `[batch, 8000]`."""
    return keras.Input((LENGTH,), name="waveform")


def encoder():
    """Return stages that suit the waveforms: a log-mel spectrogram and four convolutional stages."""
    return spectrogram(32, 64, 128, 128, sampling_rate=8_000, frame_length=200, frame_step=80)


def _decode(features):
    waveform = tf.cast(features["audio"], tf.float32)[:LENGTH] / 2**15
    waveform = tf.pad(waveform, [[0, LENGTH - tf.shape(waveform)[0]]])
    return {
        "waveform": tf.ensure_shape(waveform, (LENGTH,)),
        "digit": features["label"],
        "speaker": _speaker(features["audio/filename"]),
    }


def _speaker(filename):
    """Return the index of the speaker in a name such as `7_jackson_32.wav`; beyond the range if unknown."""
    found = tf.stack([tf.strings.regex_full_match(filename, rf"\d+_{name}_.*") for name in SPEAKERS])
    return tf.where(tf.reduce_any(found), tf.argmax(found), len(SPEAKERS))


def _transform(features):
    return features["waveform"], pipeline.pick(features, TASKS)
