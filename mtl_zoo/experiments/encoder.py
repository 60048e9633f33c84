"""Encoders for the inputs of a dataset, by what was chosen."""

import dataclasses
import functools

from keras import layers

from mtl_zoo import encoders


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
    is_table = isinstance(inputs, dict)
    if is_table != (choice.target is encoders.tabular):
        needs = "'tabular' for inputs that are" if is_table else "another for inputs that are no"
        raise ValueError(f"The encoder must be {needs} columns. Received: '{choice.text}'")
    if is_table:
        return choice.make(read())
    if choice.target is encoders.pretrained:
        shaped = choice.arguments | {"input_shape": tuple(inputs.shape[1:])}
        first, *rest = dataclasses.replace(choice, arguments=shaped).make()
        return [functools.partial(_on_bytes, stage=first), *rest]
    return choice.make()


def _on_bytes(x, name, stage):
    return stage(layers.Rescaling(255.0, dtype="float32", name=f"{name}_pixels")(x), name)
