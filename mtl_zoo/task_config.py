"""What a task is made of as plain values, as Keras saves them, and back."""

import functools
import warnings

import keras
from keras import ops

from mtl_zoo import class_weights

keras.saving.register_keras_serializable("mtl_zoo")(ops.isnan)  # the one operation that is a task's default

FUNCTIONS = ("loss", "activation", "missing", "where")
SHAPES = ("output_shape", "label_shape", "unweighted")


def of(task):
    """Return the configuration of a task, out of which `fields` makes its fields again.

    Args:
        task: `Task`.

    Raises:
        ValueError: If a loss, a metric or another function cannot be found again by its name.
    """
    plain = ("name", "item_size", "max_label", "label_name", "output", "per", "reduction")
    config = {name: getattr(task, name) for name in (*plain, "metrics_take_logits")}
    config |= {name: list(getattr(task, name)) for name in SHAPES}
    config |= {name: _encoded(task, name, getattr(task, name)) for name in FUNCTIONS}
    config["metrics"] = [_encoded(task, "metrics", metric) for metric in task.make_metrics()]
    config["class_weight"] = _class_weight(task)
    config["headline"] = list(task.headline) if isinstance(task.headline, tuple) else task.headline
    return config


def fields(config):
    """Return the fields of a task out of what `of` returned."""
    found = config | {name: tuple(config[name]) for name in SHAPES}
    found |= {name: _decoded(config[name]) for name in FUNCTIONS if name in config}
    return found | {"metrics": tuple(map(_decoded, config["metrics"]))}


def _class_weight(task):
    if class_weights.is_balanced(task):
        return class_weights.BALANCED
    return task.class_weight and [list(weights) for weights in task.class_weight]


def _encoded(task, name, value):
    """Return plain values for a function or an object."""
    if isinstance(value, functools.partial):
        keywords = {key: _encoded(task, name, x) for key, x in value.keywords.items()}
        parts = [_encoded(task, name, x) for x in (value.func, *value.args)]
        return {"partial": parts, "keywords": keywords}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        config = _config(value)
        keras.saving.deserialize_keras_object(config)  # refuses lambdas, too
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` of task '{task.name}' must be of Keras, or decorated by "
            f"`@keras.saving.register_keras_serializable()`, to be saved. Received: {value!r}"
        ) from error
    return config


def _config(value):
    """Return what Keras makes of a function or an object; all that a Huber loss is made with besides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about lambdas
        config = keras.saving.serialize_keras_object(value)
    if type(value) is keras.losses.Huber:  # whose configuration leaves `delta` out
        config["config"] |= value._fn_kwargs
    return config


def _decoded(config):
    if not isinstance(config, dict):
        return config
    if "partial" in config:
        function, *args = map(_decoded, config["partial"])
        return functools.partial(function, *args, **_decoded_all(config["keywords"]))
    return keras.saving.deserialize_keras_object(config)


def _decoded_all(keywords):
    return {key: _decoded(value) for key, value in keywords.items()}
