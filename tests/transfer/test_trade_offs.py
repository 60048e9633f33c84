"""One model for every trade-off, against the kernels of the paper and tasks that cannot both be met."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

TASKS = [mz.Task.regression("first"), mz.Task.regression("second")]
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 3)).astype("float32")
BOTH = X[:, :1] + X[:, 1:2], X[:, :1] - X[:, 1:2]
SERVE = """
import json, sys
import numpy as np
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures[sys.argv[2]]
x, answers = np.load(sys.argv[3]), []
for share in np.linspace(0, 1, 5):
    shares = np.tile([share, 1 - share], (len(x), 1)).astype("float32")
    found = serve(x=tf.constant(x), preferences=tf.constant(shares))
    answers.append({name: answer.numpy().tolist() for name, answer in found.items()})
assert "mtl_zoo" not in sys.modules
print(json.dumps(answers))
"""


def base():
    """Return a model of one number that both tasks share, so that they must find a trade-off."""
    inputs = keras.Input((3,), name="x")
    x = keras.layers.Dense(1, use_bias=False, name="dense")(inputs)
    return keras.Model(inputs, {task.name: keras.layers.Rescaling(1.0, name=task.name)(x) for task in TASKS})


def dataset():
    labels = dict(zip(["first", "second"], BOTH, strict=True))
    return tf.data.Dataset.from_tensor_slices((X, labels)).batch(32)


@pytest.fixture(scope="module")
def trained():
    """Return a trainer that has learned all trade-offs of the two regressions."""
    keras.utils.set_random_seed(0)
    model = mz.transfer.palora(base(), TASKS, rank=1, steps=50, seed=0)
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(keras.optimizers.Adam(0.03))
    trainer.fit(mz.transfer.with_preferences(dataset().repeat(200), model), verbose=0)
    return trainer


def test_it_starts_as_the_model_and_its_kernel_is_that_of_the_paper():
    model = mz.transfer.palora(start := base(), TASKS, rank=2, alpha=3.0)
    shares = RANDOM.dirichlet([1, 1], 64).astype("float32")
    inputs = {"x": X, "preferences": 4 * shares}  # of any sum
    np.testing.assert_array_equal(model(inputs)["first"], start(X)["first"])
    layer = model.get_layer("dense")
    for variable in layer.trainable_variables:
        variable.assign(RANDOM.normal(size=variable.shape))
    kernel = layer.base.kernel + 3.0 / 2 * np.einsum(
        "nt,tij->nij", shares, [(a.numpy() @ b.numpy()) for a, b in layer.pairs]
    )
    np.testing.assert_allclose(model(inputs)["second"], np.einsum("ni,nij->nj", X, kernel), atol=1e-5)


def test_the_gradient_is_that_of_the_weighted_losses():
    model = mz.transfer.palora(base(), TASKS, rank=1)
    for variable in model.trainable_variables:
        variable.assign(RANDOM.normal(size=variable.shape))
    inputs = {"x": X, "preferences": np.tile(np.array([[0.3, 0.7]], "float32"), (64, 1))}

    def gradients(weights, training):
        with tf.GradientTape() as tape:
            answers = model(inputs, training=training)
            losses = [tf.reduce_mean((answers[t.name] - y) ** 2) for t, y in zip(TASKS, BOTH, strict=True)]
            loss = weights[0] * losses[0] + weights[1] * losses[1]
        return tape.gradient(loss, model.trainable_variables)

    expected = gradients([0.3, 0.7], training=False)
    for found, wanted in zip(gradients([1.0, 1.0], training=True), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_preferences_move_along_the_front(trained):
    """The least squares of p (a + b)^2 + (1 - p) (a - b)^2 are known: a shared kernel of (1, 2 p - 1, 0)."""
    kernel = trained.model.get_layer("dense")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        found = kernel.merged(preferences=[share, 1 - share])
        np.testing.assert_allclose(np.ravel(found), [1, 2 * share - 1, 0], atol=0.15)
    rows = [[share, 1 - share] for share in np.linspace(0, 1, 5)]
    logs = mz.transfer.sweep(trained, dataset(), rows)
    first, second = ([log[f"{name}_loss"] for log in logs] for name in ("first", "second"))
    assert first == sorted(first, reverse=True)
    assert second == sorted(second)
    assert first[-1] < 0.1 < 2.0 < first[0]


def test_every_signature_takes_preferences_without_the_library(trained, tmp_path):
    mz.exporting.saved_model(trained.model, TASKS, tmp_path / "exported")
    np.save(tmp_path / "x.npy", X[:4])
    signatures = tf.saved_model.load(tmp_path / "exported").signatures
    for signature in signatures.values():
        assert "preferences" in signature.structured_input_signature[1]
    assert set(signatures) == {"serving_default", "first", "second"}
    command = [sys.executable, "-c", SERVE, tmp_path / "exported", "first", tmp_path / "x.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    for share, answer in zip(np.linspace(0, 1, 5), answers, strict=True):
        shares = np.tile([[share, 1 - share]], (4, 1)).astype("float32")
        expected = trained.model({"x": X[:4], "preferences": shares})["first"]
        np.testing.assert_allclose(answer["first"], expected, atol=1e-5)


def test_a_trade_off_is_merged(trained):
    plain = mz.transfer.merge_lora(trained.model, [3.0, 1.0])
    assert [x.name for x in plain.inputs] == ["x"]
    shares = np.tile(np.array([[0.75, 0.25]], "float32"), (64, 1))
    expected = trained.model({"x": X, "preferences": shares})
    np.testing.assert_allclose(plain({"x": X})["first"], expected["first"], atol=1e-5)
    with pytest.raises(ValueError, match=r"`preferences` must be given for a model that has them"):
        mz.transfer.merge_lora(trained.model)
    with pytest.raises(ValueError, match=r"`preferences` must be given for a model that has them"):
        mz.transfer.merge_lora(base(), [1.0, 1.0])


def test_it_is_saved(trained, tmp_path):
    trained.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = {"x": X, "preferences": np.tile(np.array([[0.2, 0.8]], "float32"), (64, 1))}
    np.testing.assert_array_equal(loaded(inputs)["first"], trained.model(inputs)["first"])
    assert len(loaded.trainable_variables) == len(trained.model.trainable_variables) == 5


def test_what_several_tasks_use_gets_adapters():
    tasks = [mz.Task.classification("left", 3), mz.Task.binary("right")]
    mlp = mz.architectures.hard_sharing(keras.Input((3,), name="x"), tasks, mz.encoders.mlp(4, 4))
    model = mz.transfer.palora(mlp, tasks, rank=2)
    adapted = [layer.name for layer in model.layers if hasattr(layer, "pairs")]
    assert adapted == ["shared_1_dense", "shared_2_dense"]
    assert mz.transfer.trained_parameters(model)["adapters"] == 2 * 2 * (3 + 4 + 4 + 4)
    assert mz.transfer.trained_parameters(model)["frozen"] == 1  # the number of steps


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": TASKS[:1]}, "There must be at least two tasks"),
        ({"rank": 0}, r"`rank` must be an integer of at least 1"),
        ({"where": "conv"}, r"`where` must choose layers among \['dense'\]"),
        ({"steps": 0}, r"`steps` must be an integer of at least 1"),
        ({"concentration": 0}, r"`concentration` must be positive"),
        ({"model": mz.transfer.palora(base(), TASKS)}, r"`model` must not have an input 'preferences' yet"),
    ],
)
def test_wrong_arguments_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        mz.transfer.palora(**{"model": base(), "tasks": TASKS, **given})


def test_a_dataset_needs_a_model_with_preferences():
    with pytest.raises(ValueError, match=r"`model` must have an input 'preferences'.*Received: \['x'\]"):
        mz.transfer.with_preferences(dataset(), base())
