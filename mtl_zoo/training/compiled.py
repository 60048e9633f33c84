"""Tasks out of what a Keras model was compiled with."""

import functools
import re
from collections.abc import Callable

import keras
from keras import ops

from mtl_zoo import kinds, losses, metric_names
from mtl_zoo._activations import activation_of
from mtl_zoo.balancers.static import Static
from mtl_zoo.items import is_missing, is_missing_or
from mtl_zoo.outputs import graph_of, named
from mtl_zoo.task import Task
from mtl_zoo.validation import check_name

OF_TASKS = ("loss", "metrics", "loss_weights", "weighted_metrics")
REDUCTIONS = {"mean_with_sample_weight": "mean_with_sample_weight", "sum": "sum"}


def tasks_of(model, loss, metrics=None, loss_weights=None, weighted_metrics=None):
    """Return the tasks that `model.compile(loss=loss, metrics=metrics, ...)` sets a model.

    Every output with a loss becomes a task of its name. Losses, metrics and their means are those of
    `keras.Model.fit`; labels may be missing besides: NaN, and below 0 for crossentropies. A crossentropy of
    what the output's own softmax or sigmoid made is computed on the logits before it, as in Keras; any other
    loss on what the model returns: per value, pixel or token if it can be, else per example, else on the
    whole batch, whose labels must all be there then.

    Args:
        model: Functional or sequential `keras.Model`.
        loss: As in `keras.Model.compile`: one for all outputs, or a dict or list of one per output, where
            `None` means no task.
        metrics: Likewise. They get no sample weights.
        loss_weights: Likewise; they are checked here, and go to `mz.balancers.Static(loss_weights)`.
        weighted_metrics: As `metrics`; they get sample weights.

    Returns:
        List of `Task`.

    Raises:
        ValueError: If something is for an output that does not exist, or a loss does not suit its output.

    Example:

    >>> x = keras.Input((8,))
    >>> model = keras.Model(x, {"sex": keras.layers.Dense(1, "sigmoid")(x), "age": keras.layers.Dense(1)(x)})
    >>> losses = {"sex": "binary_crossentropy", "age": keras.losses.Huber()}
    >>> tasks = tasks_of(model, losses, metrics={"sex": ["accuracy"]})
    >>> [(task.name, [metric.name for metric in task.make_metrics()]) for task in tasks]
    [('sex', ['accuracy']), ('age', [])]
    """
    graph = graph_of(model)
    if graph is None:
        raise ValueError(
            "`model` must be functional or sequential for its tasks to be read off it; with a `call` of its "
            "own it needs `mz.Trainer(model, tasks)`. Received: " + type(model).__name__
        )
    found = named(graph.output, graph)
    order = _order(graph)
    of_outputs = per_output("loss", loss, order)
    per_output("loss_weights", loss_weights, order)
    lists = [_lists(*pair, order) for pair in (("metrics", metrics), ("weighted_metrics", weighted_metrics))]
    chosen = [name for name in found if of_outputs[name] is not None]
    if not chosen:
        raise ValueError(f"At least one output must have a loss. Received: loss={loss!r}")
    return [_task(name, found[name], of_outputs[name], *(some[name] for some in lists)) for name in chosen]


def per_output(what, given, order):
    """Return what every output gets, out of one for all, a dict, or a list.

    Args:
        what: Name of the argument, for errors.
        given: What `compile` got.
        order: Names of the outputs in the order of a list.

    Raises:
        ValueError: If a key is no output, or the list has another length.
    """
    if isinstance(given, dict):
        foreign = [name for name in given if name not in order]
        if foreign:
            raise ValueError(f"`{what}` must be for outputs, which are {order}. Received: {foreign}")
        return {name: given.get(name) for name in order}
    if isinstance(given, (list, tuple)):
        if len(given) != len(order):
            raise ValueError(
                f"`{what}` must be one for each of the outputs {order}, or a dict by their names. "
                f"Received: {len(given)} of them"
            )
        return dict(zip(order, given, strict=True))
    return dict.fromkeys(order, given)


def check_absent(loss, loss_weights, metrics, weighted_metrics):
    """Raise an error that names the remedy if `Trainer.compile` got what tasks define.

    Args:
        loss: As in `keras.Model.compile`, as the others.
        loss_weights: Likewise.
        metrics: Likewise.
        weighted_metrics: Likewise.

    Raises:
        ValueError: If one of them is there.
    """
    given = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics}
    given = [name for name, x in (given | {"weighted_metrics": weighted_metrics}).items() if x is not None]
    if given:
        raise ValueError(
            "Losses and metrics must be those of the tasks, `mz.Task.binary(name, loss=..., metrics=...)`, "
            "and weights of losses those of a balancer, `mz.balancers.Static`: `mz.tasks_of(model, loss)` "
            "makes tasks, `mz.Trainer.from_compiled(model)` a trainer, of what Keras' `compile` takes. "
            f"Received: {', '.join(given)} in `compile`"
        )


def arguments_of(model):
    """Return the arguments with which a model was compiled, by name.

    Raises:
        ValueError: If it was not compiled, or without a loss.
    """
    config = getattr(model, "_compile_config", None)
    if config is None or not model.compiled or config.config.get("loss") is None:
        raise ValueError(
            "`model` must be compiled with a loss: `model.compile(optimizer, loss=...)`. Received: "
            f"'{model.name}', which is not"
        )
    return config.config


