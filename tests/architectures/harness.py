"""The contract of architectures, as one call per builder."""

import dataclasses
import pathlib
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.experiments.choices import FAMILIES

# Of the industry's recommenders, on tables of columns; behind the others.
RECOMMENDERS = ("pepnet", "stem", "adatt", "home", "escm2")
MEMBERS = sorted(set(FAMILIES["architecture"].members()) - set(RECOMMENDERS))
ARCHITECTURES = [*MEMBERS, *RECOMMENDERS]
TASKS = (mz.Task.classification("digit", 3), mz.Task.binary("odd"), mz.Task.regression("size", 2))
# Smooth activations, so that no gradient is zero by chance.
NETWORKS = {
    "mlp": ((5,), mz.encoders.mlp(4, 3, activation="tanh")),
    "convnet+mlp": (
        (8, 8, 1),
        [*mz.encoders.convnet(2, activation="tanh"), *mz.encoders.mlp(3, activation="tanh")],
    ),
    "resnet": ((4, 4, 2), mz.encoders.resnet(2, 3, normalization="layer")),
}
BALANCERS = {
    "none": lambda: None,
    "Equal": mz.balancers.Equal,
    "Static": lambda: mz.balancers.Static([0.5, 2.0, 1.0]),
    "Uncertainty": mz.balancers.Uncertainty,
    "DWA": mz.balancers.DWA,
}
AGGREGATORS = {
    "none": lambda: None,
    "Sum": mz.aggregators.Sum,
    "Mean": mz.aggregators.Mean,
    "MGDA": mz.aggregators.MGDA,
    "PCGrad": lambda: mz.aggregators.PCGrad(seed=0),
}


def build(builder, network="mlp", seed=0, tasks=TASKS):
    """Return the model of one of the tiny networks."""
    keras.utils.set_random_seed(seed)
    shape, encoder = NETWORKS[network]
    return builder(keras.Input(shape, name="x"), tasks, encoder)


def batch(network="mlp", size=6, tasks=TASKS):
    """Return inputs and labels for vector tasks."""
    random = np.random.default_rng(0)
    labels = {task.name: _labels(task, size, random) for task in tasks}
    return random.normal(size=(size, *NETWORKS[network][0])).astype("float32"), labels


def without_metrics(tasks):
    """Return tasks that take less time: what architectures compute does not depend on metrics."""
    return tuple(dataclasses.replace(task, metrics=()) for task in tasks)


def _labels(task, size, random):
    if task.max_label is None:
        return random.normal(size=(size, *task.label_shape)).astype("float32")
    return random.integers(0, task.max_label + 1, (size, *task.label_shape))


def step(model, balancer=None, aggregator=None, optimizer=None, steps=1, tasks=TASKS):
    """Train for some steps, eagerly and without metrics; return the trainer."""
    trainer = mz.Trainer(model, without_metrics(tasks), balancer, aggregator)
    trainer.compile(optimizer or keras.optimizers.SGD(1.0), run_eagerly=True)
    for _ in range(steps):
        trainer.train_step(batch(tasks=tasks))
    return trainer


def trained_weights(builder, optimizer, aggregator=None, tasks=TASKS):
    """Return the trainable weights after two steps from the same start."""
    model = build(builder, tasks=tasks)
    step(model, None, aggregator, optimizer(0.01), steps=2, tasks=tasks)
    return [variable.numpy() for variable in model.trainable_variables]


def warm(model):
    """Set branching units to their warm-up, where training draws nothing."""
    for layer in model.layers:
        if hasattr(layer, "training_progress"):
            layer.training_progress.assign(0.0)
    return model


