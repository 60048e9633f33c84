"""One encoder per task, mixed by subspaces after every stage, and all stages mixed at the end."""

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.architectures._penalties import SubspaceOrthogonality
from mtl_zoo.features import current, match, mix_towers
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.sluice import Sluice
from mtl_zoo.layers.stage_mixture import StageMixture
from mtl_zoo.validation import check_blueprint

SPLIT = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)  # the last axis of a kernel: the units


def sluice(inputs, tasks, encoder, head=default_head, num_subspaces=2, orthogonality=1e-3):
    """Build a tower per task whose subspaces mix after every stage, and whose heads see all stages.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_subspaces: Number of parts of a stage's channels, which must divide them; for a stage whose
            channels it does not divide there is one part. Defaults to 2.
        orthogonality: Strength of the penalty, in `model.losses`, that keeps subspaces apart: a
            `SubspaceOrthogonality` of the kernels of all dense and convolutional layers that give a stage's
            channels. Other stages have none. Defaults to 1e-3.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.sluice(keras.Input((8,)), tasks, mz.encoders.mlp(16, 8))
    >>> [model.get_layer(name).kernel.shape.as_list() for name in ("sluice_1", "click_stages")]
    [[4, 4], [2]]

    Reference:
        [Ruder et al., 2019](https://arxiv.org/abs/1705.08142)

    Note:
        The paper's layers have one size. Here every stage is brought to the size of the last one before the
        mixture of stages: averaged or interpolated over positions, and projected linearly to its channels.

        The authors' code multiplies the matrices of two subspaces over units, which is 0 only where one of
        them sees nothing; here they are multiplied over inputs, as the paper's formula says.
    """
    check_blueprint(inputs, tasks, encoder, head)
    num_subspaces = arguments.integer("num_subspaces", num_subspaces, 1, arguments.COPIES)
    orthogonality = arguments.number("orthogonality", orthogonality, least=0)
    towers, stages, known = [inputs] * len(tasks), [], set()
    for index, stage in enumerate(encoder, start=1):
        towers = [stage(x, f"{task.name}_{index}") for x, task in zip(towers, tasks, strict=True)]
        channels = current(towers[0]).shape[-1]
        parts = 1 if channels % num_subspaces else num_subspaces
        new = set(keras.Model(inputs, towers)._flatten_layers()) - known
        if orthogonality and parts > 1:
            _keep_apart(new, channels, parts, orthogonality)
        known |= new
        towers = mix_towers(Sluice(parts, name=f"sluice_{index}"), towers)
        stages.append([current(x) for x in towers])
    outputs = {
        task.name: head(_mix(x, task), task) for x, task in zip(zip(*stages, strict=True), tasks, strict=True)
    }
    return keras.Model(inputs, outputs, name="sluice")


def _keep_apart(found, channels, num_subspaces, strength):
    """Regularize the layers that give a stage's channels, beside what they have."""
    for layer in found:
        if isinstance(layer, SPLIT) and layer.kernel.shape[-1] == channels:
            also = layer.kernel_regularizer
            also = also.also if isinstance(also, SubspaceOrthogonality) else also  # of another model
            penalty = SubspaceOrthogonality(num_subspaces, strength, also)
            layer.kernel_regularizer = layer.kernel.regularizer = penalty


def _mix(stages, task):
    """Return the mixture of a tower's stages, brought to the shape of the last one."""
    matched = [match(x, stages[-1], f"{task.name}_from_{index}") for index, x in enumerate(stages, start=1)]
    return StageMixture(name=f"{task.name}_stages")(matched)
