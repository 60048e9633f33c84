import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.harness import dtype_policy, instance
from tests.training.test_trainer import AGGREGATORS, BALANCERS, SPACES, TASKS, ZIPPED, makes_sense

SIZE = 12
RANDOM_PER_ELEMENT = ("GradDrop",)  # its random numbers belong to the elements of one portion's tensor


def stage(x, name):
    return keras.layers.Dense(6, activation="tanh", kernel_regularizer="l2", name=f"{name}_dense")(x)


def make_trainer(balancer="none", aggregator="none", space="shared", optimizer=None, model=None, **options):
    keras.utils.set_random_seed(0)
    if model is None:
        model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, [stage, stage])
    methods = instance(BALANCERS[balancer]), instance(AGGREGATORS[aggregator])
    trainer = mz.Trainer(model, TASKS, *methods, space, **options)
    trainer.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=True)
    return trainer


def batch(seed=0):
    """Return a batch whose second half misses most labels."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(SIZE, 4)).astype("float32")
    missing = random.random((2, SIZE)) < np.where(np.arange(SIZE) < SIZE // 2, 0.2, 0.6)
    left = np.where(missing[0], -1, x[:, :3].argmax(axis=1))
    return x, {"left": left, "right": np.where(missing[1], np.nan, 3 * x[:, 0]).astype("float32")}


def state(trainer):
    """Return all weights and the state of the methods."""
    parts = [part for part in (trainer.model, trainer.balancer, trainer.aggregator) if part is not None]
    return {variable.path: np.array(variable) for part in parts for variable in part.variables}


def assert_same(found, expected, tolerance=0.0):
    for (path, value), other in zip(expected.items(), found.values(), strict=True):
        np.testing.assert_allclose(other, value, rtol=tolerance, atol=tolerance, err_msg=path)


# Every method


@pytest.fixture(scope="module")
def model():
    """A model for several trainers, and the weights that it starts with."""
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, [stage, stage])
    return model, model.get_weights()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("balancer", "aggregator"), ZIPPED)
def test_steps_of_every_method(model, balancer, aggregator, space):
    if not makes_sense("hard_sharing", aggregator, space):
        pytest.skip("the method needs the shared space")
    model, weights = model
    model.set_weights(weights)
    trainer = make_trainer(balancer, aggregator, space, keras.optimizers.SGD(0.1, momentum=0.5), model)
    trainer.train_on_batch(*batch(0))
    check_a_step_that_is_not_finite_changes_nothing(trainer)
    if not (aggregator in RANDOM_PER_ELEMENT and space == "representation"):
        check_portions_make_the_update_of_the_whole_batch(trainer)


def check_a_step_that_is_not_finite_changes_nothing(trainer):
    trainer.reset_metrics()
    before = state(trainer) | {v.path: np.array(v) for v in trainer.optimizer.variables}
    x, y = batch()
    logs = trainer.train_on_batch(np.where(np.arange(SIZE)[:, None] == 3, np.inf, x), y, return_dict=True)
    after = state(trainer) | {v.path: np.array(v) for v in trainer.optimizer.variables}
    random = {name for name in before if "seed" in name}  # drawn numbers are not drawn again
    assert_same(*[{k: v for k, v in values.items() if k not in random} for values in (after, before)])
    assert logs["skipped_steps"] == 1
    assert np.isnan(logs["loss"])


def check_portions_make_the_update_of_the_whole_batch(trainer):
    """Check the same step with one portion and with two, from the state that another step left."""
    optimizers = [variable for optimizer in trainer.optimizers for variable in optimizer.variables]
    variables = trainer.variables + optimizers
    values = [np.array(variable) for variable in variables]
    found = []
    x, y = batch(1)
    odd = x[1:], {name: label[1:] for name, label in y.items()}
    for accumulate in (1, 2):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        trainer.reset_metrics()
        trainer.accumulate = accumulate
        logs = trainer.train_on_batch(*odd, return_dict=True)
        assert logs["skipped_steps"] == 0
        found.append((state(trainer), logs))
    assert_same(found[1][0], found[0][0], 1e-4)
    assert_same(found[1][1], found[0][1], 1e-4)


# Parts of a batch


def gradients_of(aggregator, labels, sample_weight=None, accumulate=1):
    """Return the gradients of linear tasks of nine examples, by variable."""
    x = np.random.default_rng(0).normal(size=(9, 3)).astype("float32")
    tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, tasks, aggregator=aggregator, accumulate=accumulate)
    trainer.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    b = np.where(np.isin(np.arange(9), labels), x[:, 1], np.nan).astype("float32")
    trainer.train_on_batch(x, {"a": x[:, 0], "b": b}, sample_weight)
    after = [np.array(v) for v in model.trainable_variables]
    keras.utils.set_random_seed(0)
    start = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4)).trainable_variables
    return {v.path: np.array(v) - new for v, new in zip(start, after, strict=True)}


PARTS = [mz.aggregators.MoDo, mz.aggregators.SDMGrad]


@pytest.mark.parametrize(
    ("make", "labels", "weighted"),
    [(PARTS[0], [0], False), (PARTS[1], [0, 3, 6, 1, 2], False), (PARTS[0], [0, 1, 4, 5, 6, 8], True)],
)
def test_heads_get_the_gradient_of_the_whole_batch(make, labels, weighted):
    weights = np.array([1, 2, 0.5, 3, 0, 1, 1, 2, 1], "float32") if weighted else None
    found, plain = (gradients_of(aggregator, labels, weights) for aggregator in (make(), None))
    for task in "ab":
        for name in (f"{task}_logits/kernel", f"{task}_logits/bias"):
            np.testing.assert_allclose(found[name], plain[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("make", "labels"), [(PARTS[0], [4]), (PARTS[1], [1, 4]), (PARTS[0], [0, 3, 6])])
def test_few_labels_train_the_trunk(make, labels):
    one, other = gradients_of(make(), labels), gradients_of(make(), [])
    assert np.abs(one["shared_1_dense/kernel"] - other["shared_1_dense/kernel"]).max() > 1e-3


@pytest.mark.parametrize("labels", [[1, 3, 4, 7], [0, 8]])
def test_direction_is_that_of_the_third_of_the_labelled_items(labels):
    """With weights that stay, the mean of the gradients of every third labelled item, or of all if fewer."""
    found = gradients_of(mz.aggregators.MoDo(gamma=0.0), labels)["shared_1_dense/kernel"]
    first = np.isin(np.arange(9), [2, 5, 8]).astype("float32")
    second = np.isin(np.arange(9), labels[2::3] or labels).astype("float32")
    expected = gradients_of(mz.aggregators.Mean(), range(9), {"a": first, "b": second})
    np.testing.assert_allclose(found, expected["shared_1_dense/kernel"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("accumulate", [2, 4])
def test_portions_deal_weighted_items_as_the_joined_batch(accumulate):
    weights = np.array([1, 0, 0.5, 3, 0, 1, 1, 2, 1], "float32")
    one, other = (
        gradients_of(mz.aggregators.SDMGrad(), [0, 1, 2, 4, 5, 7], weights, n) for n in (1, accumulate)
    )
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


# Weights of losses


def losses_after_training(
    scales, space="shared", method=mz.aggregators.NashMTL, accumulate=1, steps=100, **options
):
    """Return per scale the losses of two regressions, of which the second is scaled in training."""
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(8))
    balancer = mz.balancers.Static([1.0, 1.0])
    trainer = mz.Trainer(model, tasks, balancer, method(), space, accumulate)
    trainer.compile(keras.optimizers.SGD(0.02), **options)
    start = [variable.numpy() for variable in (*model.variables, *trainer.aggregator.variables)]
    data = tf.data.Dataset.from_tensor_slices((x, {"a": x[:, 0], "b": x[:, 1]})).repeat()
    data, found = data.batch(64 // accumulate), []
    for scale in scales:  # to compile a step takes longer than to train
        for variable, value in zip((*model.variables, *trainer.aggregator.variables), start, strict=True):
            variable.assign(value)
        balancer.task_weights.assign([1.0, scale])
        for updates in (steps - 1, 1):
            logs = trainer.fit(data, steps_per_epoch=updates * accumulate, verbose=0).history
            assert logs["skipped_steps"] == [0]
        found.append([logs["a_loss"][0], logs["b_loss"][0]])
    return np.array(found)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"jit_compile": True},
        {"run_eagerly": True, "steps": 4},  # a solver's loop is slow without a graph
        {"space": "representation", "steps": 20},
        {"accumulate": 2, "steps": 20},
    ],
)
def test_nash_learns_alike_whatever_the_scale_of_a_loss(options):
    one, *others = losses_after_training((1.0, 1e2, 1e4), **options)
    assert (one < 0.1).all() or "steps" in options
    np.testing.assert_allclose(others, [one, one], rtol=1e-3)


# Tasks that train nothing


@pytest.mark.parametrize(
    ("balancer", "aggregator", "space", "accumulate"),
    [
        ("Uncertainty", "none", "shared", 1),
        ("Uncertainty", "none", "shared", 2),
        ("none", "MGDA", "shared", 2),
        ("none", "NashMTL", "representation", 1),
        ("FAMO", "Krum", "shared", 1),
        ("none", "MoDo", "shared", 1),
    ],
)
def test_a_task_whose_path_has_no_trainable_variable(balancer, aggregator, space, accumulate):
    def step(names):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(4, "tanh", name="hidden")(inputs)
        heads = {name: keras.layers.Dense(1, name=name)(hidden) for name in "ab"}
        frozen = keras.layers.Dense(1, name="frozen", trainable=False)(inputs)
        tasks = [mz.Task.regression(name) for name in names]
        methods = instance(BALANCERS[balancer]), instance(AGGREGATORS[aggregator])
        trainer = mz.Trainer(keras.Model(inputs, {**heads, "c": frozen}), tasks, *methods, space, accumulate)
        trainer.compile("sgd", run_eagerly=True)
        x, _ = batch()
        logs = trainer.train_on_batch(x, {name: x[:, i] for i, name in enumerate(names)}, return_dict=True)
        assert logs["skipped_steps"] == 0
        assert np.isfinite(logs["loss"])
        return {v.path: np.array(v) for v in trainer.model.variables}

    found, expected = step("abc"), step("ab")
    if balancer != "FAMO":  # whose factors depend on all losses
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


# Accumulation


@pytest.mark.parametrize("as_dataset", [False, True])
def test_fit_joins_batches(as_dataset):
    x, y = batch()
    found = []
    for accumulate, size in ((1, 6), (3, 2)):
        trainer = make_trainer(accumulate=accumulate)
        data = (tf.data.Dataset.from_tensor_slices((x, y)).batch(size),) if as_dataset else (x, y)
        sizes = {} if as_dataset else {"batch_size": size}
        trainer.fit(*data, **sizes, epochs=2, shuffle=False, verbose=0)
        found.append((state(trainer), int(trainer.optimizer.iterations)))
    assert found[0][1] == found[1][1] == 4
    assert_same(found[1][0], found[0][0], 1e-5)


def test_a_batch_smaller_than_the_number_of_portions():
    x, y = batch()
    short = x[:1], {name: label[:1] for name, label in y.items()}
    whole, split = make_trainer(), make_trainer(accumulate=3)
    for trainer in (whole, split):
        trainer.train_on_batch(*short)
    assert_same(state(split), state(whole), 1e-6)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(
    ("aggregator", "space"), [("none", "shared"), ("MGDA", "shared"), ("MGDA", "representation")]
)
def test_regularization_of_activities_counts_by_examples(aggregator, space, size):
    def active(x, name):
        return keras.layers.Dense(6, activation="tanh", activity_regularizer="l2", name=f"{name}_dense")(x)

    x, y = batch()
    part = x[:size], {name: label[:size] for name, label in y.items()}
    found = []
    for accumulate in (1, 3):  # portions of 2, 2 and 3 examples, or of none but one
        keras.utils.set_random_seed(0)
        model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, [active, stage])
        trainer = make_trainer("none", aggregator, space, model=model, accumulate=accumulate)
        logs = trainer.train_on_batch(*part, return_dict=True)
        found.append((state(trainer), logs))
    assert_same(found[1][0], found[0][0], 1e-6)
    assert_same(found[1][1], found[0][1], 1e-6)


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_sparse_gradients_make_the_update_of_dense_ones(options, accumulate):
    """With an optimizer that squares gradients, to which every token of a word must count."""

    def embed(x, name):
        return keras.layers.Flatten(name=name)(keras.layers.Embedding(5, 3, name=f"{name}_embedding")(x))

    words, (_, y), found = np.arange(4 * SIZE).reshape(SIZE, 4) ** 2 % 5, batch(), []
    for aggregator, count, given in (("Sum", 1, {"run_eagerly": True}), ("none", accumulate, options)):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,), dtype="int32")
        model = mz.architectures.hard_sharing(inputs, TASKS, [embed, stage])
        trainer = mz.Trainer(model, TASKS, aggregator=instance(AGGREGATORS[aggregator]), accumulate=count)
        trainer.compile(keras.optimizers.Adam(0.01), **given)
        for _ in range(2):
            trainer.train_on_batch(words, y)
        found.append(state(trainer))
    assert_same(found[1], found[0], 1e-5)


def test_validation_in_batches_of_the_given_size():
    x, y = batch()
    sizes = []
    trainer = make_trainer(accumulate=3)
    measure = trainer.test_step
    trainer.test_step = lambda data: sizes.append(len(data[0])) or measure(data)
    trainer.fit(x, y, batch_size=4, validation_data=(x, y), verbose=0)
    assert sizes == [4, 4, 4]


def test_accumulate_must_be_positive():
    with pytest.raises(ValueError, match=r"must be an integer of at least 1\. Received: accumulate=0"):
        make_trainer(accumulate=0)


# Losses and gradients that are not finite


def root_model():
    """A model whose second task has a finite loss with an infinite gradient where the input is 0."""
    inputs = keras.Input((1,))
    shared = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs)
    return keras.Model(inputs, {"first": shared, "second": keras.ops.sqrt(shared)})


ROOT_TASKS = [mz.Task.regression("first"), mz.Task.regression("second")]


def root_trainer(**options):
    trainer = mz.Trainer(root_model(), ROOT_TASKS, aggregator=mz.aggregators.PCGrad(seed=0), **options)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return trainer


def root_data(x):
    x = np.array(x, "float32")
    return x, {"first": np.ones_like(x), "second": np.ones_like(x)}


def test_a_gradient_that_is_not_finite_names_its_task(caplog):
    trainer = root_trainer()
    history = trainer.fit(*root_data([[1.0], [0.0], [2.0]]), batch_size=1, shuffle=False, verbose=0)
    assert history.history["skipped_steps"] == [1]
    assert "Epoch 1 skipped 1 steps: the gradient of task 'second' was not finite in 1." in caplog.text
    assert np.isfinite(trainer.model.get_weights()[0]).all()


def test_a_loss_that_is_not_finite_stops_and_names_its_task():
    trainer = root_trainer(non_finite="stop")
    x, y = root_data([[1.0], [2.0]])
    y["first"][1] = 1e30  # its square overflows
    with pytest.raises(FloatingPointError, match=r"The loss of task 'first' must be finite\. .*in step 2 of"):
        trainer.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    assert int(trainer.optimizer.iterations) == 1


def test_several_steps_at_once_stop_too():
    trainer = root_trainer(non_finite="stop")
    trainer.compile(keras.optimizers.SGD(0.1), steps_per_execution=2)
    x, y = root_data([[1.0], [2.0], [3.0], [4.0]])
    y["first"][2] = 1e30
    with pytest.raises(FloatingPointError, match="in a step up to 4 of the epoch, which was not applied"):
        trainer.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    assert int(trainer.optimizer.iterations) == 3


def test_a_second_look_at_losses_that_are_not_finite_changes_nothing():
    trainer = make_trainer("FAMO", optimizer=keras.optimizers.SGD(1e32))
    x, y = batch()
    y["right"] *= 1e8
    logs = trainer.train_on_batch(x, y, return_dict=True)
    assert logs["skipped_steps"] == 0
    assert not np.isfinite(trainer.test_on_batch(x, y, return_dict=True)["loss"])
    assert all(np.isfinite(variable).all() for variable in trainer.balancer.variables)


def test_sparse_tensors_are_inputs():
    x, y = batch()
    losses = []
    for sparse in (True, False):
        keras.utils.set_random_seed(0)
        model = mz.architectures.hard_sharing(keras.Input((4,), sparse=sparse), TASKS, [stage, stage])
        trainer = mz.Trainer(model, TASKS)
        trainer.compile("sgd")
        given = tf.sparse.from_dense(x) if sparse else x
        dataset = tf.data.Dataset.from_tensor_slices((given, y)).batch(SIZE)
        losses.append(trainer.fit(dataset, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_statistics_of_a_layer_stay_finite(caplog):
    inputs = keras.Input((1,))
    shared = keras.layers.Dense(1)(keras.layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, {"first": shared, "second": 2 * shared})
    trainer = mz.Trainer(model, ROOT_TASKS)
    trainer.compile("sgd", run_eagerly=True)
    before = state(trainer)
    history = trainer.fit(*root_data([[1e30], [-1e30]]), verbose=0).history  # of an infinite variance
    assert np.isfinite(history["loss"]).all()
    assert "the state of a layer was not finite in 1" in caplog.text
    assert_same(state(trainer), before)


def test_an_epoch_without_a_finite_loss_logs_none():
    trainer = root_trainer()
    x, y = root_data([[1.0], [2.0]])
    y["first"][:] = 1e30
    logs = trainer.fit(x, y, verbose=0).history
    assert np.isnan(logs["loss"]).all()
    assert np.isnan(logs["first_loss"]).all()
    assert np.isfinite(logs["second_loss"]).all()


def test_what_to_do_must_be_known():
    with pytest.raises(ValueError, match="`non_finite` must be one of"):
        make_trainer(non_finite="ignore")


# Half precision


@pytest.mark.parametrize(
    "methods",
    [("none", "none"), ("Uncertainty", "PCGrad"), ("none", "MGDA", "representation")],
)
def test_overflows_are_skipped_counted_and_survived(methods):
    with dtype_policy("mixed_float16"):
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.05), initial_scale=2.0**22, dynamic_growth_steps=4
        )
        trainer = make_trainer(*methods, optimizer=optimizer)
        before = state(trainer)
        logs = trainer.train_on_batch(*batch(), return_dict=True)
        assert logs["skipped_steps"] == 1
        assert_same(state(trainer), before)
        assert float(optimizer.dynamic_scale) == 2.0**21
        x, y = batch()
        history = trainer.fit(x, y, batch_size=4, epochs=10, shuffle=False, verbose=0).history
    assert all(np.isfinite(value).all() for value in state(trainer).values())
    assert 0 < sum(history["skipped_steps"]) < 15
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("space", SPACES)
def test_the_loss_scale_does_not_reach_the_aggregator(space):
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**10)
    trainers = [make_trainer("none", "GradNorm", space, optimizer) for optimizer in (None, scaled)]
    for trainer in trainers:
        trainer.train_on_batch(*batch())
    assert_same(state(trainers[1]), state(trainers[0]), 1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_half_precision_learns_as_well(space):
    losses = {}
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        with dtype_policy(policy):
            trainer = make_trainer("Uncertainty", "PCGrad", space, keras.optimizers.SGD(0.3))
            history = trainer.fit(*batch(), batch_size=SIZE, epochs=16, shuffle=False, verbose=0).history
        losses[policy] = history["loss"][-1]
    assert losses["float32"] < 0.4 * history["loss"][0]
    np.testing.assert_allclose(list(losses.values()), losses["float32"], rtol=0.01)
