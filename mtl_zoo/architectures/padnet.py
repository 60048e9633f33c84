"""Initial predictions of all tasks, distilled into final ones."""

import keras

from mtl_zoo.architectures._refinement import distill, initial_prediction, local
from mtl_zoo.encoders.encode import encode
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def padnet(inputs, tasks, encoder, head=default_head):
    """Build a shared encoder, an initial prediction of each task, and a distillation among them.

    The features of each task's initial prediction are refined by messages from the others', gated by
    attention (the paper's module C), before its head. Made for maps; on vectors and sequences the 3x3
    convolutions are dense layers.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}` and `{task name}_initial`, the initial
        logits. Train these too (deep supervision) with `mtl_zoo.auxiliary_tasks(model, tasks)`.

    Raises:
        ValueError: If there is no task or no stage, or two tasks share a name.

    Example:

    >>> tasks = [mz.Task.segmentation("part", 5), mz.Task.dense_regression("depth", 1)]
    >>> model = mz.architectures.padnet(keras.Input((8, 8, 3)), tasks, mz.encoders.convnet(4))
    >>> list(model.output)
    ['part', 'depth', 'part_initial', 'depth_initial']

    Reference:
        [Xu et al., 2018](https://arxiv.org/abs/1805.04409)

    Note:
        The paper's decoders upsample by transposed convolutions; here the encoder decides the resolution
        (`encoders.unet`, for instance) and the head interpolates. The paper adds initial predictions of
        further tasks (contours, normals); pass such tasks like any other.
    """
    check_blueprint(tasks, encoder)
    shared = encode(inputs, encoder, "shared")
    outputs, features = {}, {}
    for task in tasks:
        name = f"{task.name}_initial"
        x = local(shared, shared.shape[-1], f"{task.name}_first", "relu")
        logits, outputs[name] = initial_prediction(x, task, name)
        features[task.name] = local(logits, shared.shape[-1], f"{task.name}_second")
    features = distill(features, "distilled")
    return keras.Model(
        inputs, {task.name: head(features[task.name], task) for task in tasks} | outputs, name="padnet"
    )
