"""What the replicas of a `tf.distribute` strategy do together."""

import functools
import json
import os

import keras
import tensorflow as tf

from mtl_zoo.training import sparse

MAKERS = {  # one for each of `options.STRATEGIES`
    "none": tf.distribute.get_strategy,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}


def make_strategy(name):
    """Return a strategy by its name, to be made before any other use of TensorFlow.

    Args:
        name: One of `options.STRATEGIES`: `"none"`, `"mirrored"` for all devices of this machine, or
            `"multi_worker"` for the machines that the environment variable `TF_CONFIG` tells of.

    Raises:
        ValueError: If `TF_CONFIG` is missing, or not what TensorFlow needs.
    """
    if name == "multi_worker":
        try:
            config = json.loads(os.environ.get("TF_CONFIG", ""))
            config["cluster"]["worker"][config["task"]["index"]]
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(
                "The environment variable TF_CONFIG must hold JSON like "
                "{'cluster': {'worker': ['host:port', ...]}, 'task': {'type': 'worker', 'index': 0}}. "
                f"Received: {os.environ.get('TF_CONFIG')!r}"
            ) from error
    return MAKERS[name]()


def check_keras(strategy):
    """Refuse several devices under a Keras whose metrics cannot be counted on them.

    Raises:
        ValueError: If Keras is older than 3.10.
    """
    version = tuple(map(int, keras.__version__.split(".")[:2]))
    mirrored = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)
    if version < (3, 10) and isinstance(strategy, mirrored):
        raise ValueError(
            f"Keras must be 3.10 or newer to train under a {type(strategy).__name__}. "
            f"Received: {keras.__version__}"
        )


def num_replicas():
    """Return the number of replicas of the strategy in whose scope this is called; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def has_workers(strategy):
    """Return whether a strategy spans several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def spread(dataset, strategy):
    """Return a dataset of which every worker gets its part of every batch.

    The parts of a batch are consecutive and nearly equal. All workers must read the same batches in the same
    order.

    Args:
        dataset: `tf.data.Dataset`, the same on every worker; anything else is returned as it is.
        strategy: `tf.distribute.Strategy`; if it is in one process, the dataset is returned as it is.
    """
    if not isinstance(dataset, tf.data.Dataset) or not has_workers(strategy):
        return dataset
    found = strategy.distribute_datasets_from_function(lambda context: parts(dataset, context, strategy))
    found.whole = dataset
    return found


def parts(dataset, context, strategy):
    """Return a dataset of the parts of every batch that the replicas of a worker get, one after the other.

    Args:
        dataset: `tf.data.Dataset`, the same on every worker.
        context: `tf.distribute.InputContext` of the worker.
        strategy: `tf.distribute.Strategy`.
    """
    number = strategy.num_replicas_in_sync
    local = number // context.num_input_pipelines
    first = context.input_pipeline_id * local
    replicas = tf.data.Dataset.range(first, first + local)
    found = dataset.flat_map(lambda *batch: replicas.map(lambda index: part(batch, index, number)))
    known = tf.data.experimental.assert_cardinality(dataset.cardinality() * local)
    return found.apply(known) if dataset.cardinality() > 0 else found


def part(batch, index, number):
    """Return one of several consecutive parts of a batch, of nearly the same size.

    Args:
        batch: Structure of tensors (ragged and sparse ones too) with one batch axis; some may be `None`.
        index: Which part, from 0.
        number: Number of parts.
    """
    size = _size(tf.nest.flatten(batch)[0])
    start, end = size * index // number, size * (index + 1) // number
    return tf.nest.map_structure(lambda x: None if x is None else _rows(x, start, end), batch)


def _size(x):
    if isinstance(x, tf.RaggedTensor):
        return tf.cast(x.nrows(), tf.int64)
    return x.dense_shape[0] if isinstance(x, tf.SparseTensor) else tf.shape(x, tf.int64)[0]


def _rows(x, start, end):
    if not isinstance(x, tf.SparseTensor):
        return x[start:end]
    rest = x.dense_shape[1:]
    first, size = tf.concat([[start], tf.zeros_like(rest)], 0), tf.concat([[end - start], rest], 0)
    return tf.sparse.slice(x, first, size)


