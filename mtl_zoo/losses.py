"""Losses of single items, out of whatever `keras.Model.compile` takes as a loss."""

import functools
import warnings

import keras
import numpy as np
from keras import ops

CROSSENTROPIES = {
    "binary_crossentropy": keras.activations.sigmoid,
    "binary_focal_crossentropy": keras.activations.sigmoid,
    "categorical_crossentropy": keras.activations.softmax,
    "categorical_focal_crossentropy": keras.activations.softmax,
    "sparse_categorical_crossentropy": keras.activations.softmax,
}
SPARSE = "sparse_categorical_crossentropy"
UNITS = ("value", "vector", "example", "batch")
REFUSALS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def find(loss):
    """Return a loss by its name, or itself.

    Args:
        loss: `keras.losses.Loss`, its name, or a function `(labels, outputs) -> losses`.

    Raises:
        ValueError: If it is none of these.

    Example:

    >>> find("mae").__name__
    'mean_absolute_error'
    """
    if isinstance(loss, type) and issubclass(loss, keras.losses.Loss):
        return loss()
    try:
        found = keras.losses.get(loss)
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise ValueError(
            "`loss` must be a `keras.losses.Loss`, the name of one, or a function `(labels, outputs) -> one "
            f"number per item`. Received: loss={loss!r}"
        )
    return found


def name_of(loss):
    """Return the name of the function that a loss computes; that of the class if it has none."""
    function = getattr(loss, "fn", loss)
    return getattr(function, "__name__", type(function).__name__)


def takes_logits(loss):
    """Return whether a loss says that it takes logits."""
    keywords = getattr(loss, "keywords", None) or {}
    return bool(keywords.get("from_logits", getattr(loss, "from_logits", False)))


def ignored_class(loss):
    """Return the class whose labels a loss leaves out, or `None`."""
    keywords = getattr(loss, "keywords", None) or {}
    return keywords.get("ignore_class", getattr(loss, "ignore_class", None))


def on_logits(loss, activation, from_logits=None):
    """Return a loss as a function of labels and logits, without reduction.

    A crossentropy of predictions is computed on the logits before its activation, which is the same number
    without overflow; any other loss of predictions on what `activation` makes of the logits.

    Args:
        loss: As `find` returns it. The reduction of a `keras.losses.Loss` is left out.
        activation: Function that turns logits into predictions.
        from_logits: Whether the loss takes logits. Defaults to what it says itself; a function that does not
            say takes predictions, as in Keras.

    Example:

    >>> loss = on_logits(keras.losses.BinaryCrossentropy(), keras.activations.sigmoid)
    >>> loss(np.ones((1, 1)), np.array([[1000.0]])).numpy().tolist()
    [0.0]
    """
    if CROSSENTROPIES.get(name_of(loss)) is activation:
        return functools.partial(_call, _with_logits(loss))
    if takes_logits(loss) if from_logits is None else from_logits:
        return functools.partial(_call, loss)
    if activation is keras.activations.linear:
        return functools.partial(_call, loss)
    return functools.partial(_call_activated, loss, activation)


def unit(loss, output_shape, label_shape):
    """Find out what a loss gives one number for, by trying it on random numbers.

    Args:
        loss: Function of labels and outputs, without reduction.
        output_shape: Shape of the output for one example; `None` for axes of any size.
        label_shape: Shape of the label of one example, likewise.

    Returns:
        One of `UNITS`: a `"value"`, of which a `"vector"` along the last axis takes the mean; an `"example"`;
        or the `"batch"`, whose examples it does not keep apart.

    Raises:
        ValueError: If it takes no such labels and outputs.

    Example:

    >>> unit(keras.losses.mean_squared_error, (3,), (3,)), unit(keras.losses.cosine_similarity, (3,), (3,))
    ('value', 'vector')
    """
    labels, outputs = _random(output_shape, label_shape)
    try:
        found = _numbers(loss, labels, outputs)
        if found.ndim and _same(_numbers(loss, labels[:2], outputs[:2]), found[:2]):
            return _part(loss, labels, outputs, found)
    except REFUSALS as refusal:
        raise ValueError(
            f"`loss` must take labels of shape {(None, *label_shape)} and outputs of shape "
            f"{(None, *output_shape)}. Received: {name_of(loss)}, which answers: {_line(refusal)}"
        ) from refusal
    return "batch"


@keras.saving.register_keras_serializable("mtl_zoo")
def _call(loss, labels, outputs):
    """Call a loss as Keras does, with labels in the type of the outputs, but without reduction."""
    labels = ops.cast(labels, outputs.dtype) if hasattr(outputs, "dtype") else labels
    return loss.call(labels, outputs) if isinstance(loss, keras.losses.Loss) else loss(labels, outputs)


@keras.saving.register_keras_serializable("mtl_zoo")
def _call_activated(loss, activation, labels, logits):
    return _call(loss, labels, activation(logits))


def _with_logits(loss):
    """Return a crossentropy with `from_logits=True`."""
    if isinstance(loss, keras.losses.Loss):
        return type(loss).from_config({**loss.get_config(), "from_logits": True})
    return functools.partial(loss, from_logits=True)


def _random(output_shape, label_shape):
    """Return labels and outputs of four examples from 0 to 1; classes begin at 1, for losses with blanks."""
    random = np.random.default_rng(0)
    outputs = random.uniform(0.1, 0.9, (4, *(size or 3 for size in output_shape)))
    shape = (4, *(size or 3 for size in label_shape))
    if len(label_shape) < len(output_shape):
        return random.integers(1, max(2, outputs.shape[-1]), shape), outputs.astype("float32")
    return random.uniform(0.1, 0.9, shape).astype("float32"), outputs.astype("float32")


def _part(loss, labels, outputs, found):
    """Return the smallest part of an example for which a loss of examples gives a number of its own."""
    last = outputs.shape[-1]
    if found.shape == outputs.shape and labels.shape == outputs.shape:
        return "value"
    if found.shape != outputs.shape[:-1]:
        return "example"
    flat = outputs.reshape(-1, last)
    if not _same(
        _tried(loss, labels.reshape(-1, *labels.shape[outputs.ndim - 1 :]), flat), found.reshape(-1)
    ):
        return "example"
    if labels.shape != outputs.shape:
        return "vector"
    single = _tried(loss, labels.reshape(-1, 1), outputs.reshape(-1, 1))
    each = single is not None and single.size == outputs.size
    return "value" if each and _same(single.reshape(flat.shape).mean(-1), found.reshape(-1)) else "vector"


def _tried(loss, labels, outputs):
    """Return the numbers of a loss, or `None` if it does not take these."""
    try:
        return _numbers(loss, labels, outputs)
    except REFUSALS:
        return None


def _numbers(loss, labels, outputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about shapes that a user will never see
        return ops.convert_to_numpy(loss(*map(ops.convert_to_tensor, (labels, outputs))))


def _same(one, other):
    return (
        one is not None and one.shape == other.shape and np.allclose(one, other, 1e-4, 1e-5, equal_nan=True)
    )


def _line(error):
    return " ".join(str(error).split())[:200]
