import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.architectures.harness import without_metrics
from tests.harness import instance, methods

BALANCERS = {  # but for those that need meta data, which `test_meta` has
    "none": None,
    **{k: v for k, v in methods(mz.balancers, mz.balancers.Balancer).items() if not v.needs_meta},
}
AGGREGATORS = {"none": None, **methods(mz.aggregators, mz.aggregators.Aggregator)}
ARCHITECTURES = {
    name: getattr(mz.architectures, name) for name in ("hard_sharing", "soft_sharing", "cross_stitch")
}
SPACES = ("shared", "representation")
ZIPPED = list(zip(itertools.cycle(BALANCERS), AGGREGATORS))  # every method once: their states are independent
TASKS = [mz.Task.classification("left", 3), mz.Task.regression("right")]
QUICK_TASKS = without_metrics(TASKS)


def small_model(architecture="hard_sharing", **arguments):
    encoder = mz.encoders.mlp(6, activation="tanh", **arguments)
    return ARCHITECTURES[architecture](keras.Input((4,)), TASKS, encoder)


@functools.cache
def _model_and_weights(architecture):
    keras.utils.set_random_seed(0)
    model = small_model(architecture)
    return model, model.get_weights()


def same_model(architecture="hard_sharing"):
    """Return always the same model, with its first weights: to build one takes as long as a step."""
    model, weights = _model_and_weights(architecture)
    model.set_weights(weights)
    return model


def data(size=32, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 4)).astype("float32")
    return x, {"left": x[:, :3].argmax(axis=1), "right": 3 * x[:, :1] - 2 * x[:, 1:2]}


def linear_model(**arguments):
    """Both tasks are linear in x, with two shared weights and no others."""
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", **arguments)(inputs)
    return keras.Model(inputs, {"first": shared, "second": 2 * shared})


LINEAR_TASKS = [mz.Task.regression("first"), mz.Task.regression("second")]
X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]], "float32")  # first is 1, 1, 2, 2
MISSING = np.nan
EAGER = {"run_eagerly": True}  # quicker than a graph, for a few small steps


def make_trainer(
    balancer="none",
    aggregator="none",
    model=None,
    optimizer=None,
    seed=0,
    options=EAGER,
    space="shared",
    tasks=TASKS,
):
    keras.utils.set_random_seed(seed)
    methods_used = instance(BALANCERS[balancer]), instance(AGGREGATORS[aggregator])
    trainer = mz.Trainer((model or small_model)(), tasks, *methods_used, space)
    trainer.compile(optimizer or keras.optimizers.Adam(1e-2), **options)
    return trainer


def linear_trainer(optimizer=None, **methods_used):
    trainer = mz.Trainer(linear_model(), LINEAR_TASKS, **methods_used)
    trainer.compile(optimizer or keras.optimizers.SGD(1.0), **EAGER)
    return trainer


def linear_update(labels, sample_weight=None, **arguments):
    """Return minus one SGD step of rate 1 from weights (1, 1), which is the gradient."""
    trainer = linear_trainer(**arguments)
    trainer.train_on_batch(X, labels, sample_weight)
    return 1.0 - np.array(trainer.model.trainable_variables[0])[:, 0]


def weights_of(trainer):
    return [np.array(weight) for weight in trainer.model.weights]