def balancer_of(model, tasks, loss_weights, balancer=None):
    """Return the balancer that the weights with which a model was compiled mean.

    Args:
        model: Compiled model.
        tasks: Its tasks, as `tasks_of` returns them.
        loss_weights: What `compile` got.
        balancer: `Balancer` to take instead, where there are no weights. Defaults to none.

    Raises:
        ValueError: If there are weights and a balancer.
    """
    if loss_weights is None:
        return balancer
    if balancer is not None:
        raise ValueError(
            "There must be either `loss_weights` in `compile` or a `balancer`, which sets the weights. "
            f"Received: loss_weights={loss_weights}, balancer={type(balancer).__name__}"
        )
    weights = per_output("loss_weights", loss_weights, _order(model))
    return Static([1.0 if weights[task.output] is None else weights[task.output] for task in tasks])


def _order(model):
    """Return the names of a model's outputs in the order in which Keras takes lists of what is for them."""
    graph = graph_of(model)
    found = named(graph.output, graph)
    return sorted(found) if isinstance(graph.output, dict) else list(found)


def _lists(what, given, order):
    """Return the list of metrics of every output."""
    if len(order) == 1 and isinstance(given, (list, tuple)) and not _is_nested(given):
        return {order[0]: list(given)}
    some = per_output(what, given, order)
    return {name: x if isinstance(x, (list, tuple)) else [] if x is None else [x] for name, x in some.items()}


def _is_nested(given):
    return len(given) == 1 and isinstance(given[0], (list, tuple))


def _task(name, output, loss, metrics, weighted_metrics):
    """Return the task of one output."""
    fields = _fields_of_loss(name, losses.find(_resolved(name, loss)), output)
    accuracy = _accuracy(fields)
    plain, weighted = ([_maker(m, accuracy) for m in some] for some in (metrics, weighted_metrics))
    made = {metric.name for metric in metric_names.named_metrics(plain)}
    again = [functools.partial(_renamed, make, made) for make in weighted]
    task_name = _task_name(name)
    return Task(
        name=task_name,
        label_name=str(name),
        output=name,
        metrics=(*plain, *again),
        unweighted=tuple(sorted(made)),
        **fields,
    )


def _fields_of_loss(name, loss, output):
    """Return the fields of a task that its loss and the end of its output settle."""
    output_shape = tuple(output.shape[1:])
    activation, from_logits = _activation(loss, output)
    function = losses.on_logits(loss, activation, from_logits)
    label_shape, unit = _label_shape(loss, function, output_shape)
    given = getattr(loss, "reduction", None)
    return kinds.of_unit(function, unit, output_shape) | {
        "output_shape": output_shape,
        "label_shape": label_shape,
        "activation": activation,
        "max_label": output_shape[-1] - 1 if losses.name_of(loss) == losses.SPARSE else None,
        "missing": _missing(loss),
        "reduction": REDUCTIONS.get(given, "sum_over_batch_size"),
        "metrics_take_logits": from_logits and activation_of(output) is None,
    }


def _activation(loss, output):
    """Return what turns the logits of a task into predictions, and whether its loss takes logits."""
    wanted = losses.CROSSENTROPIES.get(losses.name_of(loss))
    from_logits = losses.takes_logits(loss)
    end = activation_of(output)
    if wanted is not None and (end is wanted or (from_logits and end is None)):
        return wanted, True
    return keras.activations.linear, from_logits


def _label_shape(loss, function, output_shape):
    """Return the shape of labels, and what the loss gives a number for: the first that it takes."""
    if losses.name_of(loss) == "ctc":
        return (None,), "example"
    shapes = [output_shape, output_shape[:-1]]
    if losses.name_of(loss) == losses.SPARSE:
        shapes = shapes[1:]
    for index, shape in enumerate(shapes):
        try:
            return shape, losses.unit(function, output_shape, shape)
        except ValueError:
            if index + 1 == len(shapes):
                raise


def _missing(loss):
    """Return the function that tells which labels are absent."""
    if losses.name_of(loss) not in losses.CROSSENTROPIES:
        return ops.isnan
    ignored = losses.ignored_class(loss)
    return is_missing if ignored is None else functools.partial(is_missing_or, ignored)


def _resolved(name, loss):
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        raise ValueError(
            "A crossentropy must be named whole: 'binary_crossentropy', 'categorical_crossentropy' or "
            f"'sparse_categorical_crossentropy', by the labels that there will be. Received: loss={loss!r} "
            f"of output '{name}'"
        )
    return loss


def _accuracy(fields):
    """Return what Keras means by "accuracy"."""
    if fields["output_shape"][-1] == 1:
        return keras.metrics.BinaryAccuracy
    if len(fields["label_shape"]) < len(fields["output_shape"]):
        return keras.metrics.SparseCategoricalAccuracy
    return keras.metrics.CategoricalAccuracy


def _maker(metric, accuracy):
    """Return a maker of a metric of `compile`, where a function is one of labels and predictions."""
    is_function = isinstance(metric, Callable) and not isinstance(metric, (type, keras.metrics.Metric))
    return metric_names.of_values(metric) if is_function else metric_names.maker(metric, accuracy)


def _renamed(make, used):
    metric = make()
    if metric.name in used:
        metric.name = f"weighted_{metric.name}"
    return metric


def _task_name(name):
    """Return a name that a task may have, as near to an output's as can be."""
    found = re.sub(r"\W", "_", str(name), flags=re.ASCII)
    found = found if found[:1].isalpha() else f"output_{found}"
    try:
        check_name(found)
    except ValueError:
        return f"{found}_output"
    return found
