"""One linear layer with additions to its kernel, against NumPy, the layer's own kernel and a file."""

import keras
import numpy as np
import pytest

from mtl_zoo.transfer.low_rank import LowRank

RANDOM = np.random.default_rng(0)
LAYERS = {
    "dense": (lambda: keras.layers.Dense(3, "relu"), (4, 2, 5)),
    "convolution": (
        lambda: keras.layers.Conv2D(3, 2, strides=2, padding="same", activation="relu"),
        (2, 5, 5, 2),
    ),
    "dilated": (lambda: keras.layers.Conv1D(3, 2, dilation_rate=2), (2, 7, 4)),
    "projection": (
        lambda: keras.layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"),
        (2, 4, 5),
    ),
    "joining": (
        lambda: keras.layers.EinsumDense("abcd,cde->abe", (None, 3), activation="tanh"),
        (2, 3, 2, 4),
    ),
    "by_head": (lambda: keras.layers.EinsumDense("abc,bcd->abd", (2, 3)), (3, 2, 4)),
    "ellipsis": (lambda: keras.layers.EinsumDense("...x,xy->...y", 3), (2, 3, 4)),
    "table": (lambda: keras.layers.Embedding(7, 3), None),
}


def example(kind, copies=2):
    """Return a layer with adapters of random values, the layer that it was made of, and inputs."""
    make, shape = LAYERS[kind]
    x = RANDOM.integers(0, 7, (2, 4)) if shape is None else RANDOM.normal(size=shape).astype("float32")
    base, plain = make(), make()
    for layer in (base, plain):
        layer(x)
    plain.set_weights(base.get_weights())
    base.trainable = False
    layer = LowRank(base, 2, copies, scale=0.5)
    layer(x, task=0)
    return layer, plain, x


def randomize(layer):
    for variable in layer.trainable_variables:
        variable.assign(RANDOM.normal(size=variable.shape))


@pytest.mark.parametrize("kind", LAYERS)
def test_it_starts_as_the_layer_and_then_is_one_with_another_kernel(kind):
    layer, plain, x = example(kind)
    np.testing.assert_array_equal(layer(x, task=1), plain(x))
    randomize(layer)
    factors = type(layer.factors)(plain)
    kernel = np.array(factors.kernel)
    for task, (a, b) in enumerate(layer.pairs):
        added = np.asarray(layer.merged(task)) - kernel
        np.testing.assert_allclose(added, 0.5 * np.asarray(factors.product(a, b)), atol=1e-5)
        factors.kernel.assign(kernel + added)
        np.testing.assert_allclose(layer(x, task=task), plain(x), atol=2e-5)


@pytest.mark.parametrize(
    ("kind", "matrix"), [("dense", (5, 3)), ("convolution", (8, 3)), ("projection", (5, 6))]
)
def test_the_addition_has_the_rank(kind, matrix):
    layer, plain, _ = example(kind, copies=1)
    randomize(layer)
    added = np.asarray(layer.merged()) - np.asarray(plain.kernel)
    assert np.linalg.matrix_rank(added.reshape(matrix), tol=1e-5) == 2
    assert sum(v.numpy().size for v in layer.trainable_variables) == 2 * sum(matrix)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_example_can_have_preferences_of_its_own(kind):
    layer, plain, x = example(kind)
    randomize(layer)
    shares = RANDOM.dirichlet([1, 1], len(x)).astype("float32")
    found = layer(x, preferences=shares)
    for index, share in enumerate(shares):
        type(layer.factors)(plain).kernel.assign(layer.merged(preferences=share))
        np.testing.assert_allclose(found[index], plain(x)[index], atol=2e-5)


@pytest.mark.parametrize("kind", ["dense", "table", "joining"])
def test_it_is_saved_with_its_base(kind, tmp_path):
    layer, _, x = example(kind)
    randomize(layer)
    inputs = keras.Input(x.shape[1:], dtype=str(x.dtype))
    model = keras.Model(inputs, layer(inputs, task=1))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert [v.shape for v in loaded.trainable_variables] == [v.shape for v in model.trainable_variables]


def test_a_mask_comes_from_the_base():
    base = keras.layers.Embedding(5, 2, mask_zero=True)
    base.build()
    mask = LowRank(base, 1).compute_mask(np.array([[0, 3]]))
    assert np.asarray(mask).tolist() == [[False, True]]


@pytest.mark.parametrize(
    "base",
    [
        keras.layers.DepthwiseConv2D(3),
        keras.layers.Conv2D(4, 3, groups=2),
        keras.layers.Conv1D(4, 3, padding="causal"),
        keras.layers.Dense(3, kernel_constraint="non_neg"),
        keras.layers.Dense(3, activity_regularizer="l2"),
        keras.layers.LSTM(3),
        keras.layers.Dense(3),
    ],
    ids=lambda layer: layer.name,
)
def test_what_has_no_factors_is_refused(base):
    shapes = {"Conv2D": (None, 8, 8, 4), "DepthwiseConv2D": (None, 8, 8, 4)}
    if type(base) is not keras.layers.Dense or base.kernel_constraint or base.activity_regularizer:
        base.build(shapes.get(type(base).__name__, (None, 8, 4)))  # the last one is not built
    with pytest.raises(ValueError, match="`base` must be a built Dense"):
        LowRank(base, 2)


def test_it_computes_in_the_precision_of_its_base():
    base = keras.layers.Dense(3, dtype="mixed_bfloat16")
    x = np.ones((2, 4), "float32")
    base(x)
    layer = LowRank(base, 2)
    assert layer(x).dtype == "bfloat16"
    assert {v.dtype for v in layer.variables} == {"float32"}