def assert_same_weights(one, other, tolerance=1e-6):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def fit(trainer, **arguments):
    x, y = data()
    return trainer.fit(x, y, **{"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False, **arguments})


# What is computed


@pytest.mark.parametrize("batch_norm", [False, True])
def test_equals_keras_without_methods(batch_norm):
    def model():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        x = keras.layers.Dense(6, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.1))(inputs)
        x = keras.layers.BatchNormalization()(x) if batch_norm else x
        logits = {"left": keras.layers.Dense(3, name="left"), "right": keras.layers.Dense(1, name="right")}
        return keras.Model(inputs, {name: layer(x) for name, layer in logits.items()})

    plain = model()
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(keras.optimizers.Adam(1e-2), loss={"left": crossentropy, "right": "mse"}, **EAGER)
    expected = fit(plain).history
    trainer = mz.Trainer(model(), TASKS)
    trainer.compile(keras.optimizers.Adam(1e-2), **EAGER)
    found = fit(trainer).history
    for weight, reference in zip(weights_of(trainer), plain.weights, strict=True):
        np.testing.assert_allclose(weight, reference, rtol=1e-5, atol=1e-6)
    for name in ("loss", "left_loss", "right_loss"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_gradient_by_hand():
    # first errors: 0, -1, 1, 0, by x: d = 2/4 (x2 * -1 + x3 * 1) = (0.5, 0); second: errors 1, 0, 0, 4,
    # d = 2 * 2/4 (x1 + 4 x4) = (9, 0)
    labels = {"first": np.array([1.0, 2.0, 1.0, 2.0]), "second": np.array([1.0, 2.0, 4.0, 0.0])}
    np.testing.assert_allclose(linear_update(labels), [9.5, 0.0])
    np.testing.assert_allclose(linear_update(labels, aggregator=mz.aggregators.Mean()), [4.75, 0.0])
    np.testing.assert_allclose(linear_update(labels, balancer=mz.balancers.Static([2, 1])), [10.0, 0.0])


@pytest.mark.parametrize("aggregator", [None, mz.aggregators.Sum()])
def test_missing_labels_leave_the_gradient_of_the_labelled_items(aggregator):
    some = {"first": np.array([MISSING, 3.0, MISSING, MISSING]), "second": np.zeros(4)}
    none = {"first": np.full(4, MISSING), "second": np.zeros(4)}
    gradients = [linear_update(labels, aggregator=aggregator) for labels in (some, none)]
    np.testing.assert_allclose(gradients[0] - gradients[1], [0.0, 2 * (1 - 3)])  # of the second item alone


def test_missing_classes_leave_the_gradient_of_the_labelled_items():
    x, y = data(16)
    y["left"][np.arange(16) % 4 != 0] = -1  # 75% missing
    trainer = make_trainer(optimizer=keras.optimizers.SGD(1.0))
    trainer.train_on_batch(x, y)
    expected = make_trainer(optimizer=keras.optimizers.SGD(1.0))
    model = expected.model
    with tf.GradientTape() as tape:
        logits = model(x)
        kept = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            y["left"][::4], logits["left"][::4]
        )
        loss = kept + tf.reduce_mean((logits["right"] - y["right"]) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    expected.optimizer.apply(gradients, model.trainable_variables)
    assert_same_weights(trainer, expected)


@pytest.mark.parametrize("as_dict", [False, True])
def test_sample_weights_weigh_the_items(as_dict):
    labels = {"first": np.array([1.0, 3.0, 5.0, 2.0]), "second": np.array([2.0, 2.0, 4.0, 4.0])}  # no error
    weights = np.array([1.0, 3.0, 1.0, 0.0])
    sample_weight = {"first": weights, "second": np.ones(4)} if as_dict else weights
    # mean over weights: 2 * (3 * (1 - 3) x2 + (2 - 5) x3) / 5
    np.testing.assert_allclose(linear_update(labels, sample_weight), [-6 / 5, -18 / 5], rtol=1e-6)


@pytest.mark.parametrize("as_dataset", [False, True])
def test_several_outputs_learn_from_one_label(as_dataset):
    labels = np.array([1.0, 3.0, MISSING, 2.0])
    weights = np.array([1.0, 3.0, 1.0, 0.0])
    tasks = [dataclasses.replace(mz.Task.regression("goal"), name=task.name) for task in LINEAR_TASKS]
    trainers = [mz.Trainer(linear_model(), some) for some in (tasks, LINEAR_TASKS)]
    logs = []
    for trainer, names in zip(trainers, [("goal",), ("first", "second")], strict=True):
        trainer.compile(keras.optimizers.SGD(0.1), **EAGER)
        arguments = (X, dict.fromkeys(names, labels), dict.fromkeys(names, weights))
        if as_dataset:
            trainer.fit(tf.data.Dataset.from_tensors(arguments), verbose=0)
        else:
            trainer.fit(*arguments[:2], sample_weight=arguments[2], shuffle=False, verbose=0)
        logs.append(trainer.evaluate(*arguments[:2], sample_weight=arguments[2], return_dict=True, verbose=0))
    assert_same_weights(*trainers)
    assert logs[0] == logs[1]
    # outputs 1, 1 and 2, 2 of the weighted examples, 1 and 3: errors 0, -2 and 1, -1 by x; d = 2/4 ...
    update = 1.0 - np.array(trainers[0].model.trainable_variables[0])[:, 0]
    np.testing.assert_allclose(
        update, 0.1 * np.array([2 * 1 * 1 * 2, 2 * 3 * -2 + 2 * 3 * -1 * 2]) / 4, rtol=1e-6
    )


def test_the_label_of_several_outputs_must_be_there():
    tasks = [dataclasses.replace(mz.Task.regression("goal"), name=task.name) for task in LINEAR_TASKS]
    trainer = mz.Trainer(linear_model(), tasks)
    trainer.compile("sgd", **EAGER)
    with pytest.raises(
        ValueError, match=r"must have labels. Received tasks \['goal'\], but labels \['first'\]"
    ):
        trainer.fit(X, {"first": np.zeros(4)}, verbose=0)


def test_regularization_counts_once_and_stays_outside_the_methods():
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.5)
    )(inputs)
    model = keras.Model(inputs, {"first": shared, "second": 1 * shared})
    for aggregator in (None, mz.aggregators.Mean()):
        model.trainable_variables[0].assign([[1.0], [1.0]])
        trainer = mz.Trainer(model, LINEAR_TASKS, mz.balancers.Static([0.0, 0.0]), aggregator)
        trainer.compile(keras.optimizers.SGD(0.1), **EAGER)
        logs = trainer.train_on_batch(X, {"first": np.zeros(4), "second": np.zeros(4)}, return_dict=True)
        np.testing.assert_allclose(model.trainable_variables[0], 0.9)  # 1 - 0.1 * 2 * 0.5
        # losses: (1 + 1 + 4 + 4) / 4 each, and 0.5 * (1 + 1)
        assert logs["loss"] == pytest.approx(2.5 + 2.5 + 1.0)


