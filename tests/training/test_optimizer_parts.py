import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training.optimizer_parts import OptimizerParts

TASKS = [mz.Task.classification("kind", 3), mz.Task.regression("size")]
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = {"kind": np.arange(8) % 3, "size": 3 * X[:, 0]}
EAGER = {"run_eagerly": True}
STEPS = 4


def make_model():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    hidden = keras.layers.Dense(5, "tanh", name="hidden")(x)
    return keras.Model(x, {"kind": keras.layers.Dense(3)(hidden), "size": keras.layers.Dense(1)(hidden)})


def make_trainer(optimizer, options=EAGER, balancer=None, aggregator=None, **more):
    trainer = mz.Trainer(make_model(), TASKS, balancer=balancer, aggregator=aggregator)
    trainer.compile(optimizer, **options, **more)
    return trainer


def fit(trainer, steps=STEPS, **options):
    return trainer.fit(X, Y, batch_size=8, epochs=steps, shuffle=False, verbose=0, **options)


def two():
    return {
        "shared": keras.optimizers.SGD(0.02, momentum=0.9, global_clipnorm=0.5),
        "tasks": keras.optimizers.Adam(0.1),
    }


def decaying(rate):
    return keras.optimizers.schedules.ExponentialDecay(rate, 1, 0.5)


def by_hand(groups):
    """Return the weights after steps by Keras' optimizers alone, each on some of the six variables."""
    model = make_model()
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            found = model(X)
            kinds = keras.losses.sparse_categorical_crossentropy(Y["kind"], found["kind"], from_logits=True)
            loss = tf.reduce_mean(kinds) + tf.reduce_mean((found["size"][:, 0] - Y["size"]) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        for optimizer, places in groups:
            pairs = [(gradients[i], model.trainable_variables[i]) for i in places]
            optimizer.apply_gradients(pairs)
    return model.get_weights()


def assert_close(one, other, tolerance=1e-6):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("options", [EAGER, {"jit_compile": True}], ids=["eager", "xla"])
def test_parts_are_what_keras_optimizers_make_of_them(options):
    given = two()
    expected = by_hand([(given["shared"], [0, 1]), (given["tasks"], [2, 3, 4, 5])])
    trainer = make_trainer(two(), options)
    fit(trainer)
    assert_close(trainer.model.get_weights(), expected)
    assert int(trainer.optimizer.iterations) == STEPS


def test_a_task_may_have_an_optimizer_of_its_own():
    groups = [(keras.optimizers.SGD(0.1), [0, 1, 4, 5]), (keras.optimizers.Adam(0.1), [2, 3])]
    sgd = keras.optimizers.SGD(0.1)
    trainer = make_trainer({"kind": keras.optimizers.Adam(0.1), "shared": sgd, "size": sgd})
    fit(trainer)
    assert_close(trainer.model.get_weights(), by_hand(groups))
    assert len(trainer.optimizer.parts) == 2


def test_shared_rate_is_a_factor_of_the_rate():
    parts = make_trainer(
        {"shared": keras.optimizers.Adam(decaying(0.01)), "tasks": keras.optimizers.Adam(decaying(0.1))}
    )
    factor = make_trainer(keras.optimizers.Adam(decaying(0.1)), shared_rate=0.1)
    fit(parts)
    fit(factor)
    assert_close(parts.model.get_weights(), factor.model.get_weights())
    numbers = make_trainer("sgd", shared_rate=0.1).optimizer.parts
    np.testing.assert_allclose([float(part.learning_rate) for part in numbers], [0.001, 0.01])


def test_callbacks_move_the_rates_of_all_parts_by_one_factor():
    trainer = make_trainer(two())
    fit(
        trainer,
        3,
        callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: [0.0, 0.2, 0.05][epoch])],
    )
    np.testing.assert_allclose([float(o.learning_rate) for o in trainer.optimizer.parts], [0.01, 0.05])
    trainer = make_trainer({"shared": keras.optimizers.SGD(decaying(0.1)), "tasks": "sgd"})
    with pytest.raises(ValueError, match="can be set for all parts together if each has a number"):
        trainer.optimizer.learning_rate = 0.1


