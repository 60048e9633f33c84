"""The cut of a model, and training through it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import mtl_zoo as mz
from mtl_zoo.training.batch import count, portions
from mtl_zoo.training.representation import split, split_if_possible
from mtl_zoo.training.step import compute

TASKS = [mz.Task.classification("left", 3), mz.Task.regression("right")]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = {"left": X[:, :3].argmax(axis=1), "right": X[:, :1] - X[:, 1:2]}
ENCODER = mz.encoders.mlp(5, 4, activation="tanh")


def heads(features):
    return {task.name: mz.heads.head(features[task.name], task) for task in TASKS}


def hard_sharing():
    return mz.architectures.hard_sharing(keras.Input((4,)), TASKS, ENCODER)


def cross_stitch():
    return mz.architectures.cross_stitch(keras.Input((4,)), TASKS, ENCODER)


def mixture():
    """Two experts and a gate per task that sees the inputs: two boundary tensors and a shortcut."""
    inputs = keras.Input((4,))
    experts = [layers.Dense(3, "tanh", name=f"expert_{i}")(inputs) for i in range(2)]
    gates = {task.name: layers.Dense(3, "sigmoid", name=f"{task.name}_gate")(inputs) for task in TASKS}
    return keras.Model(
        inputs, heads({name: gate * experts[0] + (1.0 - gate) * experts[1] for name, gate in gates.items()})
    )


def attention():
    """A boundary tensor that lies before another, and a batch normalization in the trunk."""
    inputs = keras.Input((4,))
    first = layers.BatchNormalization(name="norm")(layers.Dense(5, "tanh", name="first")(inputs))
    second = layers.Dense(5, "tanh", name="second", kernel_regularizer="l2")(first)
    masks = {task.name: layers.Dense(5, "sigmoid", name=f"{task.name}_mask")(first) for task in TASKS}
    return keras.Model(inputs, heads({name: mask * second for name, mask in masks.items()}))


def columns():
    """Inputs in a dict, of which one reaches a single task only."""
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    trunk = layers.Dense(4, "tanh", name="trunk")(inputs["a"])
    return keras.Model(inputs, heads({"left": trunk, "right": layers.Concatenate()([trunk, inputs["b"]])}))


MODELS = [hard_sharing, cross_stitch, mixture, attention, columns]


def inputs_of(model):
    return {"a": X, "b": X[::-1]} if isinstance(model.input, dict) else X


def trained(make, space, aggregator=None, balancer=None, steps=3):
    """Return the weights after some steps and the trainer."""
    keras.utils.set_random_seed(0)
    model = make()
    trainer = mz.Trainer(model, TASKS, balancer, aggregator, space)
    trainer.compile(keras.optimizers.SGD(0.1))
    for _ in range(steps):
        trainer.train_on_batch(inputs_of(model), Y)
    return [np.array(weight) for weight in model.weights], trainer


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (hard_sharing, {"shared_2_dense"}),
        (cross_stitch, {"left_2_dense", "right_2_dense"}),  # what the last unit mixes, not what comes out
        (mixture, {"expert_0", "expert_1"}),  # not the inputs, which no variable precedes
        (attention, {"norm", "second"}),
        (columns, {"trunk"}),
    ],
)
def test_boundary(make, expected):
    trunk, _ = split(make(), TASKS)
    assert {x._keras_history.operation.name for x in keras.tree.flatten(trunk.output)} == expected


def test_a_cut_that_need_not_be():
    assert len(split_if_possible(hard_sharing(), TASKS)) == 2
    x = keras.Input((4,))
    together = layers.Dense(4)(layers.Dense(3)(x))
    outputs = {"left": together[:, :3], "right": together[:, 3:]}
    trunk, rest = split_if_possible(keras.Model(x, outputs), TASKS)
    assert len(trunk.trainable_variables) == 4
    assert not rest.trainable_variables
    alone = mz.architectures.single_task(keras.Input((4,)), TASKS, ENCODER)
    assert split_if_possible(alone, TASKS) == ()


def test_an_inner_model_that_stays_is_not_cut_without_need():
    class Inner(keras.Model):
        def call(self, inputs):
            return 2.0 * super().call(inputs)

    x, inside = keras.Input((4,)), keras.Input((4,))
    inner = Inner(inside, layers.Dense(4)(inside))
    shared = layers.Dense(3)(inner(x))
    model = keras.Model(x, heads(dict.fromkeys(["left", "right"], shared)))
    assert len(split(model, TASKS)) == 2
    assert split_if_possible(model, TASKS) == ()


@pytest.mark.parametrize("make", MODELS)
def test_the_parts_compute_what_the_model_computes(make):
    model = make()
    trunk, rest = split(model, TASKS)
    x = tf.nest.map_structure(tf.convert_to_tensor, inputs_of(model))
    logits = rest([keras.tree.flatten(trunk(x)), x])
    for name, expected in model(x).items():
        np.testing.assert_allclose(logits[name], expected, rtol=1e-6)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("balancer", [None, mz.balancers.Uncertainty])
def test_the_sum_is_the_same_in_both_spaces(make, balancer):
    one, other = (
        trained(make, space, mz.aggregators.Sum(), balancer and balancer())[0]
        for space in ("shared", "representation")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_without_aggregator_the_space_makes_no_difference():
    one, other = (trained(hard_sharing, space)[0] for space in ("shared", "representation"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_trunk_gets_the_aggregate_and_each_head_its_own_gradient():
    start, trainer = trained(hard_sharing, "representation", mz.aggregators.MGDA(), steps=0)
    trunk = trainer.model.get_layer("shared_2_dense")
    representation = keras.Model(trainer.model.input, trunk.output)
    with tf.GradientTape(persistent=True) as tape:
        features = representation(X)
        logits = {task.name: trainer.model.get_layer(f"{task.name}_logits")(features) for task in TASKS}
        losses = {task.name: task.compute_loss(Y[task.name], logits[task.name]) for task in TASKS}
    rows = [tf.reshape(tape.gradient(losses[task.name], features), [-1]) for task in TASKS]
    direction = tf.reshape(mz.aggregators.MGDA()(tf.stack(rows)), features.shape)
    expected = {
        v.path: g
        for v, g in zip(
            representation.trainable_variables,
            tape.gradient(features, representation.trainable_variables, output_gradients=direction),
            strict=True,
        )
    }
    for task in TASKS:
        head = trainer.model.get_layer(f"{task.name}_logits").trainable_variables
        expected |= {v.path: g for v, g in zip(head, tape.gradient(losses[task.name], head), strict=True)}
    trainer.train_on_batch(X, Y)
    for old, variable in zip(start, trainer.model.weights, strict=True):
        np.testing.assert_allclose(
            old - variable.numpy(), 0.1 * expected[variable.path], rtol=1e-3, atol=1e-6
        )


def parting():
    """A layer that both tasks use after they parted."""
    inputs, reused = keras.Input((4,)), layers.Dense(4, "tanh", name="reused")
    trunk = layers.Dense(5, "tanh", name="trunk")(inputs)
    own = {task.name: layers.Dense(3, "tanh", name=f"{task.name}_own")(trunk) for task in TASKS}
    return keras.Model(inputs, heads({name: reused(x) for name, x in own.items()}))


def gradients_of(trainer, labels):
    """Return the gradients of a step on `X`, one per variable."""
    data = tf.constant(X), {name: tf.constant(label) for name, label in labels.items()}
    batch = count(trainer.problem, portions(data, trainer.accumulate))
    return compute(trainer.problem, batch).gradients


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    "method", [mz.aggregators.MGDA, mz.aggregators.NashMTL, mz.aggregators.TrimmedMean, mz.aggregators.Krum]
)
def test_what_tasks_share_behind_the_boundary_is_aggregated_with_it(method, accumulate):
    keras.utils.set_random_seed(0)
    trainer = mz.Trainer(parting(), TASKS, aggregator=method(), space="representation", accumulate=accumulate)
    trainer.compile("sgd", run_eagerly=True)
    model, variables = trainer.model, trainer.model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        features = model.get_layer("trunk")(X)
        logits = {}
        for task in TASKS:
            own = model.get_layer("reused")(model.get_layer(f"{task.name}_own")(features))
            logits[task.name] = model.get_layer(f"{task.name}_logits")(own)
        losses = [task.compute_loss(Y[task.name], logits[task.name]) for task in TASKS]
    sources = [features, *model.get_layer("reused").trainable_variables]
    rows = [tape.gradient(loss, sources) for loss in losses]
    blocks = [tf.stack([tf.reshape(g, [-1]) for g in column]) for column in zip(*rows, strict=True)]
    alone = method()
    directions = alone(blocks, tf.stack(losses))
    directions = [tf.reshape(d, s.shape) for d, s in zip(directions, sources, strict=True)]
    expected = dict(zip([s.path for s in sources[1:]], directions[1:], strict=True))
    trunk = model.get_layer("trunk").trainable_variables
    pulled = tape.gradient(features, trunk, output_gradients=directions[0])
    expected |= dict(zip([v.path for v in trunk], pulled, strict=True))
    weights = np.array(alone.loss_weights) if alone.weighs_losses else [1.0, 1.0]
    for task, loss, weight in zip(TASKS, losses, weights, strict=True):
        private = [v for v in variables if v.path.startswith(task.name)]
        expected |= {v.path: weight * g for v, g in zip(private, tape.gradient(loss, private), strict=True)}
    found = gradients_of(trainer, Y)
    assert len(expected) == len(variables)
    for variable, gradient in zip(variables, found, strict=True):
        np.testing.assert_allclose(gradient, expected[variable.path], rtol=1e-3, atol=1e-6)


class Witness:
    """Remembers what an aggregator is given and returns."""

    def __init__(self, aggregator):
        self.call, aggregator.call = aggregator.call, self

    def __call__(self, jacobian, *arguments, **named):
        self.rows = tf.concat(jacobian, axis=1)
        directions = self.call(jacobian, *arguments, **named)
        self.direction = tf.concat(directions, axis=0)
        return directions


@pytest.mark.parametrize("method", [mz.aggregators.MGDA, mz.aggregators.UPGrad, mz.aggregators.DualProj])
@pytest.mark.parametrize("space", ["shared", "representation"])
def test_no_task_is_opposed_in_what_the_aggregator_sees(method, space):
    """In representation space that is not all that is shared: the trunk may move against a task."""
    aggregator, model, opposed = method(), parting(), 0
    aggregator.build([(2, None)])
    witness = Witness(aggregator)
    trainer = mz.Trainer(model, TASKS, aggregator=aggregator, space=space)
    trainer.compile("sgd", run_eagerly=True)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            variable.assign(rng.normal(size=variable.shape))
        labels = {"left": rng.integers(0, 3, 8), "right": rng.normal(size=(8, 1)).astype("float32")}
        found = gradients_of(trainer, labels)
        rows, direction = np.array(witness.rows, "float64"), np.array(witness.direction, "float64")
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(direction)
        assert (rows @ direction >= -1e-4 * lengths).all()
        opposed += is_opposed(model, labels, found)
    assert (opposed == 0) == (space == "shared"), opposed


def is_opposed(model, labels, gradients):
    """Return whether a step of the shared layers raises the loss of a task, to first order."""
    pairs = [
        (v, g)
        for v, g in zip(model.trainable_variables, gradients, strict=True)
        if v.path.startswith(("trunk", "reused"))
    ]
    with tf.GradientTape(persistent=True) as tape:
        logits = model(X)
        losses = [task.compute_loss(labels[task.name], logits[task.name]) for task in TASKS]
    for loss in losses:
        own = tape.gradient(loss, [variable for variable, _ in pairs])
        if sum(float(tf.reduce_sum(mine * g)) for mine, (_, g) in zip(own, pairs, strict=True)) < -1e-3:
            return True
    return False


@pytest.mark.parametrize("method", [mz.aggregators.MoDo, mz.aggregators.SDMGrad])
def test_methods_that_compare_examples_are_refused(method):
    with pytest.raises(ValueError, match=r"compares the gradients of different examples"):
        mz.Trainer(hard_sharing(), TASKS, aggregator=method(), space="representation")


@pytest.mark.parametrize("make", [mz.architectures.single_task, mz.architectures.soft_sharing])
def test_models_without_a_shared_representation_are_refused(make):
    model = make(keras.Input((4,)), TASKS, ENCODER)
    with pytest.raises(ValueError, match=r"needs trainable layers before tensors that several tasks share"):
        mz.Trainer(model, TASKS, aggregator=mz.aggregators.Sum(), space="representation")


def test_methods_that_remember_parameters_are_refused():
    with pytest.raises(ValueError, match=r"MoCo remembers something about every parameter"):
        mz.Trainer(hard_sharing(), TASKS, aggregator=mz.aggregators.MoCo(), space="representation")


def test_unknown_space_is_refused():
    with pytest.raises(ValueError, match=r"`space` must be one of"):
        mz.Trainer(hard_sharing(), TASKS, space="rep")


def test_weights_carry_over_between_the_spaces(tmp_path):
    _, saved = trained(cross_stitch, "representation", mz.aggregators.PCGrad(seed=0))
    saved.save_weights(tmp_path / "saved.weights.h5")
    _, loaded = trained(cross_stitch, "shared", mz.aggregators.PCGrad(seed=0), steps=0)
    loaded.load_weights(tmp_path / "saved.weights.h5")
    for a, b in zip(saved.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), a.path)


CHAIN = (mz.Task.binary("click"), mz.Task.binary("buy"))
NETWORKS = {  # among their boundaries: an output, a tensor that no task's gradient reaches, masks beside them
    "esmm": (mz.architectures.esmm, (4,), "float32", mz.encoders.mlp(3, 2, activation="tanh")),
    "dselect_k": (mz.architectures.dselect_k, (4,), "float32", mz.encoders.mlp(3, 2, activation="tanh")),
    "mmoe": (mz.architectures.mmoe, (4,), "int64", mz.encoders.transformer(9, width=4, depth=1, num_heads=2)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_can_be_saved_and_trains_alike_after_its_graph_was_cut(name, tmp_path):
    make, shape, dtype, encoder = NETWORKS[name]
    x = np.random.default_rng(0).integers(1, 9, (6, *shape)).astype(dtype)
    x[:, -1] = 0  # padding, for tokens
    labels = {"click": np.array([1, 1, 0, 1, 0, 0]), "buy": np.array([1, 0, 0, 1, 0, 0])}
    weights = []
    for space in ("shared", "representation"):
        keras.utils.set_random_seed(0)
        model = make(keras.Input(shape, dtype=dtype), CHAIN, encoder)
        trainer = mz.Trainer(model, CHAIN, aggregator=mz.aggregators.Sum(), space=space)
        trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        trainer.train_on_batch(x, labels)
        weights.append(model.get_weights())
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x)["buy"], model(x)["buy"])
    for shared, cut in zip(*weights, strict=True):
        np.testing.assert_allclose(cut, shared, rtol=1e-4, atol=1e-6)
