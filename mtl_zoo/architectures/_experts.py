"""Experts and their mixtures, as several architectures wire them."""

from keras import layers

from mtl_zoo.encoders.encode import encode
from mtl_zoo.features import check_floats, current, pool
from mtl_zoo.layers.mixture import Mixture


def make_experts(x, stages, prefix, number):
    """Return the features of `number` copies of the stages, named `{prefix}_1`, `{prefix}_2` ..."""
    return [encode(x, stages, f"{prefix}_{index}") for index in range(1, number + 1)]


def softmax_gate(x, num_experts, name):
    """Return weights `[batch, experts]` from features of any kind, averaged over their positions."""
    x = pool(current(x), f"{name}_gate")
    return layers.Dense(num_experts, activation="softmax", use_bias=False, name=f"{name}_gate")(x)


def mix(gate, experts, name):
    """Return the experts' features, weighted by a gate; every tensor of them where there are skips."""
    if len(experts) == 1:
        return experts[0]
    if not isinstance(experts[0], list):
        return Mixture(name=f"{name}_mixture")([gate, *experts])
    return [
        _mix_one(gate, tensors, f"{name}_mixture_{index}")
        for index, tensors in enumerate(zip(*experts, strict=True), start=1)
    ]


def _mix_one(gate, tensors, name):
    """Return the weighted tensors, or the one that all are."""
    if all(x is tensors[0] for x in tensors):
        return tensors[0]
    check_floats(tensors)
    return Mixture(name=name)([gate, *tensors])
