"""The inputs of a model, and data for them by name, in whatever structure they come."""

import dataclasses

import keras

from mtl_zoo.layers.position_embedding import PositionEmbedding

KEEPING_LENGTH = keras.layers.Embedding, keras.layers.StringLookup, keras.layers.Dropout


@dataclasses.dataclass(frozen=True)
class Slot:
    """Place for one input of a model.

    Args:
        name: Name of the `keras.Input`.
        max_length: Largest size of its first axis after the batch, or `None` for any.
        limited_by: Name of the layer that limits it.
    """

    name: str
    max_length: int | None = None
    limited_by: str = ""


def slots(model):
    """Return the inputs of a functional model as `Slot`s, in the structure in which it takes them."""
    limits = _limits(model)
    return keras.tree.map_structure(lambda x: Slot(x.name, *limits.get(x.name, ())), model.input)


def matched(wanted, x):
    """Return inputs in the structure that a model takes, without those that it does not take.

    Args:
        wanted: What `slots` returns.
        x: Inputs of any kind, or a structure of them; of a dict, the keys count.

    Returns:
        Structure like `wanted`, or `x` itself if it is not a dict.

    Raises:
        ValueError: If there are more or fewer inputs than the model has, or a list of them is given to a
            model with a dict of inputs whose order is not that of their sorted keys. Keras refuses it too.

    Example:

    >>> inputs = [keras.Input((1,), name="age"), keras.Input((1,), name="income")]
    >>> model = keras.Model(inputs, keras.layers.Add()(inputs))
    >>> matched(slots(model), {"city": 1, "income": 2, "age": 3})
    (3, 2)
    """
    names = _names(wanted)
    if isinstance(x, dict) and names:
        return _by_key(wanted, x, names)
    given, flat = len(keras.tree.flatten(x)), keras.tree.flatten(wanted)
    if given != len(flat):
        raise ValueError(_message(names or [slot.name for slot in flat], given))
    if isinstance(wanted, dict) and not isinstance(x, dict) and list(wanted) != sorted(wanted):
        raise ValueError(
            f"Inputs of a model that has them by name must be a dict with the keys {list(wanted)}. "
            f"Received: {type(x).__name__}, whose order may be another"
        )
    return x


def unknown(wanted, x):
    """Return the keys of inputs that `matched` leaves out."""
    names = _names(wanted)
    return [key for key in x if key not in names] if isinstance(x, dict) and names else []


def _by_key(wanted, x, names):
    missing = [name for name in names if name not in x]
    if missing:
        raise ValueError(f"{_message(names, len(names) - len(missing))}, without {missing}")
    values = [x[name] for name in names]
    if isinstance(wanted, dict):
        return dict(zip(names, values, strict=True))
    return values[0] if isinstance(wanted, Slot) else tuple(values)


def _message(names, given):
    return f"A batch must hold the inputs {names}. Received: {given} tensors"


def _names(wanted):
    """Return the names of one slot, or of a list or dict of slots; none of what is nested."""
    if isinstance(wanted, dict):
        return list(wanted)
    slots = [wanted] if isinstance(wanted, Slot) else wanted
    return [slot.name for slot in slots] if all(isinstance(slot, Slot) for slot in slots) else []


def _limits(model):
    """Return pairs of a largest length and the layer that sets it, by names of inputs."""
    found = {}
    for layer in model.layers:
        if isinstance(layer, PositionEmbedding):
            tensor = layer.input if len(layer._inbound_nodes) == 1 else None
            while tensor is not None and isinstance(tensor._keras_history.operation, KEEPING_LENGTH):
                operation, index, _ = tensor._keras_history
                tensor = operation._inbound_nodes[index].input_tensors[0]
            if tensor is not None and isinstance(tensor._keras_history.operation, keras.layers.InputLayer):
                found[tensor.name] = (layer.max_length, layer.name)
    return found
