"""What architectures share that refine each task's features with those of the others."""

from keras import layers

from mtl_zoo.heads import fit


def local(x, channels, name, activation=None):
    """Return a 3x3 convolution of maps, and a dense layer of sequences and vectors."""
    if len(x.shape) == 4:
        return layers.Conv2D(channels, 3, padding="same", activation=activation, name=f"{name}_conv")(x)
    return layers.Dense(channels, activation=activation, name=f"{name}_dense")(x)


def initial_prediction(x, task, name):
    """Return logits of a task at every position of `x`, and the same as an output of the model."""
    logits = layers.Dense(task.output_shape[-1], dtype="float32", name=f"{name}_logits")(x)
    return logits, fit(logits, task, name)


def distill(features, name):
    """Refine each task's features by messages from all others, gated by its own features.

    Args:
        features: Dict from task names to tensors of one shape.
        name: Part of the layers' names.

    Returns:
        Dict likewise: `x_k + sum_i sigmoid(W_k x_k) * (W_ki x_i)`, over the other tasks i.
    """
    refined = {}
    for task, x in features.items():
        channels = x.shape[-1]
        messages = [
            local(other, channels, f"{task}_{name}_from_{source}")
            for source, other in features.items()
            if source != task
        ]
        if messages:
            gate = local(x, channels, f"{task}_{name}_gate", "sigmoid")
            total = layers.Add(name=f"{task}_{name}_sum")(messages) if len(messages) > 1 else messages[0]
            gated = layers.Multiply(name=f"{task}_{name}_gated")([gate, total])
            x = layers.Add(name=f"{task}_{name}_refined")([x, gated])
        refined[task] = x
    return refined
