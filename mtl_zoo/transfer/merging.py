"""One model for all tasks of several that were trained from the same weights."""

import keras
import numpy as np

from mtl_zoo import arguments
from mtl_zoo.transfer import batch_statistics, trunk
from mtl_zoo.transfer.joining import join
from mtl_zoo.transfer.merging_methods import METHODS, average
from mtl_zoo.transfer.weight_matrices import input_axes


def merge(base, models, method="task_arithmetic", scale=None, data=None):
    """Merge models that were trained from the same weights into one with all their outputs.

    What `base` and all models have in common, up to the last layer with weights before each output, becomes
    one trunk: the weights of `base` plus `scale` times what the method makes of the differences to them.
    Everything else of a model is a head and stays as it is. Nothing is trained and no data are needed.

    | `method` | | `scale` |
    |---|---|---|
    | `"average"` | mean of the weights | 1.0 |
    | `"task_arithmetic"` | sum of the differences (Ilharco et al., 2023) | 0.3 |
    | `"ties"` | mean of the largest 20% that agree in sign, over all weights (Yadav et al., 2023) | 1.0 |
    | `"tsv_m"` | largest singular directions of each task, orthogonal (Gargiulo et al., 2025) | 1.0 |
    | `"iso_c"` | sum with equal singular values (Marczak et al., 2025) | 1.0 |
    | `"wudi"` | least interference on the inputs of each task (Cheng et al., 2025) | 1.0 |

    The last three work on matrices, of inputs by outputs: kernels of dense, convolutional, recurrent and
    attention layers, and tables of embeddings. Biases and other vectors are averaged there, as in the
    authors' code.

    Args:
        base: Functional `keras.Model`, or path of a `.keras` file: the model as it was before the trainings,
            or its trunk alone.
        models: Sequence of at least one functional `keras.Model` or path likewise. Layers of the trunk have
            the names that they have in `base`, as in copies.
        method: One of the names above. Defaults to `"task_arithmetic"`.
        scale: Factor of the merged differences. Defaults to `None`: that of the table.
        data: `tf.data.Dataset` of batches like those of all tasks together, of inputs or of `(inputs,
            labels)`, on which the statistics of batch normalization are found anew. Defaults to `None`: in
            the trunk they are the means of those of the models, only near to what they should be.

    Returns:
        New functional `keras.Model` from the inputs of `base` to a dict of all outputs: by their keys in a
        model with a dict of outputs, by the names of their layers elsewhere.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If an argument is of the wrong kind, a model is not functional, inputs or layers of one
            name differ, no layer with weights is common to all, two outputs have one name, or weights are not
            finite.

    Note:
        Weights that a layer does not train, statistics of batch normalization for instance, are averaged by
        every method. A paper's best `scale` is one for eight vision transformers: choose yours by `tune`.

    Example:

    >>> def network(name, tasks):
    ...     inputs = keras.Input((4,))
    ...     x = keras.layers.Dense(8, name="shared")(inputs)
    ...     return keras.Model(inputs, {task: keras.layers.Dense(1)(x) for task in tasks}, name=name)
    >>> base, left, right = network("base", ["any"]), network("left", ["left"]), network("right", ["right"])
    >>> for model in (left, right):
    ...     model.get_layer("shared").set_weights(base.get_layer("shared").get_weights())  # and train it
    >>> merged = mz.transfer.merge(base, [left, right], "tsv_m")
    >>> sorted(merged.output)
    ['left', 'right']
    """
    base, models, scale = check(base, models, method, scale, data)
    graphs, common = trunk.find(base, models)
    model = join(graphs, common)
    _set_trunk(model, [trunk.layers_of(graph, common) for graph in graphs], METHODS[method], scale)
    if data is not None:
        batch_statistics.estimate(model, data)
    return model


def check(base, models, method, scale, data):
    """Return a base and models, read from files if they are paths, and a scale, the method's for `None`."""
    if not isinstance(models, (list, tuple)) or not models:
        raise ValueError(f"`models` must be a sequence of at least one model. Received: models={models!r}")
    arguments.option("method", method, list(METHODS))
    scale = METHODS[method].scale if scale is None else arguments.number("scale", scale)
    if data is not None:
        batch_statistics.check_dataset("data", data)
    found = [trunk.read(f"models[{index}]", model) for index, model in enumerate(models)]
    return trunk.read("base", base), found, scale


def _set_trunk(model, trunks, method, scale):
    """Set the weights of the trunk of a model.

    Args:
        model: Model with the trunk.
        trunks: List of dicts from names to layers, of the base and of all models.
        method: `Method`.
        scale: Factor of what it makes.
    """
    layers = [model.get_layer(name) for name in trunks[0]]
    base, *values = (_values(trunk, trunks[0]) for trunk in trunks)
    weights = [x for layer in layers for x in layer.weights]
    axes = [x for layer in layers for x in input_axes(layer)]
    trained = [flag for layer in layers for flag in _is_trained(layer)]
    merged = {index: average([found[index] for found in values]) for index in range(len(weights))}
    chosen = [index for index, flag in enumerate(trained) if flag]
    updates = [np.stack([found[index] - base[index] for found in values]) for index in chosen]
    combined = method.combine(updates, [axes[index] for index in chosen])
    merged |= {index: base[index] + scale * x for index, x in zip(chosen, combined, strict=True)}
    for weight, start, value in zip(weights, base, merged.values(), strict=True):
        weight.assign(value if keras.backend.is_float_dtype(weight.dtype) else start)


def _values(trunk, names):
    """Return all weights of a trunk as float64, in the order of the names of its layers."""
    found = [np.asarray(x, "float64") for name in names for x in trunk[name].get_weights()]
    if not all(np.isfinite(x).all() for x in found):
        raise ValueError(f"Weights must be finite. Received: NaN or infinity in layers {list(names)}")
    return found


def _is_trained(layer):
    """Return for every weight of a layer whether training changes it, be the layer frozen or not."""
    inner = layer._flatten_layers()
    flags = [(x, x.trainable) for x in inner]
    layer.trainable = True
    found = [x.trainable and keras.backend.is_float_dtype(x.dtype) for x in layer.weights]
    for x, flag in flags:  # outer layers come first, and set inner ones
        x.trainable = flag
    return found
