"""Shared experts and experts per task, mixed by gates."""

import keras

from mtl_zoo import arguments
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.architectures.ple import extract
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def cgc(
    inputs, tasks, encoder, head=default_head, num_shared_experts=2, num_task_experts=2, shared_stages=None
):
    """Build shared experts and experts of each task, mixed by a gate per task (customized gate control).

    This is `ple` with one level.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_shared_experts: Number of experts that all tasks use. Defaults to 2.
        num_task_experts: Number of each task's own experts. Defaults to 2.
        shared_stages: Number of leading stages that come before experts and gates. Defaults to `None`: none
            for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.cgc(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> model.get_layer("click_1_gate").output.shape
    (None, 4)

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
    features = extract(x, [task.name for task in tasks], [stages], num_shared_experts, num_task_experts)
    return keras.Model(inputs, {task.name: head(features[task.name], task) for task in tasks}, name="cgc")
