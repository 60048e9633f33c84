"""One model for every trade-off between tasks, which is chosen when the model is used."""

import keras
import tensorflow as tf

from mtl_zoo import arguments, graphs
from mtl_zoo.encoders import _pieces
from mtl_zoo.graphs import fresh_inputs
from mtl_zoo.transfer._choice import chosen, places
from mtl_zoo.transfer._copies import Copies, graph_to_adapt
from mtl_zoo.transfer.drawn_preferences import DrawnPreferences
from mtl_zoo.transfer.weighed_gradient import WeighedGradient
from mtl_zoo.validation import check_tasks

PREFERENCES = "preferences"


def palora(model, tasks, rank=4, alpha=1.0, where=None, steps=1_000, concentration=1.0, seed=None):
    """Return a model with an input `preferences`, which is trained for all trade-offs between tasks at once.

    The kernel `W` of a layer with adapters becomes `W + alpha / rank * sum_t p_t A_t B_t`, with `p` the
    preferences of the example, and the gradient of task t is multiplied by `p_t`: trained on the sum of the
    losses, the model is trained on the sum weighted by preferences, by any trainer. All weights are trained.

    The input `preferences` is `[batch, T]`, non-negative; rows are scaled to the sum 1. Rows of zeros ask for
    equal shares, but in training for drawn ones, which go from the centre to the corners of what is possible
    within `steps` steps. `with_preferences` adds the input to a dataset. Every signature of an export has it.

    Args:
        model: Functional `keras.Model` with an output per task, such as an architecture, new or trained. It
            stays as it is.
        tasks: Sequence of at least 2 `Task`.
        rank: Number of columns of each `A`. Defaults to 4.
        alpha: Factor of the products, divided by `rank`. Defaults to 1.
        where: Which layers get adapters, as for `lora`. Defaults to `None`: all that several tasks use and
            that can have them.
        steps: Number of training steps until draws reach the corners. Defaults to 1,000.
        concentration: Of the Dirichlet distribution of the draws, as in `DrawnPreferences`. Defaults to 1.
        seed: Integer seed of the draws. Defaults to `None`: drawn from the global seed of Keras.

    Returns:
        Functional `keras.Model` from `{name of an input: tensor}` to `{task name: logits}`.

    Raises:
        ValueError: If model and tasks do not agree, the model has an input `preferences` or adapters, no
            layer is chosen, or a number is out of bounds.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.binary("buy")]
    >>> base = mz.architectures.hard_sharing(keras.Input((8,), name="x"), tasks, mz.encoders.mlp(16))
    >>> model = palora(base, tasks, rank=2, steps=100)
    >>> dict(model({"x": np.ones((4, 8)), "preferences": np.array([[1.0, 3.0]] * 4)})).keys()
    dict_keys(['click', 'buy'])

    Reference:
        [Dimitriadis et al., 2025](https://openreview.net/forum?id=icDoYdUhRa)

    Note:
        The paper works off a batch once or more, each time with one vector for all of its examples, from a
        fixed schedule of evenly spaced ones. Here every example has a random draw of its own, in one pass:
        the same mean gradient, of less variance. How draws leave the centre is ours: their distance from it
        grows linearly. The authors' code gives the adapters T times the learning rate; here all have one.
    """
    graph = graph_to_adapt(check_tasks(model, tasks, graph=True))
    rank = arguments.integer("rank", rank, 1, arguments.UNITS)
    scale = arguments.number("alpha", alpha) / rank
    draws = DrawnPreferences(steps, arguments.number("concentration", concentration, above=0), seed)
    _check(graph, tasks)
    copies = _copies(graph, tasks, rank, scale, where)
    inputs = {x.name: x for x in keras.tree.flatten(fresh_inputs(graph.input))}
    preferences = keras.Input((len(tasks),), name=PREFERENCES)
    logits = _logits(graph, list(inputs.values()), copies, draws(preferences), tasks)
    copies.fill()
    return keras.Model({**inputs, PREFERENCES: preferences}, logits, name=f"{model.name}_palora")


