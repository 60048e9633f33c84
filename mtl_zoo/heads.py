"""From features to a task's logits."""

from keras import layers, ops

from mtl_zoo.features import pool
from mtl_zoo.kinds import kind_of

NEEDS = {2: "a sequence [batch, length, features]", 3: "maps [batch, height, width, features]"}


def head(x, task):
    """Return the logits of a task, by one linear layer.

    A task with a vector output sees sequences and maps averaged over their positions; but a ranking scores
    every position of a sequence of as many candidates. One with an output per token needs a sequence. One
    with an output per pixel needs maps, and its logits are interpolated to its size if it has one.

    Args:
        x: Features `[batch, features]`, a sequence `[batch, length, features]` or maps
            `[batch, height, width, features]`.
        task: `Task`.

    Returns:
        Float32 logits `[batch, *task.output_shape]`.

    Raises:
        ValueError: If the features are several tensors, or the task has an output per token or pixel and they
            have other axes.

    Example:

    >>> maps = keras.Input((8, 8, 16))
    >>> head(maps, mz.Task.classification("kind", 3)).shape
    (None, 3)
    >>> head(maps, mz.Task.segmentation("part", 5, size=(32, 32))).shape
    (None, 32, 32, 5)
    """
    if isinstance(x, (list, tuple, dict)):
        raise ValueError(
            f"The default head of task '{task.name}' needs one tensor as features. Received: {len(x)} of them"
        )
    rank = len(task.output_shape)
    name = f"{task.name}_logits"
    if kind_of(task) == "ranking" and tuple(x.shape[1:-1]) == task.output_shape:
        scores = layers.Dense(1, dtype="float32")(x)
        return layers.Reshape(task.output_shape, dtype="float32", name=name)(scores)
    if rank not in (1, len(x.shape) - 1):
        raise ValueError(
            f"The default head of task '{task.name}' with output shape {task.output_shape} needs as features "
            f"{NEEDS.get(rank, 'as many axes')}. Received: {x.shape}"
        )
    if rank == 1:
        x = pool(x, task.name)
    logits = layers.Dense(task.output_shape[-1], dtype="float32", name=name)(x)
    size = task.output_shape[:-1]
    if rank == 3 and None not in size and tuple(logits.shape[1:-1]) != size:
        return ops.image.resize(logits, size, interpolation="bilinear")
    return logits
