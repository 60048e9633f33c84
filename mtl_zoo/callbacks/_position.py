"""The place in the data of a training: whether it can be found again, and how."""

import itertools

import tensorflow as tf

# Datasets of which an iterator that is opened and read once leaves behind what one read to its end does. All
# others are read again in full, as those with a `repeat()`: how often it reshuffled depends on what was read.
QUICK = {
    "_AssertCardinalityDataset",
    "_BatchDataset",
    "_InterleaveDataset",
    "_MapDataset",
    "_OptionsDataset",
    "_PaddedBatchDataset",
    "_ParallelBatchDataset",
    "_ParallelInterleaveDataset",
    "_ParallelMapDataset",
    "_PrefetchDataset",
    "_RandomDataset",
    "_RangeDataset",
    "_ShuffleDataset",
    "_TensorDataset",
    "_TensorSliceDataset",
    "_ZipDataset",
    "CacheDataset",
    "TFRecordDatasetV2",
    "TextLineDatasetV2",
}
REMEMBERING = (
    "Random",
    "Shuffle",
    "Generator",
    "PyFunc",
    "Cache",
    "Repeat",
    "Var",
)  # operations in functions


def check_repeatable(epochs):
    """Raise an error if the order of the data is another one each time.

    Args:
        epochs: `EpochIterator` of Keras' `fit`.

    Raises:
        ValueError: If something random has no seed, or the order is left to chance.
    """
    for dataset in _pipeline(epochs):
        unseeded = _is_unseeded_shuffle(dataset) or any(map(_is_unseeded, _nodes(dataset)))
        if unseeded or dataset.options().deterministic is False:
            raise ValueError(
                "The order of the training data must be the same each time: give `shuffle` a seed or call "
                "`keras.utils.set_random_seed` first, and leave `deterministic` on. "
                f"Received: {type(dataset).__name__.strip('_')} "
                + ("without a seed" if unseeded else "with deterministic=False")
            )


def forward(epochs, number_of_epochs, number_of_steps):
    """Let the next epoch begin where an interrupted one was.

    Args:
        epochs: `EpochIterator` of Keras' `fit`, not used before.
        number_of_epochs: Number of epochs over.
        number_of_steps: Number of steps done in the running epoch.
    """
    begin = epochs._enumerate_iterator
    size = epochs.steps_per_execution

    def enumerate_rest():
        del epochs._enumerate_iterator
        whole, first_whole = _must_read(epochs)
        for index in range(number_of_epochs):
            _read(begin(), size, None if whole or (first_whole and index == 0) else 1)
        rest = begin()
        _read(itertools.islice(rest, -(-number_of_steps // size)), size)
        yield from rest

    epochs._enumerate_iterator = enumerate_rest


def _read(steps, size, number=None):
    """Go through the steps of an epoch; read the data of the first ones, or of all."""
    for index, (*_, data) in enumerate(steps):  # the step, or its first and last number, before the data
        if number is None or index < number:
            for _ in range(size):
                if next(data, None) is None:
                    return


def _must_read(epochs):
    """Return whether all past epochs must be read to the end, and whether the first one must."""
    pipeline = list(_pipeline(epochs))
    kinds = {type(dataset).__name__ for dataset in pipeline}
    nodes = itertools.chain.from_iterable(map(_nodes, pipeline))
    remembers = any(part in node.op and "Stateless" not in node.op for node in nodes for part in REMEMBERING)
    unknown = epochs.steps_per_epoch or not epochs.num_batches or not pipeline
    return bool(unknown or remembers or not kinds <= QUICK), "CacheDataset" in kinds


def _pipeline(epochs):
    """Return the dataset and all that it reads from; nothing if a function makes it on every worker."""
    dataset = epochs._distributed_dataset
    dataset = getattr(dataset, "_original_dataset", dataset)
    return _with_inputs(dataset) if isinstance(dataset, tf.data.Dataset) else []


def _with_inputs(dataset):
    yield dataset
    for source in dataset._inputs():
        yield from _with_inputs(source)


def _nodes(dataset):
    """Return the operations in the functions of a dataset."""
    for wrapper in dataset._functions():
        graph = wrapper.function.graph.as_graph_def()
        yield from graph.node
        for function in graph.library.function:
            yield from function.node_def


def _is_unseeded_shuffle(dataset):
    return type(dataset).__name__ == "_ShuffleDataset" and not int(dataset._seed) | int(dataset._seed2)


def _is_unseeded(node):
    seeds = [node.attr[name].i for name in ("seed", "seed2") if name in node.attr]
    return len(seeds) == 2 and not any(seeds)
