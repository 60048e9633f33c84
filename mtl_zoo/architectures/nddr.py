"""One encoder per task, fused by a reduction of all channels after every stage."""

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.encoders.resnet import NORMALIZATIONS
from mtl_zoo.features import mix_towers
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.nddr import NDDR
from mtl_zoo.validation import check_blueprint


def nddr(inputs, tasks, encoder, head=default_head, diagonal=0.9, normalization="batch", activation="relu"):
    """Build a tower per task that after every stage sees the channels of all, reduced to as many as it has.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        diagonal: Initial weight of a tower's own channels; the others share the rest. Defaults to 0.9.
        normalization: What follows a reduction: `"batch"`, `"layer"` or `None`. Defaults to `"batch"`.
        activation: Activation after it, or `None`. Defaults to `"relu"`.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or `normalization` is unknown.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.nddr(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> model.get_layer("nddr_1").kernel.shape.as_list()
    [2, 32, 16]

    Reference:
        [Gao et al., 2019](https://arxiv.org/abs/1801.08297)

    Note:
        The paper starts from trained single-task networks and adds shortcuts from all stages to the last;
        here all is trained at once, and a head sees the last stage.
    """
    check_blueprint(inputs, tasks, encoder, head)
    diagonal = arguments.number("diagonal", diagonal)
    arguments.option("normalization", normalization, sorted(NORMALIZATIONS), optional=True)
    arguments.activation("activation", activation)
    towers = [inputs] * len(tasks)
    for index, stage in enumerate(encoder, start=1):
        names = [f"{task.name}_{index}" for task in tasks]
        towers = [stage(x, name) for x, name in zip(towers, names, strict=True)]
        fuse = NDDR(diagonal, name=f"nddr_{index}")
        towers = mix_towers(lambda x, f=fuse, n=names: _finish(f(x), n, normalization, activation), towers)
    outputs = {task.name: head(x, task) for x, task in zip(towers, tasks, strict=True)}
    return keras.Model(inputs, outputs, name="nddr")


def _finish(towers, names, normalization, activation):
    """Normalize and activate."""
    if normalization:
        norms = [NORMALIZATIONS[normalization](name=f"{name}_norm") for name in names]
        towers = [norm(x) for norm, x in zip(norms, towers, strict=True)]
    if activation:
        units = [layers.Activation(activation, name=f"{name}_activation") for name in names]
        towers = [unit(x) for unit, x in zip(units, towers, strict=True)]
    return towers