def reach(model, network="mlp", tasks=TASKS):
    """Return, for every trainable variable, the names of the tasks whose loss has a gradient there."""
    x, labels = batch(network, tasks=tasks)
    variables = model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        logits = model(x, training=True)
        losses = {task.name: task.compute_loss(labels[task.name], logits[task.name]) for task in tasks}
    gradients = {name: tape.gradient(loss, variables) for name, loss in losses.items()}
    return {
        variable.path: {
            name for name, found in gradients.items() if found[i] is not None and np.any(found[i])
        }
        for i, variable in enumerate(variables)
    }


def check_graph(builder, tasks=TASKS, networks=("mlp",)):
    """Check what holds for the graph of every architecture: what `test_every_encoder` does not train."""
    check_errors(builder, tasks)
    for network in networks:
        model = build(builder, network, tasks=tasks)
        check_outputs(model, network, tasks)
        check_wiring(model, network, tasks)
        check_saving(model, network)
    check_half_precision(builder, tasks)
    check_compiled(build(builder, tasks=tasks))


def check_architecture(builder, tasks=TASKS, fixed=("stitch",), draws=False, steps=1):
    """Check all that holds for every architecture.

    Args:
        builder: Function `(inputs, tasks, encoder) -> model`, as in `mtl_zoo.architectures`.
        tasks: Tasks with a vector output, for which it is built.
        fixed: Parts of the paths of variables that do not start at random.
        draws: Whether training draws random numbers, so that its loss is not that of inference.
        steps: Number of steps in which training reaches every variable: several where each one draws a part
            of the network.
    """
    check_errors(builder, tasks)
    for network in NETWORKS:
        model = build(builder, network, tasks=tasks)
        check_outputs(model, network, tasks)
        check_wiring(model, network, tasks, steps)
        check_saving(model, network)
        check_independence(model, build(builder, network, seed=1, tasks=tasks), fixed)
        check_keras_training(model, network, tasks, draws, steps)
    check_half_precision(builder, tasks)
    check_compiled(build(builder, tasks=tasks))
    check_training(builder, tasks, steps)
    check_sum_equals_none(builder, tasks)


def check_errors(builder, tasks=TASKS):
    first = tasks[0].name
    shape, encoder = NETWORKS["mlp"]
    for wrong, stages, message in (
        ([], encoder, "There must be at least one task. Received: "),
        ([tasks[0]] * 2, encoder, rf"name of its own. Received tasks \['{first}', '{first}'\]"),
        (tasks, [], r"`encoder` must be a sequence of at least one function .* Received: \[\]"),
        (tasks, [keras.layers.Dense(1), 3], "`encoder` must be a sequence of at least one function"),
    ):
        with pytest.raises(ValueError, match=message):
            builder(keras.Input(shape), wrong, stages)


def check_outputs(model, network, tasks=TASKS):
    assert isinstance(model, keras.Model)
    assert isinstance(model, keras.Function), "An architecture returns a functional model."
    assert [x.name for x in model.inputs] == ["x"]
    names = [task.name for task in tasks]
    assert [name for name in model.output if name in names] == names
    x, _ = batch(network)
    outputs, again = model(x), model(x)
    for task in tasks:
        assert model.output[task.name].shape == (None, *task.output_shape)
        assert outputs[task.name].dtype == tf.float32
        assert np.all(np.isfinite(outputs[task.name]))
        np.testing.assert_array_equal(outputs[task.name], again[task.name])


def check_wiring(model, network, tasks=TASKS, steps=1):
    draws = [reach(model, network, tasks) for _ in range(steps)]
    reached = {path: set().union(*(draw[path] for draw in draws)) for path in draws[0]}
    unreached = [path for path, names in reached.items() if not names]
    assert not unreached, f"No task's loss has a gradient in {unreached}."
    assert set().union(*reached.values()) == {task.name for task in tasks}


def check_saving(model, network):
    x, _ = batch(network)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.keras"
        model.save(path)
        copy = keras.models.load_model(path)
    assert type(copy) is type(model)
    keras.tree.map_structure(np.testing.assert_array_equal, copy(x), model(x))
    np.testing.assert_array_equal(copy.losses, model.losses)
    assert [v.path for v in copy.trainable_variables] == [v.path for v in model.trainable_variables]


