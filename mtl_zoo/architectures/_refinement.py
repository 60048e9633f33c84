"""What architectures share that predict every task first, then refine its features with the others'."""

from keras import layers, ops

from mtl_zoo.features import match, pool


def local(x, channels, name, activation=None):
    """Return a 3x3 convolution of maps, and a dense layer of sequences and vectors."""
    if len(x.shape) == 4:
        return layers.Conv2D(channels, 3, padding="same", activation=activation, name=f"{name}_conv")(x)
    return layers.Dense(channels, activation=activation, name=f"{name}_dense")(x)


def predict(x, task, name):
    """Predict a task at every position.

    Args:
        x: The task's features.
        task: `Task`.
        name: Name of the initial prediction.

    Returns:
        Tuple of the features with the logits added, by way of another layer; and of what `all_outputs` needs.
    """
    linear = layers.Dense(task.output_shape[-1], dtype="float32", name=f"{name}_logits")
    back = local(linear(x), x.shape[-1], f"{name}_back")
    return layers.Add(name=f"{name}_added")([x, back]), (task.name, linear, x)


def all_outputs(finals, initial):
    """Return the outputs of a model: final logits, and initial ones of their shapes.

    Args:
        finals: Dict from task names to logits.
        initial: Dict from names of initial predictions to what `predict` returned for them.

    Returns:
        Dict of both.

    Raises:
        ValueError: If a task has the name of an initial prediction.
    """
    both = sorted(set(finals) & set(initial))
    if both:
        raise ValueError(f"No task may have the name of another's initial prediction. Received: tasks {both}")
    outputs = {name: _logits(linear, x, finals[task], name) for name, (task, linear, x) in initial.items()}
    return finals | outputs


def _logits(linear, x, final, name):
    """Return logits with the positions of the final ones."""
    if len(final.shape) == 2:
        return linear(pool(x, name))
    return ops.cast(match(linear(x), final, name), "float32")
