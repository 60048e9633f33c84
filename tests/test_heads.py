import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.architectures import single_task
from mtl_zoo.encoders import convnet
from mtl_zoo.heads import head
from mtl_zoo.task import Task

DEPTH = Task.dense_regression("t", 2)


def model_of(shape, task, dtype=None):
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, head(inputs, task))


@pytest.mark.parametrize("shape", [(3,), (5, 3), (4, 2, 3)])
def test_logits_are_affine_in_the_mean_over_positions(shape):
    model = model_of(shape, Task.multilabel("tags", 2))
    kernel, bias = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([0.5, -0.5])
    model.set_weights([kernel, bias])
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    features = x.reshape(2, -1, 3).mean(axis=1)
    np.testing.assert_allclose(model(x), features @ kernel + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("task", "units"),
    [
        (Task.classification("t", 4), 4),
        (Task.binary("t"), 1),
        (Task.multilabel("t", 3), 3),
        (Task.regression("t", 2), 2),
    ],
)
def test_units_follow_the_task(task, units):
    model = model_of((3,), task)
    assert model.output.shape == (None, units)
    assert model.count_params() == (3 + 1) * units


def test_logits_are_float32_after_features_of_half_precision():
    assert model_of((3,), Task.binary("t"), dtype="float16").output.dtype == "float32"


def test_layers_carry_the_name_of_the_task():
    assert [layer.name for layer in model_of((2, 3), Task.binary("age")).layers[1:]] == [
        "age_average",
        "age_logits",
    ]


def test_names_of_heads_and_stages_do_not_clash():
    tasks = [Task.binary("digit"), Task.binary("digit_1")]
    assert single_task(keras.Input((4, 4, 1)), tasks, convnet(2)).output.keys() == {"digit", "digit_1"}


@pytest.mark.parametrize(
    ("shape", "task"),
    [((5, 3), Task.tagging("t", 2)), ((2, 4, 3), Task.segmentation("t", 2)), ((2, 4, 3), DEPTH)],
)
def test_tokens_and_pixels_have_logits_of_their_own(shape, task):
    model = model_of(shape, task)
    kernel, bias = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([0.5, -0.5])
    model.set_weights([kernel, bias])
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    np.testing.assert_allclose(model(x), x @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_logits_of_pixels_are_interpolated_to_the_size_of_the_task():
    model = model_of((1, 2, 1), Task.segmentation("t", 1, size=(2, 4)))
    model.set_weights([np.array([[2.0]]), np.array([1.0])])
    # Pixels 0 and 8 have the logits 1 and 17; the centres of new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the
    # way from the one to the other, where the border holds.
    expected = [[[1, 5, 13, 17]] * 2]
    np.testing.assert_allclose(model(np.array([[[[0.0], [8.0]]]]))[..., 0], expected)


@pytest.mark.parametrize("shape", [(3, 5, 2), (None, None, 2)])
def test_features_of_any_size_reach_the_size_of_the_task(shape):
    model = model_of(shape, Task.dense_regression("t", 2, size=(6, 4)))
    assert model.output.shape == (None, 6, 4, 2)
    assert model(np.ones((1, 3, 5, 2))).shape == (1, 6, 4, 2)


def test_features_of_the_size_of_the_task_are_left_alone():
    model = model_of((6, 4, 2), Task.segmentation("t", 2, size=(6, 4)))
    assert "resize" not in "".join(operation.name for operation in model.operations)


def test_interpolation_compiles_with_its_gradient_in_float32():
    x = tf.random.stateless_normal((2, 3, 3, 2), seed=(0, 0))
    model = model_of((3, 3, 2), Task.segmentation("t", 2, size=(5, 7)), dtype="float16")
    assert model.output.dtype == "float32"

    def loss_and_gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(tf.cast(x, "float16")) ** 2)
        return loss, *tape.gradient(loss, model.trainable_variables)

    expected = loss_and_gradients(x)
    for found, value in zip(tf.function(loss_and_gradients, jit_compile=True)(x), expected, strict=True):
        assert found.dtype == tf.float32
        assert np.all(value != 0)
        np.testing.assert_allclose(found, value, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "task", "message"),
    [
        ((4,), Task.segmentation("t", 3), r"'t' with output shape \(None, None, 3\) needs as features maps"),
        ((5, 4), DEPTH, r"needs as features maps \[batch, height, .* Received: \(None, 5, 4\)"),
        ((4,), Task.tagging("t", 3), r"needs as features a sequence \[batch, length, .*: \(None, 4\)"),
        ((4, 4, 2), Task.tagging("t", 3), r"a sequence .* Received: \(None, 4, 4, 2\)"),
    ],
)
def test_features_must_have_the_positions_of_the_task(shape, task, message):
    with pytest.raises(ValueError, match=message):
        head(keras.Input(shape), task)