def test_weights_hold_the_state_of_all_parts(tmp_path):
    whole, first, second = (make_trainer(two()) for _ in range(3))
    fit(whole)
    fit(first, STEPS - 1)
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    fit(second, 1)
    assert_close(second.model.get_weights(), whole.model.get_weights(), 0)
    assert int(second.optimizer.iterations) == STEPS


def test_an_interrupted_training_goes_on(tmp_path):
    class Interruption(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    whole, first, second = (make_trainer(two()) for _ in range(3))
    fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(first, callbacks=[mz.callbacks.Resume(tmp_path), Interruption()])
    fit(second, callbacks=[mz.callbacks.Resume(tmp_path)])
    assert_close(second.model.get_weights(), whole.model.get_weights(), 0)


def test_losses_are_scaled_for_all_parts():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        trainer = make_trainer(two(), aggregator=mz.aggregators.PCGrad())
    finally:
        keras.config.set_dtype_policy("float32")
    history = fit(trainer, 12).history
    assert isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(trainer.optimizer.inner_optimizer, OptimizerParts)
    assert history["loss"][-1] < history["loss"][0]
    assert int(trainer.optimizer.iterations) == 12 - sum(history["skipped_steps"])


def test_averages_of_a_part_are_put_in_place_at_the_end():
    def averaged():
        return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)

    trainer = make_trainer({"shared": averaged(), "tasks": keras.optimizers.SGD(0.1)})
    whole = make_trainer(averaged())
    fit(trainer, 1)
    fit(whole, 1)
    plain = make_trainer(keras.optimizers.SGD(0.1))
    fit(plain, 1)
    expected = [*whole.model.get_weights()[:2], *plain.model.get_weights()[2:]]
    assert_close(trainer.model.get_weights(), expected)


def test_a_balancer_learns_as_the_tasks_do():
    optimizers = {"shared": "sgd", "tasks": keras.optimizers.Adam(0.1)}
    trainer = make_trainer(optimizers, balancer=mz.balancers.Uncertainty())
    fit(trainer, 1)
    assert isinstance(trainer.balancer_optimizer, keras.optimizers.Adam)
    np.testing.assert_allclose(np.abs(trainer.balancer.trainable_variables[0]), 0.1, rtol=1e-3)


def test_a_frozen_trunk_leaves_the_tasks():
    model = make_model()
    model.get_layer("hidden").trainable = False
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(two(), **EAGER)
    before = model.get_weights()
    fit(trainer, 1)
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False, False, True, True, True, True]


def test_they_come_out_of_their_configuration():
    optimizer = make_trainer(keras.optimizers.SGD(decaying(0.1)), shared_rate=0.5).optimizer
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.places == [0, 0, 1, 1, 1, 1]
    np.testing.assert_allclose([float(part.learning_rate) for part in again.parts], [0.05, 0.1])


@pytest.mark.parametrize(
    ("given", "more", "message"),
    [
        ({"trunk": "sgd", "tasks": "sgd"}, {}, "for parts among .*'shared', 'tasks', 'kind', 'size'"),
        ({"shared": "sgd", "kind": "sgd"}, {}, "one for 'shared', and one for 'tasks' or for each"),
        ({"tasks": "sgd"}, {}, "one for 'shared', and one for 'tasks' or for each"),
        ({"shared": "sgd", "tasks": "sgd"}, {"shared_rate": 0.1}, "`shared_rate` is for one optimizer"),
        (
            {"shared": keras.optimizers.SGD(loss_scale_factor=2.0), "tasks": "sgd"},
            {},
            "must neither scale losses",
        ),
    ],
)
def test_what_is_no_part_is_refused(given, more, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(given, **more)


def test_a_model_without_a_graph_has_no_parts():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return {"size": self.dense(x)}

    model = Own()
    model(X)
    with pytest.raises(ValueError, match=r"in a functional model only.* Received: Own"):
        mz.Trainer(model, TASKS[1:]).compile("sgd", shared_rate=0.1)
