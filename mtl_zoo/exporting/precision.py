"""The precision in which an artefact computes."""

import contextlib

import keras


def computing_in_bfloat16(model, wanted=True):
    """Let the layers of a model compute in bfloat16 within a block; what is traced there stays so.

    Variables stay float32, as do the layers that make the outputs and all layers whose type is not float32.

    Args:
        model: Functional `keras.Model`, which is as before after the block.
        wanted: Whether to do anything. Defaults to `True`.

    Returns:
        Context manager.
    """
    outputs = {id(output._keras_history.operation) for output in model.outputs}
    layers = [x for x in _layers(model) if wanted and id(x) not in outputs and _is_float32(x)]
    return _computing_in("mixed_bfloat16", layers)


def computing_in_float32(model):
    """Let the layers of half precision compute in float32 within a block, as `computing_in_bfloat16` does."""
    return _computing_in("float32", [x for x in _layers(model) if x.compute_dtype in ("float16", "bfloat16")])


@contextlib.contextmanager
def _computing_in(policy, layers):
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = keras.DTypePolicy(policy)
        yield
    finally:
        for layer, before in zip(layers, policies, strict=True):
            layer.dtype_policy = before


def _layers(model):
    return model._flatten_layers(include_self=False)


def _is_float32(layer):
    is_input = isinstance(layer, keras.layers.InputLayer)
    return not is_input and layer.dtype_policy.compute_dtype == layer.dtype_policy.variable_dtype == "float32"