def scene():
    """Maps at half the size of the input, a task at full size and one for the whole image."""
    tasks = [Task.segmentation("part", 3, size=(6, 4)), Task.dense_regression("depth", 1, size=(6, 4))]
    x = np.random.default_rng(0).normal(size=(4, 6, 4, 1)).astype("float32")
    labels = {
        "part": np.arange(96).reshape(4, 6, 4) % 4 - 1,
        "depth": np.where(x > 1, np.nan, x),
        "light": np.array([0, 1, -1, 1]),
    }
    encoder = mz.encoders.resnet(4, 4, normalization="layer")
    return keras.Input((6, 4, 1), name="image"), [*tasks, Task.binary("light")], encoder, x, labels


def sentences():
    """A tag per token and a class per sentence, of any length."""
    tokens = np.array([[1, 2, 3], [4, 5, 0], [2, 2, 1], [3, 0, 0]])
    labels = {"tag": np.where(tokens, tokens % 2, -1), "kind": np.array([0, 2, 1, -1])}
    tasks = [Task.tagging("tag", 2), Task.classification("kind", 3)]
    encoder = mz.encoders.transformer(9, width=4, depth=2, num_heads=2, max_length=8)
    return keras.Input((None,), dtype="int64", name="tokens"), tasks, encoder, tokens, labels


@pytest.mark.parametrize("make", [scene, sentences])
@pytest.mark.parametrize("space", mz.training.trainer.SPACES)
def test_dense_and_token_tasks_train_save_and_export(make, space, tmp_path):
    inputs, tasks, encoder, x, labels = make()
    model = mz.architectures.hard_sharing(inputs, tasks, encoder)
    trainer = mz.Trainer(model, tasks, mz.balancers.Uncertainty(), mz.aggregators.PCGrad(), space)
    trainer.compile(keras.optimizers.Adam(0.01))
    history = trainer.fit(x, labels, batch_size=4, epochs=8, verbose=0).history
    for task in tasks:
        assert history[f"{task.name}_loss"][-1] < history[f"{task.name}_loss"][0]
    logits = model(x)
    logs = trainer.evaluate(x, labels, batch_size=4, verbose=0, return_dict=True)
    for task in tasks:
        expected = task.compute_loss(labels[task.name], logits[task.name])
        np.testing.assert_allclose(logs[f"{task.name}_loss"], expected, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    mz.exporting.saved_model(loaded, tasks, tmp_path / "1")
    signatures = tf.saved_model.load(tmp_path / "1").signatures
    for task in tasks:
        answer = signatures[task.name](**{inputs.name: tf.constant(x)})[task.name]
        assert answer.shape[:-1] == labels[task.name].shape[: len(answer.shape) - 1]
        np.testing.assert_allclose(answer, task.activation(logits[task.name]), rtol=1e-5, atol=1e-6)


def test_a_ranking_scores_the_positions_of_a_sequence_alike():
    task = Task.ranking("hits", 4)
    x = keras.Input((4, 3))
    model = keras.Model(x, head(x, task))
    one = np.random.default_rng(0).normal(size=(1, 4, 3)).astype("float32")
    scores = model(one).numpy()
    np.testing.assert_allclose(model(one[:, ::-1]), scores[:, ::-1], rtol=1e-5)
    assert scores.shape == (1, 4)
    assert model.trainable_weights[0].shape == (3, 1)
