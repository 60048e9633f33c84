"""One shared encoder, of which each task attends to a part after every stage."""

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.architectures._norm import batch_norm
from mtl_zoo.features import current, match
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def mtan(inputs, tasks, encoder, head=default_head, reduction=1):
    """Build a shared encoder with an attention module per task and stage.

    A module sees the shared features of its stage and what its task attended to in the stage before. It
    returns a mask from 0 to 1 for every channel and position, times the shared features.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        reduction: Factor between a stage's channels and those inside a module. Defaults to 1.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or `reduction` is below 1.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.mtan(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> model.get_layer("click_1_mask").output.shape
    (None, 16)

    Reference:
        [Liu et al., 2019](https://arxiv.org/abs/1803.10704)

    Note:
        The paper's masks come from the first convolution of a block and weigh the second; stages are opaque
        here, so both are the stage's output. The paper's shared 3x3 convolution and pooling between modules
        is an average over positions and a linear map per task. The averages of batch normalization have
        momentum 0.9, as in the authors' code.
    """
    check_blueprint(inputs, tasks, encoder, head)
    reduction = arguments.integer("reduction", reduction, 1, arguments.UNITS)
    x, attended = inputs, dict.fromkeys(task.name for task in tasks)
    for index, stage in enumerate(encoder, start=1):
        x = stage(x, f"shared_{index}")
        for name, previous in attended.items():
            attended[name] = _attend(current(x), previous, f"{name}_{index}", reduction)
    return keras.Model(inputs, {task.name: head(attended[task.name], task) for task in tasks}, name="mtan")


def _attend(shared, previous, name, reduction):
    """Return the shared features, masked."""
    x = shared
    if previous is not None:
        x = layers.Concatenate(name=f"{name}_concatenate")([x, match(previous, shared, f"{name}_previous")])
    x = layers.Dense(max(1, shared.shape[-1] // reduction), use_bias=False, name=f"{name}_inner")(x)
    x = layers.ReLU(name=f"{name}_relu")(batch_norm(x, f"{name}_inner_norm"))
    x = layers.Dense(shared.shape[-1], use_bias=False, name=f"{name}_outer")(x)
    mask = layers.Activation("sigmoid", name=f"{name}_mask")(batch_norm(x, f"{name}_outer_norm"))
    return layers.Multiply(name=f"{name}_attended")([mask, shared])