def test_activity_regularization_does_not_accumulate():
    model = linear_model(activity_regularizer=keras.regularizers.L1(0.5))
    trainer = mz.Trainer(model, LINEAR_TASKS)
    trainer.compile(keras.optimizers.SGD(0.0), **EAGER)
    labels = {"first": np.zeros(4), "second": np.zeros(4)}
    found = [float(trainer.train_on_batch(X, labels, return_dict=True)["loss"]) for _ in range(2)]
    found.append(trainer.evaluate(X, labels, verbose=0, return_dict=True)["loss"])
    model(X)
    penalty = float(model.losses[0])
    assert penalty in (0.5 * 6, 0.5 * 6 / 4)  # newer Keras divides by the batch size
    np.testing.assert_allclose(found, 2.5 + 10.0 + penalty)


@pytest.mark.parametrize(
    ("clipping", "update"),
    [
        ({"clipvalue": 1.0}, [1.0, -1.0]),
        ({"clipnorm": 1.0}, [0.6, -0.8]),
        ({"global_clipnorm": 1.0}, [0.6, -0.8]),
    ],
)
def test_clipping_acts_on_the_combined_gradient(clipping, update):
    # first: errors (12, 0, 0, 0), d = (6, 0); second: errors (0, -8, 0, 0), d = 2 * 2/4 * -8 x2 = (0, -8).
    # The sum has norm 10; clipped one by one, the tasks would give (1, -1) for every norm.
    labels = {"first": np.array([-11.0, 1.0, 2.0, 2.0]), "second": np.array([2.0, 10.0, 4.0, 4.0])}
    for aggregator in (None, mz.aggregators.Sum()):
        optimizer = keras.optimizers.SGD(1.0, **clipping)
        found = linear_update(labels, optimizer=optimizer, aggregator=aggregator)
        np.testing.assert_allclose(found, update, rtol=1e-5)


def test_outputs_that_no_task_names_are_not_trained():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3)(inputs)
    extra = keras.layers.Dense(2, name="extra")(x)
    model = keras.Model(inputs, {"left": x, "right": keras.layers.Dense(1)(x), "extra": extra})
    before = np.array(model.get_layer("extra").kernel)
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.MGDA())
    trainer.compile("sgd", **EAGER)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        fit(trainer)
    np.testing.assert_array_equal(model.get_layer("extra").kernel, before)
    assert set(trainer.predict(data()[0], verbose=0)) == {"left", "right", "extra"}


# Absent tasks


