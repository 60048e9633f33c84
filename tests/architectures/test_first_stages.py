import keras
import pytest

from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.encoders import mlp, unet


def test_they_share_nothing_for_a_vector_and_a_stage_for_the_rest():
    vector, image, tokens = keras.Input((4,)), keras.Input((4, 4, 1)), keras.Input((4,), dtype="int32")
    encoder = mlp(3, 2)
    x, rest = first_stages(vector, encoder)
    assert x is vector
    assert len(rest) == 2
    for inputs in (image, keras.Input((4, 3))):
        x, rest = first_stages(inputs, encoder)
        assert (x.shape, len(rest)) == ((None, 3), 1)
    assert first_stages(image, encoder[:1])[0] is image
    with pytest.raises(ValueError, match=r"need a shared first stage, .* an encoder of 1 stages"):
        first_stages(tokens, encoder[:1])
    with pytest.raises(ValueError, match=r"must leave at least one .* Received: shared_stages=2"):
        first_stages(vector, encoder, 2)


def test_they_may_end_inside_a_unet():
    x, rest = first_stages(keras.Input((8, 8, 1)), unet(2, 3), 2)
    assert [tensor.shape for tensor in x] == [(None, 8, 8, 2), (None, 4, 4, 3)]
    assert len(rest) == 1
