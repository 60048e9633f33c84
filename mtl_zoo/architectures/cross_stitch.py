"""One encoder per task, mixed after every stage."""

import keras

from mtl_zoo import arguments
from mtl_zoo.features import mix_towers
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.cross_stitch import CrossStitch
from mtl_zoo.validation import check_blueprint


def cross_stitch(inputs, tasks, encoder, head=default_head, per_channel=True):
    """Build a tower per task with a cross-stitch unit after every stage.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        per_channel: Whether a unit has one matrix of weights per channel, or one for all channels.
            Defaults to `True`.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, or two tasks share a name.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.cross_stitch(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> model.get_layer("cross_stitch_1").kernel.shape.as_list()
    [2, 2, 16]

    Reference:
        [Misra et al., 2016](https://arxiv.org/abs/1604.03539)

    Note:
        The paper trains single-task networks first and stitches them afterwards. Here all is trained at once;
        to follow the paper, copy the weights of two trained networks into the towers' layers.
    """
    check_blueprint(inputs, tasks, encoder, head)
    per_channel = arguments.flag("per_channel", per_channel)
    features = [inputs] * len(tasks)
    for index, stage in enumerate(encoder, start=1):
        features = [stage(x, f"{task.name}_{index}") for x, task in zip(features, tasks, strict=True)]
        features = mix_towers(CrossStitch(per_channel=per_channel, name=f"cross_stitch_{index}"), features)
    outputs = {task.name: head(x, task) for x, task in zip(features, tasks, strict=True)}
    return keras.Model(inputs, outputs, name="cross_stitch")