@pytest.mark.parametrize(("balancer", "aggregator"), ZIPPED)
def test_batch_without_labels_of_a_task_leaves_it_alone(balancer, aggregator):
    sgd = keras.optimizers.SGD(0.1)
    trainer = make_trainer(balancer, aggregator, same_model, sgd, tasks=QUICK_TASKS)
    x, y = data(8)
    trainer.train_on_batch(x, y)
    state = [v for v in getattr(trainer.balancer, "variables", []) if v.shape == (2,)]
    before, old_state = weights_of(trainer), [np.array(v) for v in state]
    trainer.train_on_batch(x, {**y, "left": np.full(8, -1)})
    paths = [weight.path for weight in trainer.model.weights]
    for path, weight, old in zip(paths, weights_of(trainer), before, strict=True):
        assert np.isfinite(weight).all()
        assert np.array_equal(weight, old) == path.startswith("left"), path
    for variable, old in zip(state, old_state, strict=True):
        assert variable[0] == old[0], variable.name


@pytest.mark.parametrize("aggregator", [None, mz.aggregators.Sum(), mz.aggregators.MGDA()])
def test_batch_without_labels_of_a_task_trains_the_others_as_if_alone(aggregator):
    labels = {"first": np.array([1.0, 2.0, 1.0, 2.0]), "second": np.full(4, MISSING)}
    np.testing.assert_allclose(linear_update(labels, aggregator=aggregator), [0.5, 0.0], atol=1e-6)


def test_batch_without_any_label_changes_nothing():
    labels = {"first": np.full(4, MISSING), "second": np.full(4, MISSING)}
    for aggregator in methods(mz.aggregators, mz.aggregators.Aggregator).values():
        update = linear_update(labels, aggregator=instance(aggregator))
        np.testing.assert_array_equal(update, 0.0, aggregator.__name__)


# Second looks and parts of the batch


class Spy(mz.balancers.Balancer):
    """Sums, and remembers the losses after the update."""

    second_look = True

    def build(self, losses_shape):
        self.seen = self.add_weight(name="seen", shape=losses_shape, initializer="zeros", trainable=False)

    def combine(self, losses, present):
        return keras.ops.sum(present * losses)

    def look(self, losses_after, present=None):
        self.seen.assign(losses_after)


def normalized_model():
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(5, "tanh")(inputs))
    return keras.Model(inputs, {task.name: mz.heads.head(x, task) for task in TASKS})


@pytest.mark.parametrize("options", [EAGER, {"jit_compile": True}])
def test_second_look_sees_the_updated_model_and_leaves_its_statistics(options):
    results = []
    for balancer in (None, Spy()):
        keras.utils.set_random_seed(0)
        trainer = mz.Trainer(normalized_model(), TASKS, balancer)
        trainer.compile(keras.optimizers.SGD(0.1), **options)
        trainer.train_on_batch(*data(8))
        results.append(weights_of(trainer))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    x, y = data(8)
    logits = trainer.model(x, training=True)
    expected = [task.compute_loss(y[task.name], logits[task.name]) for task in TASKS]
    np.testing.assert_allclose(trainer.balancer.seen, expected, rtol=1e-5)


def test_sub_batches_are_every_nth_example():
    labels = {"first": np.array([0.0, 0.0, 1.0, 0.0]), "second": np.array([0.0, 0.0, 8.0, 0.0])}
    update = linear_update(labels, aggregator=mz.aggregators.MoDo(gamma=0.0))
    # The third part is x = (1, 1) alone, with outputs 2 and 4. The gradients of its losses (2 - 1)^2 and
    # (4 - 8)^2 by the weights are 2 * 1 * x and 2 * -4 * 2 * x, which MoDo averages with its first weights.
    np.testing.assert_allclose(update, [0.5 * (2 - 16)] * 2, rtol=1e-6)


def test_user_loops_must_split_the_batch_for_sub_batches():
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.constant(1.0)]
    with pytest.raises(ValueError, match=r"as many parts of the batch as MoDo needs, 3\. Received: 1"):
        mz.gradients.multitask(tape, losses, [], aggregator=mz.aggregators.MoDo())


# Logs


def test_names_of_the_logs():
    history = fit(make_trainer("Uncertainty", "MGDA"), validation_data=data(seed=1)).history
    names = {"loss"} | {
        f"{task}_{name}"
        for task, found in {
            "left": ["loss", "accuracy"],
            "right": ["loss", "mean_absolute_error", "root_mean_squared_error"],
        }.items()
        for name in found
    }
    weights = {"left_weight", "right_weight"}
    assert set(history) == names | weights | {"skipped_steps"} | {f"val_{name}" for name in names}


