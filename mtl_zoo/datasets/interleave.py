"""One training set from several: which task is trained how often, and when."""

import itertools

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments


def interleave(datasets, batch_size, weights="proportional", temperature=1.0, steps=None, mixed=True, seed=0):
    """Mix datasets that each have the labels of one task, or of some tasks.

    An epoch takes from every dataset exactly its share of examples, rounded to one, in an order that follows
    from the seed. Datasets that are too short are repeated. Shuffle those that are too long, as `load` does
    with training splits: every epoch reads each from its start.

    Args:
        datasets: Dictionary from the name of a task, or a tuple of names, to a `tf.data.Dataset` of batches
            `(inputs, labels)`. Inputs have one structure in all; labels are a dict with the names, or for one
            name a tensor. Other labels are left out. A task that is defined where another one's label is
            (`Task.where`) needs both labels, under a tuple of their names.
        batch_size: Number of examples in a batch.
        weights: How often each dataset is drawn from: `"proportional"` to its number of examples, which are
            counted in one pass; `"uniform"`; a dict of non-negative numbers with the keys of `datasets`; or a
            function from the epoch, 0 for the first pass over the result, to one of these. Defaults to
            `"proportional"`.
        temperature: T of `weight ** (1 / T)`: 1 for the weights themselves, larger for more equal ones.
            Defaults to 1.
        steps: Number of batches in an epoch. Defaults to `None`: as many as hold all examples once.
        mixed: Whether a batch mixes tasks, whose other labels are missing, or (`False`) has examples of one
            dataset; then batches are drawn by the weights. Defaults to `True`.
        seed: Seed of the order. Defaults to 0.

    Returns:
        `tf.data.Dataset` of batches `(inputs, labels)`: a dict with a label for every task, -1 or NaN where
        the example has none.

    Raises:
        ValueError: If there is no dataset, one is empty, structures differ, a label is absent or of unknown
            shape, a number is not positive, or the weights are not as above.

    Example:

    >>> kinds = tf.data.Dataset.from_tensor_slices((np.zeros((60, 2)), np.ones(60, int))).batch(10)
    >>> prices = tf.data.Dataset.from_tensor_slices((np.ones((20, 2)), np.ones(20))).batch(10)
    >>> dataset = interleave({"kind": kinds, "price": prices}, 4)
    >>> labels = np.concatenate([labels["kind"] for _, labels in dataset])
    >>> int(np.sum(labels == 1)), int(np.sum(labels == -1))
    (60, 20)

    Reference:
        [Arivazhagan et al., 2019](https://arxiv.org/abs/1907.05019) (temperature)
    """
    if not arguments.mapping("datasets", datasets):
        raise ValueError(f"`datasets` must have at least one dataset. Received: datasets={datasets!r}")
    for dataset in datasets.values():
        arguments.instance("datasets", dataset, tf.data.Dataset)
    batch_size = arguments.integer("batch_size", batch_size, 1, arguments.EXAMPLES)
    temperature = arguments.number("temperature", temperature, above=0)
    arguments.integer("steps", 1 if steps is None else steps, 1, arguments.BATCHES)
    mixed = arguments.flag("mixed", mixed)
    seed = arguments.integer("seed", seed, 0, arguments.SEED)
    sizes = {}
    if steps is None or not isinstance(weights, dict):
        sizes = {key: _count(dataset) for key, dataset in datasets.items()}
    _check_not_empty({key: sizes[key] if sizes else _count(datasets[key].take(1)) for key in datasets})
    steps = steps or max(sum(sizes.values()) // batch_size, 1)
    number = steps * batch_size if mixed else steps
    epochs = itertools.count()

    def draw():
        epoch = next(epochs)
        shares = _shares(weights(epoch) if callable(weights) else weights, sizes, datasets, temperature)
        yield np.random.default_rng((seed, epoch)).permutation(_allot(shares, number))

    if not callable(weights):
        _shares(weights, sizes, datasets, temperature)  # to find mistakes now
    sources = [dataset.repeat() for dataset in _completed(datasets)]
    sources = [source.unbatch() if mixed else source.rebatch(batch_size) for source in sources]
    choices = tf.data.Dataset.from_generator(draw, output_signature=tf.TensorSpec((number,), tf.int64))
    chosen = tf.data.Dataset.choose_from_datasets(sources, choices.unbatch())
    batches = chosen.batch(batch_size) if mixed else chosen
    return batches.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(tf.data.AUTOTUNE)


def _check_not_empty(sizes):
    empty = [key for key, size in sizes.items() if not size]
    if empty:
        raise ValueError(f"Every dataset must have at least one example. Received none in {empty}")


def _names(key):
    return key if isinstance(key, tuple) else (key,)


def _count(dataset):
    """Return the number of examples, in one pass."""
    return sum(len(x) for x in dataset.map(lambda x, _: tf.nest.flatten(x)[0]).as_numpy_iterator())


def _shares(weights, sizes, datasets, temperature):
    """Return the share of every dataset, in order."""
    if isinstance(weights, str) and weights == "proportional":
        weights = sizes
    elif isinstance(weights, str) and weights == "uniform":
        weights = dict.fromkeys(datasets, 1.0)
    if not isinstance(weights, dict) or set(weights) != set(datasets):
        raise ValueError(
            "`weights` must be 'proportional', 'uniform' or a dict with the keys "
            f"{list(datasets)}. Received: weights={weights!r}"
        )
    values = np.array(arguments.numbers("weights", [weights[key] for key in datasets], least=0))
    if not 0 < values.sum() < np.inf:
        raise ValueError(f"Weights must be at least 0, and one above. Received: weights={weights}")
    values = np.where(values > 0, values ** (1 / temperature), 0.0)
    return values / values.sum()


def _allot(shares, number):
    """Return `number` indices of datasets, each as often as its share says, rounded to one."""
    ends = np.rint(np.cumsum(shares) * number).astype("int64")
    return np.repeat(np.arange(len(shares)), np.diff(ends, prepend=0))


def _completed(datasets):
    """Return the datasets, each with labels for the tasks of all."""
    specs = {}
    for key, dataset in datasets.items():
        inputs, labels = dataset.element_spec
        specs[key] = {name: _spec(labels, name) for name in _names(key)}
        first = next(iter(datasets.values())).element_spec[0]
        if not _alike(inputs, first):
            raise ValueError(f"All datasets must have the same inputs. Received: {inputs} and {first}")
    labels = {name: spec for found in specs.values() for name, spec in found.items()}
    if len(labels) < sum(map(len, specs.values())):
        raise ValueError(f"Every task must be in one dataset. Received: {list(datasets)}")

    def completing(names):
        def complete(x, given):
            given = given if isinstance(given, dict) else {names[0]: given}
            number = tf.shape(tf.nest.flatten(x)[0])[0]
            return x, {
                name: tf.cast(given[name], spec.dtype) if name in names else _missing(spec, number)
                for name, spec in labels.items()
            }

        return complete

    return [
        dataset.map(completing(_names(key)), num_parallel_calls=tf.data.AUTOTUNE)
        for key, dataset in datasets.items()
    ]


def _spec(labels, name):
    """Return the spec of a label: signed, of known shape."""
    spec = labels.get(name) if isinstance(labels, dict) else labels
    if spec is None:
        raise ValueError(f"A dataset must have the labels of its tasks: '{name}'. Received: {list(labels)}")
    if not spec.shape[1:].is_fully_defined():
        raise ValueError(f"Labels of task '{name}' must have a known shape. Received: {spec.shape}")
    signed = spec.dtype if spec.dtype.is_floating or spec.dtype == tf.int32 else tf.int64
    return tf.TensorSpec(spec.shape, signed)


def _missing(spec, number):
    value = np.nan if spec.dtype.is_floating else -1
    return tf.fill((number, *spec.shape[1:]), tf.cast(value, spec.dtype))


def _alike(first, second):
    """Return whether two element specs agree in structure, types and shapes but for the batch axis."""
    try:
        tf.nest.assert_same_structure(first, second)
    except (TypeError, ValueError):
        return False
    pairs = zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True)
    return all(a.dtype == b.dtype and a.shape[1:].is_compatible_with(b.shape[1:]) for a, b in pairs)
