"""Keras' optimizers, by what was chosen."""

import inspect

from mtl_zoo import arguments


def make_optimizer(choice, learning_rate):
    """Return a Keras optimizer.

    Args:
        choice: `choices.Choice` of an optimizer.
        learning_rate: Number or `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: If an argument is not of the kind of its default, which Keras does not see to, or the
            optimizer does not take its value.
    """
    defaults = inspect.signature(choice.target.__init__).parameters
    for name, value in choice.arguments.items():
        try:
            _check(name, value, defaults[name].default)
        except ValueError as error:
            raise ValueError(f"'{choice.text}': {error}") from error
    return choice.make(learning_rate)


def _check(name, value, default):
    if isinstance(default, bool):
        arguments.flag(name, value)
    elif name == "exclude_layers":
        arguments.texts(name, value)
    elif value is not None or not (default is None or name == "rms_rate"):  # which Muon can do without
        arguments.number(name, value)