def test_logs_are_means_over_the_labelled_items_of_the_epoch():
    # Batches of 3 and 1; first: errors 1, -, 1 | 2: mean (1 + 1 + 4) / 3; second: -, -, - | 3: 9
    labels = {"first": np.array([0.0, MISSING, 1.0, 0.0]), "second": np.array([np.nan] * 3 + [1.0])}
    trainer = linear_trainer(keras.optimizers.SGD(0.0))
    for logs in (
        {key: found[0] for key, found in trainer.fit(X, labels, batch_size=3, verbose=0).history.items()},
        trainer.evaluate(X, labels, batch_size=3, verbose=0, return_dict=True),
    ):
        assert logs["first_loss"] == pytest.approx(2.0)
        assert logs["second_loss"] == pytest.approx(9.0)
        assert logs["loss"] == pytest.approx(11.0)
        assert logs["first_mean_absolute_error"] == pytest.approx(4 / 3)


def test_weight_logs_are_the_factors_of_the_task_gradients():
    # d first = (1, 0) and d second = (0, 2): MGDA 0.8 and 0.2; of twice the first, (2, 0): 0.5 and 0.5
    labels = {"first": np.array([-1.0, 1.0, 2.0, 2.0]), "second": np.array([2.0, 0.0, 4.0, 4.0])}
    balancer, aggregator = mz.balancers.Static([2, 1]), mz.aggregators.MGDA()
    for methods_used, expected in (
        ({}, [1.0, 1.0]),
        ({"balancer": balancer}, [2.0, 1.0]),
        ({"aggregator": mz.aggregators.Mean()}, [0.5, 0.5]),
        ({"aggregator": aggregator}, [0.8, 0.2]),
        ({"balancer": balancer, "aggregator": aggregator}, [1.0, 0.5]),
    ):
        logs = linear_trainer(**methods_used).train_on_batch(X, labels, return_dict=True)
        np.testing.assert_allclose([logs["first_weight"], logs["second_weight"]], expected, rtol=1e-5)


def test_weight_logs_are_means_over_the_batches_with_the_task():
    labels = {"first": np.array([0.0, 0.0, MISSING, MISSING]), "second": np.zeros(4)}
    history = linear_trainer(balancer=mz.balancers.Static([3, 2])).fit(X, labels, batch_size=2, verbose=0)
    assert history.history["first_weight"] == [3.0]
    assert history.history["second_weight"] == [2.0]


def test_evaluate_gives_a_list_in_the_order_of_metrics_names():
    trainer = make_trainer()
    x, y = data()
    logs = trainer.evaluate(x, y, verbose=0, return_dict=True)
    listed = trainer.evaluate(x, y, verbose=0)
    assert listed[0] == pytest.approx(logs["loss"])
    assert dict(zip(trainer.metrics_names, listed, strict=True)) == pytest.approx(logs)
    assert {type(value) for value in (*listed, *logs.values())} == {float}


def test_evaluate_equals_the_tasks_losses():
    trainer = make_trainer("DWA", "PCGrad")
    x, y = data()
    logs = trainer.evaluate(x, y, batch_size=5, verbose=0, return_dict=True)
    logits = trainer.model(x)
    for task in TASKS:
        expected = float(task.compute_loss(y[task.name], logits[task.name]))
        assert logs[f"{task.name}_loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["left_accuracy"] == pytest.approx(np.mean(np.argmax(logits["left"], axis=1) == y["left"]))


# Ways to run


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 3}, {"jit_compile": True}])
def test_ways_to_run_give_the_same_weights(options):
    reference = make_trainer("Uncertainty", "MGDA")
    other = make_trainer("Uncertainty", "MGDA", options=options)
    expected, found = fit(reference).history, fit(other).history
    assert_same_weights(reference, other, 1e-4)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, err_msg=name)


