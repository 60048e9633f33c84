"""The first stages of an encoder, which everything after them shares."""

import keras

from mtl_zoo import arguments
from mtl_zoo.encoders.encode import encode


def first_stages(inputs, encoder, shared_stages=None):
    """Apply the stages that everything after them shares.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        encoder: Sequence of stages.
        shared_stages: Number of leading stages to share. Defaults to `None`: none for one vector of floats,
            else one where there are several, since what follows needs features rather than pixels or tokens.

    Returns:
        Tuple of the features and the list of the other stages, of which there is at least one.

    Raises:
        ValueError: If no stage is left, or inputs that are not one tensor of floats would have no stage.
    """
    if shared_stages is None:
        shared_stages = 0 if _is_tensor(inputs) and len(inputs.shape) == 2 else min(1, len(encoder) - 1)
    first, rest = divide(inputs, encoder, shared_stages, "shared_stages")
    return encode(inputs, first, "shared"), rest


def divide(inputs, encoder, number, name):
    """Return the first stages of an encoder and the others, two lists.

    Args:
        inputs: As for `first_stages`.
        encoder: Sequence of stages.
        number: Number of the first ones.
        name: Name of the argument that says so.

    Raises:
        ValueError: As for `first_stages`.
    """
    number = arguments.integer(name, number, 0)
    if number >= len(encoder):
        raise ValueError(
            f"`{name}` must leave at least one of the encoder's {len(encoder)} stages. "
            f"Received: {name}={number}"
        )
    if number == 0 and not _is_tensor(inputs):
        raise ValueError(
            "Inputs other than one tensor of floats need a shared first stage, and another stage after it. "
            f"Received: {name}=0, an encoder of {len(encoder)} stages"
        )
    return list(encoder[:number]), list(encoder[number:])


def _is_tensor(inputs):
    """Return whether inputs are one tensor of floats."""
    return isinstance(inputs, keras.KerasTensor) and keras.backend.is_float_dtype(inputs.dtype)
