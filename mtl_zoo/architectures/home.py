"""Experts for all tasks, for groups of them and for each, in two levels."""

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.architectures._experts import make_experts, mix, softmax_gate
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.architectures._levels import levels
from mtl_zoo.architectures._norm import batch_norm
from mtl_zoo.features import current, pool, replace_current
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.feature_gate import FeatureGate
from mtl_zoo.layers.mixture import Mixture
from mtl_zoo.validation import check_blueprint


def home(
    inputs,
    tasks,
    encoder,
    head=default_head,
    groups=None,
    num_experts=2,
    gate_rank=8,
    num_feature_gates=2,
    shared_stages=None,
):
    """Build a hierarchy of gated experts: for all tasks, for groups of them, and for each (HoME).

    In the first level a gate of every group mixes its own experts and those for all, and one for all mixes
    everyone's. In the second a task's gate mixes experts for all, on the latter, and its group's and its own,
    on its group's features; the gate sees both. Every mixture adds its own experts once more, by a gate of
    their own. Every expert ends in batch normalization and swish, and each kind sees the features through a
    `layers.FeatureGate` of its own.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages, which the two levels divide among them. Of a single one after the shared
            stages, there is the second level alone.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        groups: Sequence of sequences of the tasks' names, each task in one. Defaults to `None`: one group.
        num_experts: Number of experts of each kind in a level. Defaults to 2.
        gate_rank: Rank of the feature gates. Defaults to 8.
        num_feature_gates: Number of gates that a feature gate mixes. Defaults to 2.
        shared_stages: Number of leading stages that come before experts and gates. Defaults to `None`: none
            for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, a number is out of range, a task
            is in no group or in two, or is called as a part of the model.

    Example:

    >>> tasks = [mz.Task.binary(name) for name in ("click", "like", "watch")]
    >>> encoder, groups = mz.encoders.mlp(16, 8), [["click", "like"], ["watch"]]
    >>> model = mz.architectures.home(keras.Input((8,)), tasks, encoder, groups=groups)
    >>> [model.get_layer(f"{name}_gate").output.shape[1] for name in ("group_1_meta", "shared_meta", "click")]
    [4, 6, 6]

    Reference:
        [Wang et al., 2024](https://arxiv.org/abs/2408.05430)

    Note:
        An expert's stages keep their activation before the normalization: for the paper's experts, whose last
        layer is linear there, give the encoder `activation=None`. Number, rank and mixture of the gates have
        defaults of this library, as has the momentum 0.9 of the normalization's averages. Sequences and maps
        are averaged over positions before a gate sees them.
    """
    check_blueprint(inputs, tasks, encoder, head)
    gate = {
        "rank": arguments.integer("gate_rank", gate_rank, 1, arguments.UNITS),
        "num_gates": arguments.integer("num_feature_gates", num_feature_gates, 1, arguments.COPIES),
    }
    num_experts = arguments.integer("num_experts", num_experts, 1, arguments.COPIES)
    members = _members([task.name for task in tasks], groups)
    x, stages = first_stages(inputs, encoder, shared_stages)
    parts = levels(stages)
    features = dict.fromkeys(["shared", *members], x)
    if len(parts) > 1:
        features = _meta(x, features, parts[0], num_experts, gate)
    outputs = _of_tasks(features, members, parts[-1], num_experts, gate)
    return keras.Model(inputs, {task.name: head(outputs[task.name], task) for task in tasks}, name="home")


def _members(names, groups):
    """Return a dict from names of groups to the names of their tasks."""
    given = [names] if groups is None else groups
    rows = given if isinstance(given, (list, tuple)) else []
    rows = [arguments.texts("groups", row) for row in rows]
    if sorted(name for row in rows for name in row) != sorted(names) or not all(rows):
        raise ValueError(
            f"`groups` must be sequences of task names, with each of {names} in one. "
            f"Received: groups={groups!r}"
        )
    members = {f"group_{index}": row for index, row in enumerate(rows, start=1)}
    taken = [name for name in names if name.removesuffix("_meta") in {"shared", *members}]
    if taken:
        raise ValueError(f"Tasks of `home` must not be called as its parts are. Received: {taken}")
    return members


def _meta(x, kinds, stages, number, gate):
    """Return the features for all tasks and for groups, by the name of the kind."""
    experts = {kind: _experts(x, stages, f"{kind}_meta", number, gate) for kind in kinds}
    seen = pool(current(x), "meta_seen")
    found = {}
    for kind, own in experts.items():
        others = [rest for other, rest in experts.items() if other != kind and "shared" in (kind, other)]
        found[kind] = _mixed(seen, own, others, f"{kind}_meta")
    return found


def _of_tasks(features, members, stages, number, gate):
    """Return the features of tasks by name."""
    kinds = {kind: _experts(x, stages, kind, number, gate) for kind, x in features.items()}
    found = {}
    for group, names in members.items():
        seen = _seen(features[group], features["shared"], group)
        for name in names:
            own = _experts(features[group], stages, name, number, gate)
            found[name] = _mixed(seen, own, [kinds[group], kinds["shared"]], name)
    return found


def _seen(x, shared, name):
    """Return what a task's gates see: the features of its group and those for all."""
    parts = [pool(current(x), f"{name}_seen"), pool(current(shared), f"{name}_seen_shared")]
    return layers.Concatenate(name=f"{name}_seen")(parts) if x is not shared else parts[0]


def _experts(x, stages, name, number, gate):
    """Return experts of one kind, behind their feature gate."""
    x = replace_current(x, FeatureGate(**gate, name=f"{name}_feature_gate")(current(x)))
    experts = make_experts(x, stages, f"{name}_expert", number)
    return [_normalized(y, f"{name}_expert_{index}") for index, y in enumerate(experts, start=1)]


def _normalized(x, name):
    y = batch_norm(current(x), f"{name}_norm")
    return replace_current(x, layers.Activation("swish", name=f"{name}_swish")(y))


def _mixed(seen, own, others, name):
    """Mix a kind's own experts and lists of others, and add its own, by two gates."""
    everyone = [*own, *(x for experts in others for x in experts)]
    mixed = mix(softmax_gate(seen, len(everyone), name), everyone, name)
    activation = "softmax" if len(own) > 1 else "sigmoid"
    gate = layers.Dense(len(own), activation=activation, use_bias=False, name=f"{name}_self_gate")(seen)
    alone = Mixture(name=f"{name}_self_mixture")([gate, *map(current, own)])
    return replace_current(mixed, layers.Add(name=f"{name}_mixed")([current(mixed), alone]))
