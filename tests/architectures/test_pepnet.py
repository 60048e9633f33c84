import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.architectures import pepnet
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, build, check_graph, reach

ROWS = {
    "age": np.array([20.0, 40.0, 30.0], "float32"),
    "user": np.array([7, 8, 7]),
    "page": np.array(["home", "cart", "home"]),
}
NAMED = {"domains": ["page"], "priors": ["user", "page"]}


def test_contract():
    # So many units that some of them are active in every gate.
    check_graph(functools.partial(pepnet, gate_units=8), networks=("mlp", "resnet"))


def test_parameter_count():
    # Inputs 5: the shared gate, two layers of 5; per task an encoder (4, 3) whose stages have gates with as
    # many units as channels, on the 5 inputs; heads for 3 classes, 1 logit and 2 numbers.
    shared = 2 * (5 * 5 + 5)
    first = (5 * 4 + 4) + (5 * 4 + 4) + (4 * 4 + 4)
    second = (4 * 3 + 3) + (5 * 3 + 3) + (3 * 3 + 3)
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(pepnet).count_params() == shared + 3 * (first + second) + heads


def test_every_task_reaches_the_shared_gate_and_its_own_tower():
    for path, names in reach(build(pepnet)).items():
        first = path.split("_")[0]
        assert names == ({"digit", "odd", "size"} if first == "shared" else {first})


def on_rows(**arguments):
    keras.utils.set_random_seed(0)
    tasks = [mz.Task.binary("click"), mz.Task.binary("like")]
    encoder = mz.encoders.tabular(ROWS, 3, embedding_dim=2, activation="tanh")
    return pepnet(mz.encoders.tabular_inputs(ROWS), tasks, encoder, **arguments)


def test_gates_see_the_named_columns_and_the_features():
    # Features: the age, and two vectors of size 2; behind them what is named.
    model = on_rows(**NAMED, gate_units=6)
    assert model.get_layer("shared_gate").hidden.kernel.shape == (2 + 5, 6)
    assert model.get_layer("like_1_gate").hidden.kernel.shape == (2 + 2 + 5, 6)
    assert model.get_layer("like_1_gate").gate.kernel.shape == (6, 3)


def test_values_and_gradients_by_hand():
    """Gradients flow from gates to what is named, and not to the features that they scale."""
    model = on_rows(**NAMED)
    columns = {name: tf.constant(column[:, None]) for name, column in ROWS.items()}
    parts = [model.get_layer(f"shared_1_{name}").output for name in ("user_vector", "page_vector")]
    vectors = keras.Model(model.input, [*parts, model.get_layer("shared_1_concatenate").output])
    with tf.GradientTape(persistent=True) as tape:
        user, page, x = vectors(columns)
        x = model.get_layer("shared_gate")([x, tf.concat([page, tf.stop_gradient(x)], 1)])
        x, seen = model.get_layer("like_1_dense")(x), tf.concat([user, page, tf.stop_gradient(x)], 1)
        expected = model.get_layer("like_logits")(model.get_layer("like_1_gate")([x, seen]))
        found = model(columns)["like"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    variables = model.trainable_variables
    for variable, gradient, wanted in zip(
        variables, tape.gradient(found, variables), tape.gradient(expected, variables), strict=True
    ):
        assert (gradient is None) == (wanted is None) == ("click" in variable.path), variable.path
        if gradient is not None:
            gradient, wanted = map(tf.convert_to_tensor, (gradient, wanted))  # rows of the tables
            np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-7, err_msg=variable.path)
            assert np.any(gradient), variable.path


def test_inputs_may_be_named_by_their_own_names():
    inputs = [keras.Input((2,), name="user"), keras.Input((3,), name="item")]
    join = keras.layers.Concatenate()
    encoder = [lambda x, name: join(x), *mlp(4)]
    model = pepnet(inputs, TASKS, encoder, priors=["user", "item"])  # together all, so what joins them
    assert model.get_layer("digit_1_gate").hidden.kernel.shape[0] == 2 + 3 + 5
    with pytest.raises(ValueError, match=r"`priors` must name inputs among \['user', 'item'\]. Received"):
        pepnet(inputs, TASKS, encoder, priors=["age"])


def test_what_cannot_be_a_prior():
    inputs = {"a": keras.Input((1,), dtype="int64"), "b": keras.Input((1,), dtype="int64")}

    def stage(x, name):
        both = keras.ops.concatenate([x["a"], x["b"]], axis=-1)
        return keras.layers.Flatten()(mz.layers.Embedding(9, 2)(both))

    with pytest.raises(ValueError, match=r"make floats, each by itself. Received: domains=\['a'\], .* int64"):
        pepnet(inputs, TASKS, [stage, *mlp(3)], domains=["a"])
    with pytest.raises(ValueError, match=r"must take every input that is named. Received: 'b', unused"):
        pepnet(inputs, TASKS, [lambda x, name: stage(x | {"b": x["a"]}, name), *mlp(3)], priors=["b"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gate_units": 0}, "`gate_units` must be an integer of at least 1. Received: gate_units=0"),
        ({"domains": "x"}, "`domains` must be a sequence of strings. Received: domains='x'"),
        ({"shared_stages": 2}, "must leave at least one of the encoder's 2 stages"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        pepnet(keras.Input((5,)), TASKS, mlp(4, 3), **arguments)


def test_one_task_is_a_gated_network():
    assert set(build(pepnet, tasks=TASKS[:1]).output) == {"digit"}
