"""Inputs by name: what names there may be, and data in whatever structure a model takes it."""

import re

import keras

from mtl_zoo.training.inputs import matched, slots


def check_input_names(model):
    """Raise a `ValueError` unless TensorFlow's signatures can have inputs with the names of a model's.

    Args:
        model: Functional `keras.Model`.
    """
    names = [x.name for x in model.inputs]
    wrong = [name for name in names if not re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.>-]*", name)]
    as_parameters = [re.sub(r"\W", "_", name).lower() for name in names]
    if wrong or "self" in names or len(set(as_parameters)) < len(names):
        raise ValueError(
            "Inputs must have names of English letters, digits, '_', '-' and '.' that do not start with '_' "
            f"or '-', are not 'self', and differ in more than case and punctuation. Received: {names}"
        )


def by_name(model, inputs):
    """Return a batch of inputs, in a structure that a model takes, as a dict by the names of its inputs.

    Args:
        model: Functional `keras.Model`.
        inputs: Tensor or array, or a list or dict of such, as `keras.Model.predict` takes them. A dict may
            hold more than the model takes.

    Raises:
        ValueError: If there are more or fewer inputs than the model has, or a list is given where the order
            of the model's dict of inputs is not plain.
    """
    arrays = keras.tree.flatten(matched(slots(model), inputs))
    return dict(zip((x.name for x in model.inputs), arrays, strict=True))
