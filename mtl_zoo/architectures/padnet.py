"""Initial predictions of all tasks, distilled into final ones."""

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.architectures._refinement import all_outputs, local, predict
from mtl_zoo.encoders.encode import encode
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def padnet(inputs, tasks, encoder, head=default_head, activation="relu"):
    """Build a shared encoder, an initial prediction of each task, and a distillation among them.

    The features and logits of each task's initial prediction are refined by messages from the others', gated
    by attention (the paper's module C), before its head. Made for maps; on vectors and sequences the 3x3
    convolutions are dense layers.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        activation: Activation of the features of initial predictions. Defaults to `"relu"`.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}` and `{task name}_initial`, the initial
        logits, in the shape of the final ones. Train these too (deep supervision) with
        `mtl_zoo.auxiliary_tasks(model, tasks)`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or one has the name of another's
            initial prediction.

    Example:

    >>> tasks = [mz.Task.segmentation("part", 5), mz.Task.dense_regression("depth", 1)]
    >>> model = mz.architectures.padnet(keras.Input((8, 8, 3)), tasks, mz.encoders.convnet(4))
    >>> list(model.output)
    ['part', 'depth', 'part_initial', 'depth_initial']
    >>> trainer = mz.Trainer(model, [*tasks, *mz.auxiliary_tasks(model, tasks)])

    Reference:
        [Xu et al., 2018](https://arxiv.org/abs/1805.04409)

    Note:
        The paper's decoders enlarge by transposed convolutions; here the encoder decides the resolution
        (`encoders.unet`, for instance) and the head interpolates. The paper distils from initial predictions
        of further tasks too (contours, normals); pass such tasks like any other.
    """
    check_blueprint(inputs, tasks, encoder, head)
    arguments.activation("activation", activation)
    shared = encode(inputs, encoder, "shared")
    features, initial = {}, {}
    for task in tasks:
        name = f"{task.name}_initial"
        x = local(shared, shared.shape[-1], name, activation)
        features[task.name], initial[name] = predict(x, task, name)
    finals = {task.name: head(_distill(features, task.name), task) for task in tasks}
    return keras.Model(inputs, all_outputs(finals, initial), name="padnet")


def _distill(features, name):
    """Return `x_k + sigmoid(G_k x_k) * sum_i W_ki x_i` of task k, over the other tasks i."""
    x = features[name]
    channels = x.shape[-1]
    messages = [
        local(other, channels, f"{name}_from_{source}")
        for source, other in features.items()
        if source != name
    ]
    if not messages:
        return x
    gate = local(x, channels, f"{name}_gate", "sigmoid")
    received = layers.Add(name=f"{name}_received")(messages) if len(messages) > 1 else messages[0]
    gated = layers.Multiply(name=f"{name}_gated")([gate, received])
    return layers.Add(name=f"{name}_distilled")([x, gated])
