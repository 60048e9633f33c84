"""Shared experts, of which each task's gate learns to keep a few."""

import keras

from mtl_zoo import arguments
from mtl_zoo.architectures._experts import make_experts, mix
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.features import current, pool
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.dselect_k_gate import DSelectKGate
from mtl_zoo.validation import check_blueprint


def dselect_k(
    inputs,
    tasks,
    encoder,
    head=default_head,
    num_experts=4,
    num_selected=2,
    gamma=1.0,
    entropy=1e-3,
    per_example=False,
    shared_stages=None,
):
    """Build several experts for all tasks and a gate per task that learns which few to use.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_experts: Number of experts, at least 2. Defaults to 4.
        num_selected: Largest number of experts of a task when its gate has decided, k. Defaults to 2.
        gamma: Width of the gates' smooth step. Defaults to 1.
        entropy: Strength of the penalty on undecided gates, in `model.losses`. Defaults to 1e-3.
        per_example: Whether gates are functions of the features, or the same for all examples. Defaults to
            `False`.
        shared_stages: Number of leading stages that come before experts and gates. Defaults to `None`: none
            for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.dselect_k(keras.Input((8,)), tasks, mz.encoders.mlp(16), num_experts=8)
    >>> model.get_layer("click_gate").num_bits
    3

    Reference:
        [Hazimeh et al., 2021](https://arxiv.org/abs/2106.03760)

    Note:
        All experts are computed also where a gate has decided: the weights are exact zeros, not shortcuts.
        See `mtl_zoo.layers.DSelectKGate` for numbers of experts that are not powers of two.
    """
    check_blueprint(inputs, tasks, encoder, head)
    num_experts = arguments.integer("num_experts", num_experts, 2, arguments.COPIES)
    num_selected = arguments.integer("num_selected", num_selected, 1, num_experts)
    gamma = arguments.number("gamma", gamma, above=0)
    entropy = arguments.number("entropy", entropy, least=0)
    per_example = arguments.flag("per_example", per_example)
    x, stages = first_stages(inputs, encoder, shared_stages)
    experts = make_experts(x, stages, "expert", num_experts)
    outputs = {}
    for task in tasks:
        gate = DSelectKGate(num_experts, num_selected, gamma, entropy, per_example, name=f"{task.name}_gate")
        weights = gate(pool(current(x), f"{task.name}_gate"))
        outputs[task.name] = head(mix(weights, experts, task.name), task)
    return keras.Model(inputs, outputs, name="dselect_k")