def all_reduce(values):
    """Sum values over all replicas.

    Args:
        values: Structure of lists and dicts of tensors, of which any may be `None` or `tf.IndexedSlices`.

    Returns:
        The same structure; the values themselves where there is one replica. Of slices, the rows of all
        replicas, each once.
    """
    if num_replicas() == 1:
        return values
    flat = [sparse.without_duplicates(v) for v in tf.nest.flatten(values) if v is not None]
    flat = [v if isinstance(v, tf.IndexedSlices) else tf.convert_to_tensor(v) for v in flat]
    context = tf.distribute.get_replica_context()
    summed = map(_rows_once, context.all_reduce(tf.distribute.ReduceOp.SUM, flat), flat)
    return tf.nest.map_structure(lambda v: None if v is None else next(summed), values)


def _rows_once(found, given):
    """Return a sum over replicas, of slices with one per row, and the shape that TensorFlow forgets."""
    if isinstance(found, tf.IndexedSlices):
        found.values.set_shape([None, *given.values.shape[1:]])
    return sparse.without_duplicates(found)


def sum_before(values):
    """Sum a vector over the replicas before this one, in the order in which they divide a batch."""
    number = num_replicas()
    if number == 1:
        return tf.zeros_like(values)
    index = tf.distribute.get_replica_context().replica_id_in_sync_group
    later = tf.cast(tf.range(number) > index, values.dtype)
    return all_reduce(later[:, tf.newaxis] * values)[index]


def prepare(optimizer):
    """Let an optimizer apply gradients that are the same on all replicas, instead of adding them up.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
    """
    if num_replicas() > 1:
        for plain in plain_optimizers(optimizer):
            plain._all_reduce_sum_gradients = list


def unscaled(optimizer):
    """Return the optimizer within one that scales the loss, or the optimizer itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def plain_optimizers(optimizer):
    """Return the optimizers within one that scales the loss or divides the variables among several."""
    optimizer = unscaled(optimizer)
    return list(getattr(optimizer, "parts", getattr(optimizer, "optimizers", [optimizer])))


def apply(optimizer, gradients, variables, finite):
    """Apply gradients if they are finite.

    Args:
        optimizer: `keras.optimizers.Optimizer`; a `LossScaleOptimizer` lowers its scale if they are not.
        gradients: List of one gradient (or `None`) per variable, the same on all replicas.
        variables: List of variables.
        finite: Boolean scalar tensor, the same on all replicas.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        poison = tf.where(finite, 1.0, float("nan"))  # it looks at the gradients, not at the losses
        optimizer.apply([sparse.times(g, poison) for g in gradients], variables)
        return
    if optimizer.loss_scale_factor:  # by which Keras cannot divide slices
        gradients = [g if g is None else tf.convert_to_tensor(g) for g in gradients]
    run_if(finite, lambda given: optimizer.apply(given, variables), gradients)


def run_if(condition, function, given):
    """Call a function that updates variables by optimizers, on all replicas or on none.

    Args:
        condition: Boolean scalar tensor, the same on all replicas.
        function: Function of `given`.
        given: Structure of tensors.
    """
    branch(condition, lambda: _done(function(given)), lambda: 0)


def branch(condition, first, second):
    """Return what one of two functions returns, in which replicas may meet; the first one is traced first.

    Args:
        condition: Boolean scalar tensor, the same on all replicas.
        first: Function without arguments for where it is true; returns a structure of tensors.
        second: Function for where it is false, likewise.
    """
    if tf.__internal__.distribute.strategy_supports_no_merge_call():
        return tf.cond(condition, first, second)

    structures = []

    def flat(function):
        structures.append(function())
        return tf.nest.flatten(structures[-1], expand_composites=True)

    def across(strategy, condition, *functions):
        """Branch outside of the replicas, since within a branch they cannot meet."""
        local = strategy.experimental_local_results

        def on_each(function):
            return list(map(local, strategy.extended.call_for_each_replica(_call, args=(function,))))

        found = tf.cond(local(condition)[0], *(functools.partial(on_each, each) for each in functions))
        return [_per_replica(strategy, values) for values in found]

    calls = functools.partial(flat, first), functools.partial(flat, second)
    own = tf.distribute.get_replica_context().merge_call(across, args=(condition, *calls))
    return tf.nest.pack_sequence_as(structures[0], own, expand_composites=True)


def _call(function):
    return function()


def _per_replica(strategy, values):
    """Return the values of the replicas of this process as one distributed value."""
    return strategy.experimental_distribute_values_from_function(
        lambda context: values[context.replica_id_in_sync_group % len(values)]
    )


def _done(_):
    return 0