def check_independence(model, other, fixed):
    assert not {id(v) for v in model.variables} & {id(v) for v in other.variables}
    assert [v.shape for v in model.variables] == [v.shape for v in other.variables]
    drawn = [v for v in model.trainable_variables if not any(part in v.path for part in fixed)]
    kernels = [v.path for v in drawn if len(v.shape) > 1]
    assert kernels
    others = {v.path: v for v in other.trainable_variables}
    for variable in drawn:
        if variable.path in kernels:
            assert not np.array_equal(variable, others[variable.path])


def check_keras_training(model, network, tasks=TASKS, draws=False, steps=1):
    """Check that the model trains with nothing but Keras, penalties included."""
    x, labels = batch(network, tasks=tasks)
    kinds = {
        keras.activations.softmax: lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        keras.activations.sigmoid: lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        keras.activations.linear: keras.losses.MeanSquaredError,
    }
    losses = {task.name: kinds[task.activation]() for task in tasks}
    model.compile(keras.optimizers.SGD(0.01), loss=losses, run_eagerly=True)
    logits = model(x)
    expected = sum(float(task.compute_loss(labels[task.name], logits[task.name])) for task in tasks)
    expected += sum(map(float, model.losses))
    before = [variable.numpy() for variable in model.trainable_variables]
    history = model.fit(x, labels, batch_size=len(x), epochs=steps, verbose=0).history
    if not draws:
        np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-5)
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True))


def check_half_precision(builder, tasks=TASKS):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(builder, tasks=tasks)
    finally:
        keras.config.set_dtype_policy(policy)
    outputs = model(batch()[0])
    assert {x.dtype for x in outputs.values()} == {tf.float32}
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert any("bfloat16" in str(layer.compute_dtype) for layer in model.layers)


def check_compiled(model):
    x, _ = batch()
    compiled = tf.function(model, jit_compile=True)(x)
    for name, logits in model(x).items():
        np.testing.assert_allclose(compiled[name], logits, rtol=1e-4, atol=1e-5)


def methods_for(builder):
    """Return pairs of a balancer and an aggregator: each one once and, over all architectures, every pair."""
    turn = ARCHITECTURES.index(getattr(builder, "func", builder).__name__) % len(AGGREGATORS)
    names = list(AGGREGATORS)
    return list(zip(BALANCERS, names[turn:] + names[:turn], strict=True))


def check_training(builder, tasks=TASKS, steps=1):
    """Check that training with any balancer and any aggregator moves every variable."""
    model = build(builder, tasks=tasks)
    start = model.get_weights()
    trained = [variable.numpy() for variable in model.trainable_variables]
    for balancer, aggregator in methods_for(builder):
        model.set_weights(start)
        methods = (BALANCERS[balancer](), AGGREGATORS[aggregator]())
        rate = 1.0 if steps == 1 else 1e-3  # so slow that later draws do not follow from the first ones
        trainer = step(model, *methods, keras.optimizers.SGD(rate), steps, tasks)
        after = [v.numpy() for v in trainer.trainable_variables]
        before = trained + [np.zeros_like(v) for v in after[len(trained) :]]  # Uncertainty's log variances
        still = [
            v.path
            for v, a, b in zip(trainer.trainable_variables, before, after, strict=True)
            if np.array_equal(a, b)
        ]
        assert not still, f"{balancer} + {aggregator} leaves {still} where they are."
        assert all(np.all(np.isfinite(v)) for v in after)


def check_sum_equals_none(builder, tasks=TASKS):
    for optimizer in (keras.optimizers.SGD, keras.optimizers.Adam):
        alone = trained_weights(builder, optimizer, tasks=tasks)
        summed = trained_weights(builder, optimizer, mz.aggregators.Sum(), tasks)
        for a, b in zip(alone, summed, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
