import functools

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import single_task, soft_sharing
from mtl_zoo.architectures._penalties import PENALTIES
from tests.architectures.harness import (
    AGGREGATORS,
    BALANCERS,
    NETWORKS,
    TASKS,
    batch,
    build,
    check_architecture,
    check_keras_training,
    reach,
    step,
)

NAMES = [task.name for task in TASKS]


def corresponding(model, weight):
    """Return the towers' weights of one kind, such as `1_dense/kernel`."""
    return [next(v for v in model.variables if v.path == f"{name}_{weight}").numpy() for name in NAMES]


ENCODER_WEIGHTS = ["1_dense/kernel", "1_dense/bias", "2_dense/kernel", "2_dense/bias"]


def test_contract():
    check_architecture(functools.partial(soft_sharing, strength=0.1))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_penalty_trains_with_keras_alone(penalty):
    check_keras_training(build(functools.partial(soft_sharing, penalty=penalty, strength=0.1)), "mlp")


def test_parameter_count():
    # Inputs 5, an encoder (4, 3) for each of three tasks, heads for 3 classes, 1 logit, 2 numbers.
    encoder = (5 * 4 + 4) + (4 * 3 + 3)
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(soft_sharing).count_params() == 3 * encoder + heads


def test_every_variable_belongs_to_one_task():
    for path, names in reach(build(soft_sharing)).items():
        assert names == {path.split("_")[0]}


def test_predictions_are_those_of_separate_networks():
    model, separate = build(soft_sharing), build(single_task)
    separate.set_weights(model.get_weights())
    x, _ = batch()
    keras.tree.map_structure(np.testing.assert_array_equal, model(x), separate(x))


def test_l2_penalty_by_hand():
    tasks = [mz.Task.binary("a"), mz.Task.binary("b")]
    model = soft_sharing(keras.Input((2,)), tasks, mz.encoders.mlp(1), strength=0.5)
    for name, kernel, bias in (("a", [[1.0], [2.0]], [3.0]), ("b", [[2.0], [4.0]], [0.0])):
        model.get_layer(f"{name}_1_dense").set_weights([np.array(kernel), np.array(bias)])
    assert model.losses == [
        0.5 * ((1 - 2) ** 2 + (2 - 4) ** 2 + (3 - 0) ** 2)
    ]  # heads are not drawn together


@pytest.mark.parametrize("penalty", PENALTIES)
def test_penalty_is_the_sum_over_the_weights_of_the_encoder(penalty):
    model = build(functools.partial(soft_sharing, penalty=penalty, strength=2.0))
    expected = 2 * sum(float(PENALTIES[penalty](corresponding(model, weight))) for weight in ENCODER_WEIGHTS)
    np.testing.assert_allclose(model.losses, [expected], rtol=1e-5)


def test_strength_defaults_to_a_thousandth_of_l2():
    (default,) = build(soft_sharing).losses
    (full,) = build(functools.partial(soft_sharing, penalty="l2", strength=1.0)).losses
    np.testing.assert_allclose(default, 1e-3 * full, rtol=1e-5)


def test_no_penalty_between_equal_towers():
    model = build(soft_sharing)
    for weight in ENCODER_WEIGHTS:
        layer, variable = weight.split("/")
        for name in NAMES:
            getattr(model.get_layer(f"{name}_{layer}"), variable).assign(corresponding(model, weight)[0])
    np.testing.assert_allclose(model.losses, [0], atol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
def test_towers_correspond(network):
    towers = build(soft_sharing, network).towers
    stripped = [
        [(layer.removeprefix(name), index) for layer, index in keys]
        for name, keys in zip(NAMES, towers, strict=True)
    ]
    assert stripped[0] == stripped[1] == stripped[2]
    assert len(set(stripped[0])) == len(stripped[0]) > 2


@pytest.mark.parametrize("aggregator", ["none", "Sum", "MGDA"])
@pytest.mark.parametrize("balancer", ["none", "Static"])
def test_trainer_adds_the_gradient_of_the_penalty_once_outside_the_balancer(balancer, aggregator):
    penalized = build(functools.partial(soft_sharing, strength=0.1))
    free = build(functools.partial(soft_sharing, strength=0.0))
    starts = {weight: corresponding(penalized, weight) for weight in ENCODER_WEIGHTS}
    for model in (penalized, free):
        step(model, BALANCERS[balancer](), AGGREGATORS[aggregator]())  # of learning rate 1
    for weight, start in starts.items():
        gaps = np.stack(corresponding(free, weight)) - np.stack(corresponding(penalized, weight))
        # d/dw_i of the sum over pairs |w_i - w_j|^2
        expected = [0.1 * sum(2 * (own - other) for other in start) for own in start]
        np.testing.assert_allclose(gaps, expected, rtol=1e-4, atol=1e-5)
    for name in NAMES:
        np.testing.assert_allclose(
            free.get_layer(f"{name}_logits").kernel, penalized.get_layer(f"{name}_logits").kernel, atol=1e-6
        )


def test_a_strong_penalty_makes_towers_equal():
    model = build(functools.partial(soft_sharing, strength=1.0))
    step(model, optimizer=keras.optimizers.SGD(0.1), steps=8)  # gaps shrink by 1 - 0.1 * 2 * 3 a step
    for weight in ENCODER_WEIGHTS:
        assert np.max(np.std(corresponding(model, weight), axis=0)) < 0.1


def test_a_frozen_tower_draws_the_others_and_stays():
    model = build(functools.partial(soft_sharing, strength=0.1))
    before = model.losses[0]
    for index in (1, 2):
        model.get_layer(f"odd_{index}_dense").trainable = False
    np.testing.assert_allclose(model.losses[0], before)
    kernels = corresponding(model, "1_dense/kernel")
    step(model)
    after = corresponding(model, "1_dense/kernel")
    assert [np.array_equal(a, b) for a, b in zip(kernels, after, strict=True)] == [False, True, False]


def test_penalty_and_its_settings_survive_saving(tmp_path):
    model = build(functools.partial(soft_sharing, penalty="tensor_train", strength=0.3))
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert (copy.towers, copy.penalty, copy.strength) == (model.towers, "tensor_train", 0.3)
    np.testing.assert_allclose(copy.losses, model.losses, rtol=1e-6)
    assert keras.saving.get_registered_name(type(copy)) == "mtl_zoo>SoftSharing"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"penalty": "l1"},
            r"must be one of \['l2', 'last_axis', 'tensor_train', 'tucker'\]. Received: .*='l1'",
        ),
        ({"strength": -0.1}, r"`strength` must not be negative. Received: strength=-0.1"),
        ({"strength": float("nan")}, r"`strength` must be a finite number. Received: strength=nan"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        build(functools.partial(soft_sharing, **options))
