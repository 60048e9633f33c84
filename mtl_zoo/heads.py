"""From features to a task's logits."""

from keras import layers

from mtl_zoo.features import pool


def head(x, task):
    """Return the logits of a task with a vector output.

    Sequences and maps are averaged over positions first.

    Args:
        x: Features `[batch, features]`, a sequence `[batch, length, features]` or maps
            `[batch, height, width, features]`.
        task: `Task` whose output is a vector.

    Returns:
        Float32 logits `[batch, *task.output_shape]`.

    Raises:
        ValueError: If the task's output is not a vector.
    """
    if len(task.output_shape) != 1:
        raise ValueError(
            "The default head serves tasks whose output is a vector; pass a function `(features, task) -> "
            f"logits` as `head`. Received: task '{task.name}' with output shape {task.output_shape}"
        )
    x = pool(x, task.name)
    return layers.Dense(task.output_shape[0], dtype="float32", name=f"{task.name}_logits")(x)
