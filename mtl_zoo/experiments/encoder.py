"""Encoders for the inputs of a dataset, by what was chosen."""

import dataclasses
import functools

from keras import layers

from mtl_zoo import encoders

IMAGES = dict.fromkeys((encoders.convnet, encoders.resnet, encoders.unet), 4)
RANKS = {**IMAGES, encoders.spectrogram: 2}  # axes of the inputs, of those that take one number alone


def make_encoder(choice, inputs, read):
    """Return the stages of an encoder.

    What belongs to the data is given here: `tabular` is adapted on training examples, `pretrained` gets the
    shape of the images, and pixels as it wants them, from 0 to 255; those of the datasets are from 0 to 1.

    Args:
        choice: `choices.Choice` of an encoder.
        inputs: What the dataset's `inputs` returns.
        read: Function that returns the training split in batches.

    Returns:
        List of stages.

    Raises:
        ValueError: If the encoder does not take these inputs, or an argument is not right.
    """
    if not _suits(choice.target, inputs):
        found = "columns" if isinstance(inputs, dict) else f"{inputs.dtype} of the shape {inputs.shape}"
        raise ValueError(
            f"The encoder must suit the inputs of the dataset, {found}. Received: '{choice.text}'"
        )
    if choice.target is encoders.tabular:
        return choice.make(read())
    if choice.target is encoders.pretrained:
        shaped = choice.arguments | {"input_shape": tuple(inputs.shape[1:])}
        first, *rest = dataclasses.replace(choice, arguments=shaped).make()
        return [functools.partial(_on_bytes, stage=first), *rest]
    return choice.make()


def _suits(encoder, inputs):
    """Return whether an encoder takes inputs of such a kind."""
    if isinstance(inputs, dict) or encoder is encoders.tabular:
        return isinstance(inputs, dict) and encoder is encoders.tabular
    rank = len(inputs.shape)
    if encoder is encoders.transformer:
        return rank == 2 and "int" in inputs.dtype  # an embedding would take 0.9 for token 0
    return "float" in inputs.dtype and rank == RANKS.get(encoder, rank)


def _on_bytes(x, name, stage):
    return stage(layers.Rescaling(255.0, dtype="float32", name=f"{name}_pixels")(x), name)