def test_arrays_and_datasets_give_the_same_weights():
    arrays, dataset = make_trainer(), make_trainer()
    fit(arrays, validation_data=data(seed=1))
    batches = tf.data.Dataset.from_tensor_slices(data()).batch(8)
    validation = tf.data.Dataset.from_tensor_slices(data(seed=1)).batch(8)
    history = dataset.fit(batches, epochs=2, validation_data=validation, verbose=0).history
    assert_same_weights(arrays, dataset)
    np.testing.assert_allclose(history["val_loss"], arrays.history.history["val_loss"], rtol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_split_holds_out_the_last_items(weighted):
    x, y = data()
    trainer = make_trainer(optimizer=keras.optimizers.SGD(0.0))
    arguments = {"sample_weight": np.ones(32)} if weighted else {}
    history = trainer.fit(x, y, validation_split=0.25, batch_size=8, verbose=0, **arguments).history
    held_out = {name: label[24:] for name, label in y.items()}
    logs = trainer.evaluate(x[24:], held_out, verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(logs["loss"], rel=1e-5)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        x, y = data(32)
        part = slice(8 * index, 8 * (index + 1))
        return x[part], {name: label[part] for name, label in y.items()}


def test_python_datasets_serve_for_training_and_validation():
    arrays, python = make_trainer(), make_trainer()
    fit(arrays, validation_data=data())
    history = python.fit(Batches(), epochs=2, shuffle=False, validation_data=Batches(), verbose=0).history
    assert_same_weights(arrays, python)
    np.testing.assert_allclose(history["val_loss"], arrays.history.history["val_loss"], rtol=1e-5)


def test_validation_data_with_sample_weights():
    x, y = data()
    trainer = make_trainer(optimizer=keras.optimizers.SGD(0.0))
    weights = np.array([1.0] * 8 + [0.0] * 24)
    history = fit(trainer, epochs=1, validation_data=(x, y, weights)).history
    logs = trainer.evaluate(
        x[:8], {name: label[:8] for name, label in y.items()}, verbose=0, return_dict=True
    )
    assert history["val_loss"][0] == pytest.approx(logs["loss"], rel=1e-5)


def test_predict_activates_the_logits():
    """The tasks are regressions: another activation shows where it is applied."""
    trainer = make_trainer()
    x, _ = data()
    logits = trainer.predict_logits(x, batch_size=5, verbose=0)
    for name, expected in trainer.model(x).items():
        np.testing.assert_allclose(logits[name], expected, rtol=1e-5, atol=1e-6)
    tasks = [dataclasses.replace(task, activation=keras.ops.exp) for task in trainer.tasks]
    found = mz.Trainer(trainer.model, tasks).predict(x, batch_size=5, verbose=0)
    assert set(found) == {"left", "right"}
    for name in found:
        np.testing.assert_allclose(found[name], np.exp(logits[name]), rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_mixed_precision_trains(jit_compile):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        trainer = make_trainer("Uncertainty", "PCGrad", options={"jit_compile": jit_compile})
    finally:
        keras.config.set_dtype_policy("float32")
    losses = fit(trainer, epochs=10).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_loss_scaling_leaves_the_update_alone():
    labels = {"first": np.array([1.0, 2.0, 1.0, 2.0]), "second": np.zeros(4)}
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0))
    np.testing.assert_allclose(linear_update(labels, optimizer=optimizer), linear_update(labels))


# Callbacks


def test_callbacks_that_watch_a_value(tmp_path):
    trainer = make_trainer(optimizer=keras.optimizers.SGD(0.0))
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=1),
        keras.callbacks.EarlyStopping("val_left_loss", patience=3, mode="min", restore_best_weights=True),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]
    history = fit(trainer, epochs=9, callbacks=callbacks, validation_data=data(seed=1)).history
    assert len(history["loss"]) == 4
    assert "learning_rate" in history
    header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert set(header) == {"epoch", *history}


def test_tensorboard_gets_the_logs(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    fit(make_trainer(), callbacks=[keras.callbacks.TensorBoard(tmp_path)], validation_data=data(seed=1))
    assert list((tmp_path / "train").iterdir())
    assert list((tmp_path / "validation").iterdir())


def test_learning_rate_scheduler_sets_the_rate():
    trainer = make_trainer()
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 / (1 + epoch))
    rates = fit(trainer, epochs=2, callbacks=schedule).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.1, 0.05], rtol=1e-6)


