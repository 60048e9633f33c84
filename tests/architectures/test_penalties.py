import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.architectures import _penalties as penalties
from mtl_zoo.architectures._penalties import PENALTIES, SubspaceOrthogonality, trace_norm


def towers(num_towers, shape=(3, 4, 5), seed=0):
    return list(np.random.default_rng(seed).normal(size=(num_towers, *shape)).astype("float32"))


def value_and_gradient(penalty, weights):
    weights = tf.unstack(tf.constant(np.stack(weights), tf.float32))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = penalty(weights)
    return value, tf.stack(tape.gradient(value, weights))


def unfoldings(weights, penalty):
    """Return the matrices whose trace norms the penalty averages, by hand for T towers of shape [3, 4, 5]."""
    stacked = np.stack(weights, axis=-1).astype("float64")
    size = len(weights)
    if penalty == "last_axis":
        return [stacked.reshape(60, size)]
    if penalty == "tensor_train":
        return [stacked.reshape(3, -1), stacked.reshape(12, -1), stacked.reshape(60, -1)]
    return [np.rollaxis(stacked, axis).reshape(n, -1) for axis, n in enumerate((3, 4, 5, size))]


TRACE_NORMS = ["last_axis", "tucker", "tensor_train"]


def test_l2_by_hand():
    # Two towers: 3^2 + 1^2. Three: (0 - 3)^2 + (0 - 1)^2 + (3 - 1)^2 in the one coordinate.
    assert penalties.l2([tf.constant([1.0, 2.0]), tf.constant([4.0, 1.0])]) == 10
    assert float(penalties.l2([tf.constant([w]) for w in (0.0, 3.0, 1.0)])) == pytest.approx(14)


@pytest.mark.parametrize("num_towers", [1, 2, 3, 5])
def test_l2_is_the_sum_over_pairs(num_towers):
    weights = towers(num_towers)
    value, gradient = value_and_gradient(penalties.l2, weights)
    pairs = [(i, j) for i in range(num_towers) for j in range(i)]
    expected = sum(np.sum((weights[i] - weights[j]) ** 2) for i, j in pairs)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    slopes = [sum(2 * (w - other) for other in weights) for w in weights]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("penalty", TRACE_NORMS)
@pytest.mark.parametrize("num_towers", [1, 2, 3])
def test_trace_norms_of_all_unfoldings(penalty, num_towers):
    weights = towers(num_towers)
    matrices = unfoldings(weights, penalty)
    expected = np.mean([np.linalg.norm(matrix, ord="nuc") for matrix in matrices])
    np.testing.assert_allclose(PENALTIES[penalty](weights), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (5, 1)])
def test_gradient_of_the_trace_norm_is_u_v_transposed(shape):
    matrix = towers(1, shape)[0]
    u, _, vt = np.linalg.svd(matrix.astype("float64"), full_matrices=False)
    _, gradient = value_and_gradient(lambda weights: trace_norm(weights[0]), [matrix])
    np.testing.assert_allclose(gradient[0], u @ vt, atol=1e-4)


@pytest.mark.parametrize("penalty", TRACE_NORMS)
def test_gradient_is_the_slope(penalty):
    weights, direction = (np.stack(towers(3, seed=seed)).astype("float64") for seed in (0, 1))
    _, gradient = value_and_gradient(PENALTIES[penalty], weights)
    ends = [
        np.mean([np.linalg.norm(m, ord="nuc") for m in unfoldings(weights + step * direction, penalty)])
        for step in (1e-5, -1e-5)
    ]
    np.testing.assert_allclose(np.sum(gradient * direction), (ends[0] - ends[1]) / 2e-5, rtol=1e-3)


def test_equal_towers_cost_the_root_of_their_number():
    # Two equal columns w: the only singular value is sqrt(2) |w|, and the gradient w / (sqrt(2) |w|) each.
    w = towers(1)[0]
    value, gradient = value_and_gradient(penalties.last_axis, [w, w])
    np.testing.assert_allclose(value, np.sqrt(2) * np.linalg.norm(w), rtol=1e-3)
    np.testing.assert_allclose(gradient, np.stack([w, w]) / (np.sqrt(2) * np.linalg.norm(w)), atol=1e-4)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1.0, 1e6])
def test_equal_towers_have_a_finite_gradient(penalty, scale):
    value, gradient = value_and_gradient(PENALTIES[penalty], [scale * towers(1)[0]] * 3)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    if scale == 0:
        assert value == 0
        assert np.all(gradient == 0)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shape", [(4,), (3, 2), (3, 4, 5)])
def test_compiled_equals_eager(penalty, shape):
    weights = towers(3, shape)
    compiled = tf.function(lambda: value_and_gradient(PENALTIES[penalty], weights), jit_compile=True)
    for found, expected in zip(compiled(), value_and_gradient(PENALTIES[penalty], weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_orthogonality_by_hand():
    kernel = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype("float32")
    columns = kernel.reshape(-1, 6).astype("float64")
    pairs = ((0, 1), (0, 2), (1, 2))
    products = [columns[:, 2 * a : 2 * a + 2].T @ columns[:, 2 * b : 2 * b + 2] for a, b in pairs]
    expected = 0.5 * sum(np.square(product).sum() for product in products)
    np.testing.assert_allclose(SubspaceOrthogonality(3, 0.5)(kernel), expected, rtol=1e-5)
    also = SubspaceOrthogonality(3, 0.5, keras.regularizers.L2(0.1))
    np.testing.assert_allclose(also(kernel), expected + 0.1 * np.square(columns).sum(), rtol=1e-5)


def test_orthogonal_subspaces_cost_nothing():
    # Units of one subspace may be alike, those of different ones may not.
    assert float(SubspaceOrthogonality(2)(np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 3.0, 1.0]]))) == 0
    assert float(SubspaceOrthogonality(2, 1.0)(np.array([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 0.0]]))) == 4


@pytest.mark.parametrize("also", [None, keras.regularizers.L1(0.1)])
def test_orthogonality_is_saved_with_its_layer(also, tmp_path):
    penalty = SubspaceOrthogonality(2, 0.5, also)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, kernel_regularizer=penalty)])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").losses, model.losses)
    np.testing.assert_allclose(model.losses[0], penalty(model.layers[0].kernel), rtol=1e-6)
