"""Embeddings and task towers, scaled by gates of what is known about the user and the domain."""

import keras
from keras import layers, ops

from mtl_zoo import arguments
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.architectures._priors import priors_of
from mtl_zoo.features import current, pool, replace_current
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.gate_unit import GateUnit
from mtl_zoo.validation import check_blueprint


def pepnet(
    inputs,
    tasks,
    encoder,
    head=default_head,
    domains=(),
    priors=(),
    gate_units=None,
    shared_stages=None,
):
    """Build shared features and a tower per task, all of whose layers are scaled by personal gates.

    A gate (`layers.GateUnit`) doubles a channel at most, or closes it. One gate scales the shared features
    by the domain (the paper's EPNet). Gates of every task scale what each stage of its tower returns by
    priors, such as the ids of user and item (PPNet). Every gate also sees the shared features, those
    of the towers as the first gate leaves them; their gradient does not flow back that way.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        domains: Names of inputs that tell the domain, keys of a dict of inputs or else their names. The gate
            sees what `shared_stages` make of each alone: of a column, its embedding or normalized number.
            Defaults to none: the gate sees the features alone.
        priors: Names of inputs for the gates of the towers, likewise. Defaults to none.
        gate_units: Number of units within a gate. Defaults to `None`: as many as it scales channels.
        shared_stages: Number of leading stages that come before the gates, in the paper the embeddings.
            Defaults to `None`: none for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, a number is out of range, or a
            name is not that of an input of which the shared stages make floats.

    Example:

    >>> data = {"age": np.array([20.0, 40.0]), "user": np.array([7, 8]), "page": np.array(["home", "cart"])}
    >>> encoder = mz.encoders.tabular(data, 16, embedding_dim=4)
    >>> inputs, tasks = mz.encoders.tabular_inputs(data), [mz.Task.binary("click"), mz.Task.binary("like")]
    >>> model = mz.architectures.pepnet(inputs, tasks, encoder, domains=["page"], priors=["user"])
    >>> model.get_layer("shared_gate").hidden.kernel.shape  # from 4 of the page and 1 + 4 + 4 features
    TensorShape([13, 9])

    Reference:
        [Chang et al., 2023](https://arxiv.org/abs/2302.01115)

    Note:
        The paper has one gate network per tower, whose output is cut into pieces, one per layer; here every
        stage of a tower has a gate of its own, behind it, and what the tower starts from has none but that of
        the domain. Features of sequences and maps are averaged over positions before a gate sees them, which
        scales their channels.
    """
    check_blueprint(inputs, tasks, encoder, head)
    if gate_units is not None:
        arguments.integer("gate_units", gate_units, 1, arguments.UNITS)
    x, stages = first_stages(inputs, encoder, shared_stages)
    of_domain, of_person = (
        priors_of(inputs, x, argument, names)
        for argument, names in (("domains", domains), ("priors", priors))
    )
    x = _scaled(x, _seen(of_domain, x, "shared"), gate_units, "shared")
    seen = _seen(of_person, x, "personal")
    outputs = {task.name: head(_tower(x, stages, seen, gate_units, task.name), task) for task in tasks}
    return keras.Model(inputs, outputs, name="pepnet")


def _seen(priors, x, name):
    """Return what gates see: the priors, and features whose gradient ends there."""
    parts = [*priors, ops.stop_gradient(pool(current(x), f"{name}_gate"))]
    return layers.Concatenate(name=f"{name}_prior")(parts) if priors else parts[0]


def _scaled(x, seen, units, name):
    return replace_current(x, GateUnit(units, name=f"{name}_gate")([current(x), seen]))


def _tower(x, stages, seen, units, name):
    """Apply stages, each with a gate behind it."""
    for index, stage in enumerate(stages, start=1):
        x = _scaled(stage(x, f"{name}_{index}"), seen, units, f"{name}_{index}")
    return x