def test_checkpoint_of_weights_restores_the_trainer(tmp_path):
    path = tmp_path / "best.weights.h5"
    trainer = make_trainer("Uncertainty", "PCGrad")
    fit(trainer, callbacks=[keras.callbacks.ModelCheckpoint(path, save_weights_only=True)])
    restored = make_trainer("Uncertainty", "PCGrad")
    restored.load_weights(path)
    assert_same_weights(trainer, restored, 0)
    np.testing.assert_array_equal(restored.balancer.log_variances, trainer.balancer.log_variances)


def test_checkpoint_of_the_model_is_the_wrapped_model(tmp_path):
    path = tmp_path / "best.keras"
    trainer = make_trainer("Uncertainty")
    fit(trainer, callbacks=[keras.callbacks.ModelCheckpoint(path)])
    model = keras.saving.load_model(path)
    x, _ = data()
    for name, logits in trainer.predict_logits(x, verbose=0).items():
        np.testing.assert_allclose(model(x)[name], logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saved_model_is_the_wrapped_model(tmp_path, architecture):
    trainer = make_trainer(model=functools.partial(small_model, architecture))
    trainer.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    x, _ = data()
    for name, logits in trainer.model(x).items():
        np.testing.assert_allclose(model(x)[name], logits, rtol=1e-5, atol=1e-6)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_backup_and_restore_resumes_an_interrupted_run(tmp_path):
    def run(*callbacks):
        trainer = make_trainer("DWA", "PCGrad")
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return trainer, fit(trainer, epochs=4, callbacks=[*callbacks, backup])

    expected = fit(make_trainer("DWA", "PCGrad"), epochs=4).history["loss"]
    with pytest.raises(KeyboardInterrupt):
        run(Interrupt())
    _, history = run()
    np.testing.assert_allclose(history.history["loss"], expected[2:], rtol=1e-6)


# Resuming


@pytest.mark.parametrize(("balancer", "aggregator"), ZIPPED)
def test_a_fresh_trainer_resumes_exactly(tmp_path, balancer, aggregator):
    def epoch(trainer):
        return fit(trainer, epochs=1, batch_size=32).history["loss"]

    model = functools.partial(small_model, dropout=0.5)
    trainer, fresh = (
        make_trainer(balancer, aggregator, model, seed=seed, tasks=QUICK_TASKS) for seed in (0, 7)
    )
    epoch(trainer)
    trainer.save_weights(tmp_path / "half.weights.h5")
    fresh.load_weights(tmp_path / "half.weights.h5")
    for _ in range(2):
        assert epoch(fresh) == epoch(trainer)
    for variable, expected in zip(fresh.variables, trainer.variables, strict=True):
        np.testing.assert_array_equal(variable, expected, variable.path)


def test_weights_load_into_a_trainer_that_has_trained(tmp_path):
    trainer = make_trainer("Uncertainty", "PCGrad")
    trainer.save_weights(tmp_path / "start.weights.h5")
    start = weights_of(trainer)
    fit(trainer)
    trainer.load_weights(tmp_path / "start.weights.h5")
    for weight, old in zip(weights_of(trainer), start, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize(("balancer", "aggregator"), ZIPPED)
def test_evaluation_leaves_the_methods_alone(balancer, aggregator):
    trainer = make_trainer(balancer, aggregator, same_model, tasks=QUICK_TASKS)
    x, y = data(8)
    trainer.train_on_batch(x, y)
    parts = [part for part in (trainer.model, trainer.balancer, trainer.aggregator) if part is not None]
    before = [np.array(variable) for part in parts for variable in part.variables]
    trainer.evaluate(x, y, verbose=0)
    after = [np.array(variable) for part in parts for variable in part.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_balancer_sees_the_end_of_every_epoch():
    class Counter(mz.balancers.Equal):
        epochs = 0

        def on_epoch_end(self):
            self.epochs += 1

    balancer = Counter()
    trainer = mz.Trainer(small_model(), TASKS, balancer)
    trainer.compile("sgd", **EAGER)
    fit(trainer, epochs=3, validation_data=data(seed=1))
    assert balancer.epochs == 3


# Errors


def test_every_task_must_have_an_output():
    with pytest.raises(
        ValueError, match=r"Received tasks \['age'\], but the outputs are \['left', 'right'\]"
    ):
        mz.Trainer(small_model(), [mz.Task.regression("age")])


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("balancer", mz.balancers.Equal),
        ("aggregator", mz.aggregators.Sum),
        ("balancer", mz.aggregators.Sum()),
        ("aggregator", "PCGrad"),
    ],
)
def test_methods_must_be_instances(kind, method):
    with pytest.raises(
        TypeError, match=f"`{kind}` must be an instance of `{kind.title()}`. Received: {kind}="
    ):
        mz.Trainer(small_model(), TASKS, **{kind: method})


def test_the_balancer_must_fit_the_number_of_tasks():
    with pytest.raises(ValueError, match="one number per task, 2"):
        mz.Trainer(small_model(), TASKS, mz.balancers.Static([1, 2, 3]))


@pytest.mark.parametrize("labels", [{"left": np.zeros(32, int)}, np.zeros(32), None])
def test_labels_must_be_there(labels):
    with pytest.raises(ValueError, match="abels"):
        make_trainer().fit(data()[0], labels, verbose=0)


# Every combination


def makes_sense(architecture, aggregator, space):
    """Return whether the model has a representation and the aggregator can work on it."""
    method = AGGREGATORS[aggregator]
    if space == "shared" or method is None:
        return True
    remembers = method.state_per_parameter or method.state_per_block
    compares = method.sub_batches > 1 and not method.parts_in_representation
    return not (architecture == "soft_sharing" or remembers or compares)


def assert_one_step_trains_every_variable(trainer):
    before = [np.array(variable) for variable in trainer.trainable_variables]
    logs = trainer.train_on_batch(*data(8), return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    for variable, old in zip(trainer.trainable_variables, before, strict=True):
        assert np.isfinite(variable).all(), variable.path
        assert not np.array_equal(variable, old), f"{variable.path} gets no gradient"


def in_turns():
    """Yield every architecture with every method, where both spaces make sense in one of them by turns."""
    pairs = itertools.product(enumerate(ARCHITECTURES), enumerate(ZIPPED))
    for (place, architecture), (row, (balancer, aggregator)) in pairs:
        in_both = makes_sense(architecture, aggregator, "representation")
        for space in [SPACES[(place + row) % 2]] if in_both else SPACES:
            yield architecture, balancer, aggregator, space


@pytest.mark.parametrize(("architecture", "balancer", "aggregator", "space"), list(in_turns()))
def test_one_step_trains_every_variable(architecture, balancer, aggregator, space):
    model = functools.partial(same_model, architecture)
    arguments = (balancer, aggregator, model, keras.optimizers.SGD(0.1))
    if makes_sense(architecture, aggregator, space):
        assert_one_step_trains_every_variable(make_trainer(*arguments, space=space, tasks=QUICK_TASKS))
    else:
        with pytest.raises(ValueError, match=r"must be 'shared'|needs trainable layers"):
            make_trainer(*arguments, space=space)


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_balancers_compose_with_the_aggregator(aggregator):
    first = list(AGGREGATORS).index(aggregator)
    for balancer in list(BALANCERS)[first % 3 :: 3]:  # every one with nine others
        sgd = keras.optimizers.SGD(0.1)
        assert_one_step_trains_every_variable(
            make_trainer(balancer, aggregator, same_model, sgd, tasks=QUICK_TASKS)
        )


def combinations():
    """Yield rows that cover all pairs but those of balancer, aggregator and architecture.

    These the tests above cover, of which no step is compiled: that takes as long as many steps.
    """
    axes = [list(ARCHITECTURES), list(BALANCERS), list(AGGREGATORS), ["graph", "xla"], SPACES]
    places = list(itertools.combinations(range(len(axes)), 2))
    rows = {
        row: {(i, row[i], j, row[j]) for i, j in places if j > 2}
        for row in itertools.product(*axes)
        if makes_sense(row[0], row[2], row[4])
    }
    wanted = set().union(*rows.values())
    while wanted:
        best = max(rows, key=lambda row: len(rows[row] & wanted))
        wanted = wanted - rows[best]
        yield best


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "balancer", "aggregator", "mode", "space"), list(combinations()))
def test_loss_falls(architecture, balancer, aggregator, mode, space):
    model, options = functools.partial(same_model, architecture), {"jit_compile": mode == "xla"}
    trainer = make_trainer(balancer, aggregator, model, options=options, space=space, tasks=QUICK_TASKS)
    losses = fit(trainer, epochs=8).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.97 * losses[0]
