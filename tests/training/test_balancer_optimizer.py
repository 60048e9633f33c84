import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
NAN = np.full(8, np.nan, "float32")
BALANCERS = (mz.balancers.Uncertainty, mz.balancers.IMTLL)
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.5),
    "adafactor": lambda: keras.optimizers.Adafactor(0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.01),
    "ftrl": lambda: keras.optimizers.Ftrl(0.01, l1_regularization_strength=0.1),
    "lamb": lambda: keras.optimizers.Lamb(0.01, weight_decay=0.5),
    "lion": lambda: keras.optimizers.Lion(0.01, weight_decay=0.5),
    "muon": lambda: keras.optimizers.Muon(0.01),
    "nadam": lambda: keras.optimizers.Nadam(0.01, weight_decay=0.5, use_ema=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(0.01, weight_decay=0.5)),
    "schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)),
}


def make_trainer(balancer, optimizer):
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((3,)), TASKS, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, TASKS, balancer=balancer)
    trainer.compile(optimizer)
    return trainer


def fit(trainer, b, steps=5, a=X[:, 0]):
    data = tf.data.Dataset.from_tensors((X, {"a": a, "b": b})).repeat(steps)
    return trainer.fit(data, verbose=0).history


def learned(trainer):
    return np.array(trainer.balancer.trainable_variables[0])


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_state_of_a_task_without_labels_stays(optimizer):
    trainer = make_trainer(mz.balancers.IMTLL(), optimizer())
    fit(trainer, 3 * X[:, 1])
    before = learned(trainer)
    assert before[1] != 0
    fit(trainer, NAN)
    after = learned(trainer)
    assert after[1] == before[1]
    assert after[0] != before[0]
    fit(trainer, 3 * X[:, 1], steps=1)
    assert learned(trainer)[1] != before[1]


def test_gaps_in_the_labels_do_not_count_for_what_is_remembered():
    """SGD with momentum by hand: steps without labels are as if they had not been."""
    trainer = make_trainer(mz.balancers.Uncertainty(), keras.optimizers.SGD(0.01, momentum=0.9))
    state, velocity = 0.0, 0.0
    for b in (3 * X[:, 1], NAN, NAN, X[:, 1]):
        loss = fit(trainer, b, steps=1)["b_loss"][0]
        if not np.isnan(b).any():
            velocity = 0.9 * velocity - 0.01 * 0.5 * (1.0 - np.exp(-state) * loss)
            state += velocity
        assert learned(trainer)[1] == pytest.approx(state, rel=1e-4)


@pytest.mark.parametrize("clipping", [{"global_clipnorm": 1.0}, {"clipnorm": 1.0}, {"clipvalue": 0.1}])
def test_clipping_concerns_the_model_alone(clipping):
    y = 100 * X[:, 1]
    found = []
    for balancer in (mz.balancers.Uncertainty(), mz.balancers.Static([0.5, 0.5])):
        trainer = make_trainer(balancer, keras.optimizers.SGD(0.1, **clipping))
        loss = fit(trainer, y, steps=1)["b_loss"][0]
        found.append(np.array([np.linalg.norm(v) for v in trainer.model.variables]))
        if balancer.trainable_variables:
            assert learned(trainer)[1] == pytest.approx(-0.1 * 0.5 * (1.0 - loss), rel=1e-5)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)  # at the start both weigh by a half


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "ftrl", "muon", "scaled"])
def test_nothing_pulls_the_state_to_zero(optimizer):
    trainer = make_trainer(mz.balancers.IMTLL(), OPTIMIZERS[optimizer]())
    config = trainer.balancer_optimizer.get_config()
    decays = {key: value for key, value in config.items() if "decay" in key or "regularization" in key}
    assert not any(decays[key] for key in decays if key != "beta_2_decay"), decays


def test_learned_scales_reach_their_optimum_under_weight_decay():
    """At the optimum of IMTLL the scale is minus the logarithm of the loss, which a frozen model keeps."""
    trainer = make_trainer(mz.balancers.IMTLL(), keras.optimizers.AdamW(0.02, weight_decay=0.5))
    for layer in trainer.model.layers:
        layer.trainable = layer.name == "b_logits"
    trainer.model.get_layer("b_logits").set_weights([np.zeros((4, 1)), np.zeros(1)])
    trainer.compile(keras.optimizers.AdamW(0.02, weight_decay=0.5))
    logs = fit(trainer, NAN, steps=400)
    assert learned(trainer)[0] == pytest.approx(-np.log(logs["a_loss"][-1]), abs=1e-2)


@pytest.mark.parametrize("balancer", BALANCERS)
def test_the_learning_rate_is_that_of_the_model(balancer):
    schedule = OPTIMIZERS["schedule"]()
    trainer = make_trainer(balancer(), schedule)
    fit(trainer, X[:, 1], steps=3)
    assert float(trainer.balancer_optimizer.learning_rate) == pytest.approx(0.01 * 0.5 ** (3 / 5))
    trainer = make_trainer(balancer(), keras.optimizers.SGD(0.5))
    trainer.optimizer.learning_rate = 0.0
    fit(trainer, X[:, 1], steps=1)
    np.testing.assert_array_equal(learned(trainer), 0.0)


def test_of_several_optimizers_the_last_is_the_example():
    optimizers = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    optimizers["a_logits"] = keras.optimizers.Adam(0.01)
    trainer = make_trainer(mz.balancers.Uncertainty(), keras.optimizers.MultiOptimizer(optimizers))
    loss = fit(trainer, 3 * X[:, 1], steps=1)["b_loss"][0]
    assert learned(trainer)[1] == pytest.approx(-0.1 * 0.5 * (1.0 - loss), rel=1e-5)


def test_what_is_remembered_is_in_the_saved_weights(tmp_path):
    def trained(path=None):
        trainer = make_trainer(mz.balancers.Uncertainty(), keras.optimizers.Adam(0.01))
        if path:
            trainer.load_weights(path)
        else:
            fit(trainer, 3 * X[:, 1])
            trainer.save_weights(tmp_path / "a.weights.h5")
        fit(trainer, X[:, 1])
        return learned(trainer)

    np.testing.assert_array_equal(trained(), trained(tmp_path / "a.weights.h5"))
