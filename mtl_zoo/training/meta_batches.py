"""Second batches, which `fit` draws beside those of training for a balancer that needs meta data."""

import contextlib
import functools
from typing import NamedTuple

import keras
import tensorflow as tf

from mtl_zoo.training import distribution
from mtl_zoo.training.batch import portions


class Pair(NamedTuple):
    """What `fit` reads for one step.

    Args:
        batch: Batch of training.
        meta: Batch of meta data.
    """

    batch: tuple
    meta: tuple


def parted(data, number):
    """Return the portions of a batch of training, and one of meta data or `None`, as `batch.portions` does.

    Args:
        data: What `fit` reads for one step: a batch, or a `Pair`.
        number: Number of portions of the batch of training.
    """
    if not isinstance(data, Pair):
        return portions(data, number), None
    return portions(data.batch, number), *portions(data.meta, 1)


def refuse_without(balancer, way):
    """Raise an error if a balancer needs meta data, which some ways to train do not have.

    Raises:
        ValueError: If it does.
    """
    if balancer is not None and balancer.needs_meta:
        name = type(balancer).__name__
        raise ValueError(f"{name} needs `meta_data`, which `fit` must be given. Received: {way} without")


def admitted(border, balancer, data, batch_size):
    """Return meta data as an endless `tf.data.Dataset`, checked as all data are.

    Args:
        border: `Border`.
        balancer: `Balancer`, or `None`.
        data: As `fit` takes them; or `None`.
        batch_size: Number of examples in a batch of arrays.

    Returns:
        Dataset, or `None` if there are no data.

    Raises:
        ValueError: If the balancer needs data and there are none, has no use for them, or they are not what
            they must be.
    """
    if data is None:
        refuse_without(balancer, "`fit`")
        return None
    if balancer is None or not balancer.needs_meta:
        name = balancer if balancer is None else type(balancer).__name__
        raise ValueError(
            f"`meta_data` must go with a balancer that learns from them. Received: balancer={name}"
        )
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError("`meta_data` must end: `fit` repeats them. Received: an infinite dataset")
        return border.admit(data)[0].repeat()
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise ValueError(
            "`meta_data` must be a `tf.data.Dataset`, or arrays `(inputs, labels)` or `(inputs, labels, "
            f"sample weights)`. Received: {type(data).__name__}"
        )
    return _batches(border.admit(*data), batch_size).repeat()


def _batches(arrays, batch_size):
    """Return arrays in batches, in another order each time."""
    arrays = tuple(array for array in arrays if array is not None)
    dataset = tf.data.Dataset.from_tensor_slices(keras.tree.lists_to_tuples(arrays))
    return dataset.shuffle(len(dataset)).batch(batch_size)


@contextlib.contextmanager
def beside(trainer, data):
    """Let the first epochs that a trainer prepares within this context read meta data beside their own.

    Args:
        trainer: `Trainer`.
        data: As `admitted` returns them.
    """
    if data is not None:
        trainer.prepare_epochs = functools.partial(_pair, data, trainer.distribute_strategy)
    try:
        yield
    finally:
        trainer.prepare_epochs = None


def _pair(data, strategy, epochs):
    """Put a dataset of pairs in the place of that of Keras' `EpochIterator`.

    Several replicas get parts of both batches that are nearly equal, since Keras divides batches of one size.

    Raises:
        ValueError: If the user's own function has distributed the data.
    """
    given = epochs._distributed_dataset
    train = getattr(given, "whole", getattr(given, "_original_dataset", given))
    if not isinstance(train, tf.data.Dataset):
        raise ValueError(
            "Beside `meta_data` the data must be arrays, a generator or a `tf.data.Dataset`, which `fit` "
            f"distributes itself. Received: a {type(train).__name__}"
        )
    whole = _zipped(train, data)
    if strategy.num_replicas_in_sync == 1:
        epochs._distributed_dataset = strategy.experimental_distribute_dataset(whole)
        return
    epochs._distributed_dataset = strategy.distribute_datasets_from_function(
        lambda context: _zipped(*(distribution.parts(x, context, strategy) for x in (train, data)))
    )
    epochs._distributed_dataset._original_dataset = whole  # where `Resume` looks for the order of the data


def _zipped(train, meta):
    return tf.data.Dataset.zip((train, meta)).map(Pair)
