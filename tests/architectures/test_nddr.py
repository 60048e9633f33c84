import functools

import keras
import numpy as np
import pytest

from mtl_zoo.architectures import nddr, single_task
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach


def test_contract():
    check_architecture(nddr, fixed=("nddr",), draws=True)  # batch normalization trains on the batch


def test_contract_without_normalization():
    check_architecture(functools.partial(nddr, normalization=None, activation="tanh"), fixed=("nddr",))


def test_parameter_counts():
    # Towers (4, 3) on 5 inputs; after each stage a reduction from 3 * 4 (3 * 3) to 4 (3) channels per task,
    # and 4 numbers per channel of batch normalization.
    towers = 3 * ((5 * 4 + 4) + (4 * 3 + 3))
    fusion = 3 * (12 * 4 + 4 * 4) + 3 * (9 * 3 + 4 * 3)
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(nddr).count_params() == towers + fusion + heads


def test_every_task_reaches_every_tower_of_the_first_stage():
    for path, names in reach(build(nddr)).items():
        if "_1" in path or "dense" in path or "nddr" in path:
            assert names == {"digit", "odd", "size"}
        else:
            assert names == {path.split("_")[0]}


def test_reductions_to_the_own_channels_make_separate_networks():
    model = build(functools.partial(nddr, diagonal=1.0, normalization=None, activation=None))
    separate = build(single_task)
    for layer in separate.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    x, _ = batch()
    for name, logits in separate(x).items():
        np.testing.assert_allclose(model(x)[name], logits, rtol=1e-5, atol=1e-6)


def test_errors():
    with pytest.raises(
        ValueError, match=r"`normalization` must be one of .* or None. Received: normalization='x'"
    ):
        nddr(keras.Input((5,)), TASKS, mlp(4), normalization="x")
