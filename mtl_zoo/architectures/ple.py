"""Shared experts and experts per task, extracted level by level."""

import itertools

import keras

from mtl_zoo import arguments
from mtl_zoo.architectures._experts import make_experts, mix, softmax_gate
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.architectures._levels import levels
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def ple(
    inputs,
    tasks,
    encoder,
    head=default_head,
    num_levels=None,
    num_shared_experts=2,
    num_task_experts=2,
    shared_stages=None,
):
    """Build levels of shared and task experts (progressive layered extraction).

    In every level a task's gate mixes its own experts and the shared ones into the task's input of the next
    level; in every level but the last a shared gate mixes all experts into the next shared input. A gate sees
    the input of its level.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages, which the levels divide among them.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_levels: Number of levels, each of at least one stage. Defaults to `None`: 2, or 1 if there is
            one stage.
        num_shared_experts: Number of shared experts in a level. Defaults to 2.
        num_task_experts: Number of each task's own experts in a level. Defaults to 2.
        shared_stages: Number of leading stages that come before experts and gates. Defaults to `None`: none
            for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.ple(keras.Input((8,)), tasks, mz.encoders.mlp(16, 8))
    >>> model.get_layer("shared_1_gate").output.shape, model.get_layer("click_2_gate").output.shape
    ((None, 6), (None, 4))

    Reference:
        [Tang et al., 2020](https://doi.org/10.1145/3383313.3412236)

    Note:
        As for `mmoe`, maps, sequences and columns go through `shared_stages` first and are averaged over
        positions before a gate sees them.
    """
    check_blueprint(inputs, tasks, encoder, head)
    num_shared_experts = arguments.integer("num_shared_experts", num_shared_experts, 1, arguments.COPIES)
    num_task_experts = arguments.integer("num_task_experts", num_task_experts, 1, arguments.COPIES)
    x, stages = first_stages(inputs, encoder, shared_stages)
    names = [task.name for task in tasks]
    outputs = extract(x, names, levels(stages, num_levels), num_shared_experts, num_task_experts)
    return keras.Model(inputs, {task.name: head(outputs[task.name], task) for task in tasks}, name="ple")


def extract(x, names, parts, num_shared_experts, num_task_experts):
    """Apply the levels.

    Args:
        x: Features that enter the first level.
        names: Names of the tasks.
        parts: List of one list of stages per level.
        num_shared_experts: Number of shared experts in a level.
        num_task_experts: Number of each task's own experts in a level.

    Returns:
        Dict from task names to features.
    """
    shared, own = x, dict.fromkeys(names, x)
    for level, stages in enumerate(parts, start=1):
        common = make_experts(shared, stages, f"shared_expert_{level}", num_shared_experts)
        experts = {
            name: make_experts(own[name], stages, f"{name}_expert_{level}", num_task_experts)
            for name in names
        }
        if level < len(parts):
            everyone = [*common, *itertools.chain(*experts.values())]
            shared = gated(shared, everyone, f"shared_{level}")
        own = {name: gated(own[name], [*experts[name], *common], f"{name}_{level}") for name in names}
    return own


def gated(x, experts, name):
    """Mix experts by a softmax gate on `x`."""
    return mix(softmax_gate(x, len(experts), name), experts, name)
