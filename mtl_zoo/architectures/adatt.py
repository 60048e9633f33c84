"""Experts per task, all fused for every task, and a task's own once more."""

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.architectures._experts import make_experts, mix, softmax_gate
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.architectures._levels import levels
from mtl_zoo.features import current, replace_current
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.stage_mixture import StageMixture
from mtl_zoo.validation import check_blueprint


def adatt(
    inputs,
    tasks,
    encoder,
    head=default_head,
    num_levels=None,
    num_task_experts=2,
    num_shared_experts=0,
    shared_stages=None,
):
    """Build levels of task experts, each fused with those of all other tasks (adaptive task-to-task fusion).

    In every level a softmax gate of each task mixes all experts; the task's own, in a linear combination
    with learned weights, are added. The sum is the task's input of the next level. With shared experts,
    which are a unit of their own, the same goes on for them in every level but the last. A gate sees the
    input of its level.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages, which the levels divide among them.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_levels: Number of levels, each of at least one stage. Defaults to `None`: 2, or 1 if there is
            one stage.
        num_task_experts: Number of each task's own experts in a level. Defaults to 2.
        num_shared_experts: Number of shared experts in a level. Defaults to 0, the paper's AdaTT-sp.
        shared_stages: Number of leading stages that come before experts and gates. Defaults to `None`: none
            for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.adatt(keras.Input((8,)), tasks, mz.encoders.mlp(16, 8))
    >>> model.get_layer("click_2_gate").output.shape, model.get_layer("click_2_own").kernel.shape
    ((None, 4), TensorShape([2]))

    Reference:
        [Li et al., 2023](https://doi.org/10.1145/3580305.3599769)

    Note:
        The authors' code draws the weights of a task's own experts around 0; here they start at their mean,
        `1 / num_task_experts`. A single one is added as it is, as there. As for `mmoe`, gates have no bias,
        and maps, sequences and columns go through `shared_stages` first and are averaged over positions
        before a gate sees them.
    """
    check_blueprint(inputs, tasks, encoder, head)
    num_task_experts = arguments.integer("num_task_experts", num_task_experts, 1, arguments.COPIES)
    num_shared_experts = arguments.integer("num_shared_experts", num_shared_experts, 0, arguments.COPIES)
    x, stages = first_stages(inputs, encoder, shared_stages)
    numbers = {task.name: num_task_experts for task in tasks} | {"shared": num_shared_experts}
    features = {name: x for name, number in numbers.items() if number}
    parts = levels(stages, num_levels)
    for level, part in enumerate(parts, start=1):
        experts = {
            name: make_experts(x, part, f"{name}_expert_{level}", numbers[name])
            for name, x in features.items()
        }
        if level == len(parts):
            features.pop("shared", None)
        features = {name: _fused(x, experts, name, f"{name}_{level}") for name, x in features.items()}
    return keras.Model(inputs, {task.name: head(features[task.name], task) for task in tasks}, name="adatt")


def _fused(x, experts, name, prefix):
    """Mix all experts, its own first, by a gate on `x`, and add its own."""
    own = experts[name]
    everyone = [*own, *(found for other, rest in experts.items() if other != name for found in rest)]
    mixed = mix(softmax_gate(x, len(everyone), prefix), everyone, prefix) if everyone[1:] else own[0]
    natives = [current(found) for found in own]
    native = StageMixture(1.0 / len(own), name=f"{prefix}_own")(natives) if len(own) > 1 else natives[0]
    return replace_current(mixed, layers.Add(name=f"{prefix}_fused")([current(mixed), native]))
