"""Every architecture on every kind of encoder: what a user may combine must work whole."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.architectures.harness import ARCHITECTURES, MEMBERS, RECOMMENDERS, without_metrics

TASKS = (mz.Task.classification("kind", 3), mz.Task.binary("flag"))
CHAIN = (mz.Task.binary("click"), mz.Task.binary("buy"))
COUNTERFACTUAL = (CHAIN[0], mz.conversion_task("buy_after_click"), CHAIN[1])
TASKS_OF = {"esmm": CHAIN, "escm2": COUNTERFACTUAL}
UNSHARED = ("single_task", "soft_sharing")  # nothing whose gradients could be cut at a representation
SIZE = 6


def vectors(random):
    return random.normal(size=(SIZE, 5)).astype("float32")


def images(random):
    return random.normal(size=(SIZE, 8, 8, 1)).astype("float32")


def photographs(random):
    return random.uniform(0, 255, (SIZE, 32, 32, 3)).astype("float32")


def tokens(random):
    return random.integers(1, 9, (SIZE, 4)) * np.array([[1, 1, 1, 0]])  # the last one is padding


def rows(random):
    colour = random.choice([b"red", b"green"], (SIZE, 1))
    return {"age": random.normal(size=(SIZE, 1)).astype("float32"), "colour": colour}


CUT = ("conv1_relu", "conv_pw_1_relu")  # two stages of few layers: `test_pretrained` has whole networks
# Smooth activations, so that no gradient is zero by chance.
ENCODERS = {
    "mlp": (vectors, lambda x: mz.encoders.mlp(4, 4, activation="tanh")),
    "convnet": (images, lambda x: mz.encoders.convnet(4, 4, activation="tanh")),
    "transformer": (tokens, lambda x: mz.encoders.transformer(9, width=4, depth=1, num_heads=2)),
    "tabular": (rows, lambda x: mz.encoders.tabular(x, 4, activation="tanh")),
    "pretrained": (
        photographs,
        lambda x: mz.encoders.pretrained("MobileNet", (32, 32, 3), None, CUT, arguments={"alpha": 0.25})[:2],
    ),
}
OF_RECOMMENDERS = ("mlp", "tabular")  # others take long: `test_transformer` and `test_unet` have them all
COMBINATIONS = [
    (architecture, encoder)
    for architecture, encoder in itertools.product(ARCHITECTURES, ENCODERS)
    if architecture not in RECOMMENDERS or encoder in OF_RECOMMENDERS
]
PCGRAD = mz.aggregators.PCGrad
SPACES = mz.training.trainer.SPACES
QUICK = ("mlp", "convnet")
XLA = (("aitm", "transformer"), ("hard_sharing", "pretrained"))  # of large networks


def inputs_like(x):
    """Return `keras.Input`s for arrays."""
    return mz.encoders.tabular_inputs(x) if isinstance(x, dict) else keras.Input(x.shape[1:], dtype=x.dtype)


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def combination(request):
    architecture, encoder = request.param
    keras.utils.set_random_seed(0)
    make_batch, make_encoder = ENCODERS[encoder]
    x = make_batch(np.random.default_rng(0))
    tasks = TASKS_OF.get(architecture, TASKS)
    inputs = inputs_like(x)
    model = getattr(mz.architectures, architecture)(inputs, tasks, make_encoder(x))
    x = tf.nest.map_structure(tf.constant, x)
    labels = {task.name: np.arange(SIZE) % (task.max_label + 1) for task in tasks}
    return architecture, encoder, tasks, model, x, labels


def trainer(model, tasks, aggregator, space, **how):
    aggregator = aggregator and aggregator()
    result = mz.Trainer(model, without_metrics(tasks), mz.balancers.Equal(), aggregator, space)
    result.compile(keras.optimizers.SGD(0.1), **how)
    return result


@pytest.mark.slow
def test_trains_and_saves(combination, tmp_path):
    architecture, encoder, tasks, model, x, labels = combination
    check_eager_steps(architecture, encoder, model, tasks, x, labels)
    if is_compiled(architecture, encoder):
        check_compiled_steps(architecture, encoder, model, tasks, x, labels)
    expected = model(x)
    check_deterministic(model, x, expected)
    check_keras_file(model, x, expected, tmp_path / "model.keras")


def check_eager_steps(architecture, encoder, model, tasks, x, labels):
    """Check that training with each method and space that is not compiled moves every variable."""
    start = model.get_weights()
    for aggregator, space in eager_with(architecture, encoder):
        if architecture in UNSHARED and space == "representation":
            with pytest.raises(ValueError, match=r"tensors that several tasks share"):
                trainer(model, tasks, aggregator, space)
            continue
        model.set_weights(start)
        before = [variable.numpy() for variable in model.trainable_variables]
        how = trainer(model, tasks, aggregator, space, run_eagerly=True)
        if architecture == "branching":  # each step draws one tree
            how.optimizer.learning_rate = 1e-3
        for _ in range(8 if architecture == "branching" else 1):
            how.train_step((x, labels))
        check_all_moved(model, before, f"{aggregator}, {space}")


def check_all_moved(model, before, how):
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.all(np.isfinite(variable))
        assert not np.array_equal(variable, old), f"{variable.path} stays with {how}"


def eager_with(architecture, encoder):
    """Return pairs of an aggregator and a space: those not compiled. Without the first, spaces are alike."""
    pairs = [(None, "shared"), *itertools.product((PCGRAD,), SPACES)]
    if is_compiled(architecture, encoder):
        aggregator, space, _ = compiled_with(architecture, encoder)
        pairs.remove((aggregator, space if aggregator else "shared"))
    return pairs


def is_compiled(architecture, encoder):
    """Return whether a combination trains in a graph too: with large networks, one in three or four."""
    i, j = ARCHITECTURES.index(architecture), list(ENCODERS).index(encoder)
    return encoder in QUICK or -i % 3 == j - 2 or i == 2 * j or (architecture, encoder) in XLA


def compiled_with(architecture, encoder):
    """Return aggregator, space and whether to use XLA: over all combinations, every pair of choices occurs.

    An aggregator or XLA takes as long to compile as several models, so both are rare on large networks.
    """
    i, j = ARCHITECTURES.index(architecture), list(ENCODERS).index(encoder)
    jit_compile = (i + j) % 2 == 0 if encoder in QUICK else (architecture, encoder) in XLA
    aggregated = (i // 2 + j) % 2 == 0 or not jit_compile if encoder in QUICK else i == 2 * j
    space = "shared" if architecture in UNSHARED else SPACES[(i // 4 + j) % 2]
    return PCGRAD if aggregated else None, space, jit_compile


def test_compiled_training_has_every_pair_of_choices():
    """Eager steps have all combinations of an architecture and an encoder, so these need not be compiled."""
    compiled = [combination for combination in COMBINATIONS if is_compiled(*combination)]
    chosen = [(*combination, *compiled_with(*combination)) for combination in compiled]
    choices = [MEMBERS, list(ENCODERS), [None, PCGRAD], SPACES, [False, True]]
    missing = {
        pair
        for first, second in itertools.combinations(range(len(choices)), 2)
        for pair in itertools.product(choices[first], choices[second])
        if (first, second) != (0, 1) and pair not in {(row[first], row[second]) for row in chosen}
    }
    assert missing == {("tabular", True)} | {(name, "representation") for name in UNSHARED}


def check_compiled_steps(architecture, encoder, model, tasks, x, labels):
    """Check that training in a graph lowers the loss and moves every variable."""
    aggregator, space, jit_compile = compiled_with(architecture, encoder)
    data = tf.data.Dataset.from_tensors((x, labels)).repeat(8)
    before = [variable.numpy() for variable in model.trainable_variables]
    history = trainer(model, tasks, aggregator, space, jit_compile=jit_compile).fit(data, epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]
    check_all_moved(model, before, f"{aggregator}, {space}, compiled")


def check_deterministic(model, x, expected):
    for name, logits in model(x).items():
        np.testing.assert_array_equal(logits, expected[name])


def check_keras_file(model, x, expected, path):
    model.save(path)
    for name, logits in keras.models.load_model(path)(x).items():
        np.testing.assert_allclose(logits, expected[name], rtol=1e-5, atol=1e-5)
