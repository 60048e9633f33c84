import keras
import numpy as np
import pytest

from mtl_zoo.layers import AttentionPooling

RANDOM = np.random.default_rng(0)
X, QUERY = RANDOM.normal(size=(3, 4, 2)).astype("float32"), RANDOM.normal(size=(3, 2)).astype("float32")
MASK = np.array([[True, True, False, True], [False] * 4, [False, False, True, False]])


@pytest.mark.parametrize("with_query", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_weights_are_those_of_the_network(with_query, masked):
    layer = AttentionPooling(5)
    found = layer(X, query=QUERY if with_query else None, mask=MASK if masked else None)
    hidden, bias, score = layer.get_weights()
    query = np.broadcast_to(QUERY[:, None], X.shape)
    seen = np.concatenate([X, query, X - query, X * query], axis=-1) if with_query else X
    weights = np.exp(np.tanh(seen @ hidden + bias) @ score)[..., 0] * (MASK if masked else 1)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    np.testing.assert_allclose(found, np.einsum("bl,blc->bc", weights, X), rtol=1e-5, atol=1e-6)


def test_a_graph_of_it_has_no_mask_and_comes_back():
    inputs = keras.Input((None, 2)), keras.Input((2,))
    output = AttentionPooling(3)(keras.layers.Masking()(inputs[0]), query=inputs[1])
    assert output.shape == (None, 2)
    assert getattr(output, "_keras_mask", None) is None
    model = keras.Model(inputs, output)
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    found = model([X * MASK[..., None], QUERY])
    np.testing.assert_array_equal(again([X * MASK[..., None], QUERY]), found)
    np.testing.assert_allclose(found, model.layers[-1](X, query=QUERY, mask=MASK), rtol=1e-6)
