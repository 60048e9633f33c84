"""A chain of tasks, each of which adapts what the one before it knows."""

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.architectures._chains import is_binary
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.encoders.encode import encode
from mtl_zoo.features import pool
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.calibrator import Calibrator
from mtl_zoo.layers.information_transfer import InformationTransfer
from mtl_zoo.validation import check_blueprint


def aitm(inputs, tasks, encoder, head=default_head, calibration=0.6, activation="relu", shared_stages=None):
    """Build a tower per task and transfer information along the chain of tasks.

    From the second task on, attention weighs the information that comes from the task before, through a
    dense layer, against the tower's own features.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`s with a vector output, in the order of the chain.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        calibration: Strength of the penalty, in `model.losses`, on a binary task that is more probable than
            the binary task before it; 0 for events that do not need each other. Defaults to 0.6.
        activation: Activation of the transferred information. Defaults to `"relu"`.
        shared_stages: Number of leading stages that the towers share, in the paper the embeddings. Defaults
            to `None`: none for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or `calibration` is negative.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.binary("purchase")]
    >>> model = mz.architectures.aitm(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> [layer.name for layer in model.layers if "click_to" in layer.name]
    ['click_to_purchase']

    Reference:
        [Xi et al., 2021](https://arxiv.org/abs/2105.08489)

    Note:
        Features of sequences and maps are averaged over positions.
    """
    check_blueprint(inputs, tasks, encoder, head)
    calibration = arguments.number("calibration", calibration, least=0)
    arguments.activation("activation", activation)
    x, stages = first_stages(inputs, encoder, shared_stages)
    features = [pool(encode(x, stages, task.name), f"{task.name}_tower") for task in tasks]
    for index in range(1, len(tasks)):
        before, now = tasks[index - 1].name, tasks[index].name
        transfer = layers.Dense(features[index].shape[-1], activation=activation, name=f"{before}_to_{now}")
        attention = InformationTransfer(name=f"{now}_transfer")
        features[index] = attention([transfer(features[index - 1]), features[index]])
    outputs = [head(features[index], task) for index, task in enumerate(tasks)]
    for index in range(1, len(tasks)):
        if calibration and is_binary(tasks[index - 1]) and is_binary(tasks[index]):
            calibrator = Calibrator(calibration, name=f"{tasks[index].name}_calibrator")
            outputs[index] = calibrator([outputs[index - 1], outputs[index]])
    return keras.Model(inputs, {task.name: x for task, x in zip(tasks, outputs, strict=True)}, name="aitm")
