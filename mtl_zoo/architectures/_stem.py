"""The first stages of an encoder, which everything after them shares."""

import keras

from mtl_zoo import arguments
from mtl_zoo.encoders.encode import encode


def stem(inputs, encoder, shared_stages=None):
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
    is_tensor = isinstance(inputs, keras.KerasTensor) and keras.backend.is_float_dtype(inputs.dtype)
    if shared_stages is None:
        shared_stages = 0 if is_tensor and len(inputs.shape) == 2 else min(1, len(encoder) - 1)
    shared_stages = arguments.integer("shared_stages", shared_stages, 0)
    if shared_stages >= len(encoder):
        raise ValueError(
            f"`shared_stages` must leave at least one of the encoder's {len(encoder)} stages. "
            f"Received: shared_stages={shared_stages}"
        )
    if shared_stages == 0 and not is_tensor:
        raise ValueError(
            "Inputs other than one tensor of floats need a shared first stage, and another stage after it. "
            f"Received: shared_stages=0, an encoder of {len(encoder)} stages"
        )
    return encode(inputs, encoder[:shared_stages], "shared"), list(encoder[shared_stages:])
