"""Shared experts, mixed for each task by a gate of its own."""

import keras

from mtl_zoo import arguments
from mtl_zoo.architectures._experts import make_experts, mix, softmax_gate
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def mmoe(inputs, tasks, encoder, head=default_head, num_experts=4, shared_stages=None):
    """Build several experts for all tasks and a softmax gate per task that mixes them.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_experts: Number of experts, at least 2. Defaults to 4.
        shared_stages: Number of leading stages that come before experts and gates. Defaults to `None`: none
            for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.mmoe(keras.Input((8,)), tasks, mz.encoders.mlp(16), num_experts=3)
    >>> model.get_layer("click_gate").output.shape
    (None, 3)

    Reference:
        [Ma et al., 2018](https://doi.org/10.1145/3219819.3220007)

    Note:
        The paper's gates see its input, a vector of features. Maps, sequences and columns go through
        `shared_stages` and are averaged over positions before a gate sees them.
    """
    check_blueprint(inputs, tasks, encoder, head)
    num_experts = arguments.integer("num_experts", num_experts, 2, arguments.COPIES)
    x, stages = first_stages(inputs, encoder, shared_stages)
    experts = make_experts(x, stages, "expert", num_experts)
    outputs = {}
    for task in tasks:
        features = mix(softmax_gate(x, num_experts, task.name), experts, task.name)
        outputs[task.name] = head(features, task)
    return keras.Model(inputs, outputs, name="mmoe")