def with_preferences(dataset, model, preferences=None):
    """Return a dataset with the input `preferences` for a model of `palora`.

    Args:
        dataset: `tf.data.Dataset` of batches of inputs, or of tuples that begin with inputs.
        model: What `palora` returned.
        preferences: One non-negative number per task, for all examples. Defaults to `None`: zeros, so that
            training draws preferences, and equal shares are evaluated.

    Returns:
        `tf.data.Dataset` with inputs by name.

    Raises:
        ValueError: If the model has no such input, or there is not one number per task.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.binary("buy")]
    >>> base = mz.architectures.hard_sharing(keras.Input((8,), name="x"), tasks, mz.encoders.mlp(16))
    >>> dataset = tf.data.Dataset.from_tensors((np.ones((4, 8)), {"click": np.ones(4), "buy": np.ones(4)}))
    >>> inputs, labels = next(iter(with_preferences(dataset, palora(base, tasks), [1.0, 3.0])))
    >>> inputs["preferences"].numpy()[0]
    array([1., 3.], dtype=float32)
    """
    arguments.instance("dataset", dataset, tf.data.Dataset)
    shapes = {x.name: x.shape for x in getattr(model, "inputs", None) or []}
    if PREFERENCES not in shapes:
        raise ValueError(
            f"`model` must have an input '{PREFERENCES}', as those of `palora`. Received: {list(shapes)}"
        )
    number = shapes.pop(PREFERENCES)[-1]
    row = arguments.per_task(PREFERENCES, arguments.preferences(preferences), number, 0.0)

    def add(x, *rest):
        x = x if isinstance(x, dict) else dict(zip(shapes, tf.nest.flatten(x), strict=True))
        size = tf.shape(next(iter(x.values())))[0]
        found = {**x, PREFERENCES: tf.broadcast_to(tf.constant(row, tf.float32), (size, number))}
        return (found, *rest) if rest else found

    return dataset.map(add, num_parallel_calls=tf.data.AUTOTUNE)


def sweep(trainer, dataset, preferences):
    """Return what a model of `palora` reaches with each of several preferences.

    Args:
        trainer: Compiled `Trainer` of the model.
        dataset: `tf.data.Dataset` of batches of `(inputs, labels)`, without preferences.
        preferences: Sequence of preferences, each as for `with_preferences`.

    Returns:
        List of one dictionary of logs per preferences, as `evaluate` returns them.

    Raises:
        ValueError: As for `with_preferences`.
    """
    data = [with_preferences(dataset, trainer.model, row) for row in preferences]
    return [trainer.evaluate(each, verbose=0, return_dict=True) for each in data]


def _check(graph, tasks):
    if len(tasks) < 2:
        raise ValueError(f"There must be at least two tasks to choose between. Received: tasks={tasks}")
    if PREFERENCES in {x.name for x in graph.inputs}:
        raise ValueError(f"`model` must not have an input '{PREFERENCES}' yet. Received: '{graph.name}'")


def _copies(graph, tasks, rank, scale, where):
    """Return the `Copies` with adapters where they are wanted."""
    found = places(graph)
    if where is None:
        common = _common(graph, tasks)
        found = {layer: paths for layer, paths in found.items() if layer in common}
    paths = chosen("where", where, [path for some in found.values() for path in some])
    return Copies(dict.fromkeys(paths, len(tasks)), found, rank, scale)


def _common(graph, tasks):
    """Return the operations that several tasks use."""
    used = [{call.operation for call in _pieces.calls([graph.output[task.name]])} for task in tasks]
    return {operation for some in used for operation in some if sum(operation in x for x in used) > 1}


def _logits(graph, inputs, copies, shares, tasks):
    """Return the tasks' logits, whose gradients count by the preferences."""

    def call(operation, *args, **kwargs):
        kwargs = {key: x for key, x in kwargs.items() if x is not None}
        if copies.numbers(operation):
            kwargs[PREFERENCES] = shares
        return copies.of(operation)(*args, **kwargs)

    outputs = graphs.run(graph, inputs, call)
    return {
        task.name: WeighedGradient(index, name=f"{task.name}_weighed")(outputs[task.name], shares)
        for index, task in enumerate(tasks)
    }
