"""Contracts that every balancer and every aggregator must keep: one call tests a method."""

import contextlib
import functools
import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

NUM_TASKS = 3
LOSSES = np.array([0.5, 2.0, 1.0], "float32")
ARGUMENTS = {  # of the methods that need some, for two tasks
    "Static": lambda: {"weights": [0.5, 2.0]},
    "Constant": lambda: {"weights": [0.5, 2.0]},
    "CRMOGM": lambda: {"aggregator": mz.aggregators.MGDA()},
    "NTKMTL": lambda: {"num_parts": 3},  # as many as other methods of parts
}
OVERRIDES = {"build", "call", "get_config", "from_config", "compute_output_shape", "compute_output_spec"}


def methods(module, base):
    """Return the concrete subclasses of `base` that a package exports, by name."""
    classes = inspect.getmembers(module, lambda value: inspect.isclass(value) and issubclass(value, base))
    return {name: cls for name, cls in classes if not cls.__module__.endswith(".base")}


def instance(cls):
    """Return a method with its default arguments, for two tasks."""
    return None if cls is None else cls(**ARGUMENTS.get(cls.__name__, dict)())


def jacobians():
    """Return Jacobians of three tasks, on which methods are known to fail, by name."""
    rng = np.random.default_rng(0)
    random = rng.normal(size=(NUM_TASKS, 6))
    common = rng.normal(size=6)
    cases = {
        "agreeing": 3 * common + 0.3 * random,
        "conflicting": [common, -0.5 * common + random[1], -0.3 * common + random[2]],
        "parallel": np.outer([0.5, 1.0, 2.0], common),
        "opposite": np.outer([1.0, 1.0, -1.0], common),
        "duplicate": [random[0], random[0], random[1]],
        "ill-scaled": random * [[1e-4], [1.0], [1e4]],
        "large": random * 1e4,
        "small": random * 1e-4,
        "one zero": random * [[1.0], [0.0], [1.0]],
        "all zero": random * 0.0,
    }
    return {name: np.asarray(case, "float32") for name, case in cases.items()}


def check_aggregator(
    make,
    deterministic=True,
    non_conflicting=False,
    permutation_invariant=None,
    needs_losses=False,
    drops_absent=True,
    any_num_tasks=True,
    per_block=False,
):
    """Check that aggregators keep the contract of `mtl_zoo.aggregators.Aggregator`.

    Args:
        make: Function that returns a fresh aggregator for three tasks.
        deterministic: Whether equal calls give equal answers. Defaults to `True`.
        non_conflicting: Whether the direction never opposes a task gradient. Defaults to `False`.
        permutation_invariant: Whether the order of tasks is irrelevant. Defaults to `deterministic`.
        needs_losses: Whether `losses` is required. Defaults to `False`.
        drops_absent: Whether an absent task changes nothing for the others. Defaults to `True`.
        any_num_tasks: Whether `make` serves any number of tasks. Defaults to `True`.
        per_block: Whether the direction in a block depends on that block alone. Defaults to `False`.
    """
    _check_layer(make)
    _check_build(make)
    graph = Graph(make)
    _check_structure(make, graph, needs_losses)
    _check_float64(make, graph, deterministic)
    _check_mixed_precision(make, lambda method: direction_of(method, jacobians()["agreeing"]))
    cases = jacobians()
    names = ("agreeing", "ill-scaled", "all zero", "conflicting")
    _check_state_is_in_variables(make, direction_of, [cases[name] for name in names])
    _check_all_tasks_absent(make)
    _check_state_of_absent_task(make)
    if deterministic:
        _check_blocks_and_xla(make, graph, per_block)
        _check_round_trip(make, lambda method: direction_of(method, jacobians()["conflicting"]))
    else:
        _check_random_xla(make)
    if permutation_invariant or (permutation_invariant is None and deterministic):
        _check_permutation(graph)
    if non_conflicting:
        _check_non_conflicting(graph)
    if any_num_tasks:
        _check_single_task(make)
        _check_wide(make)
        if drops_absent:
            _check_absent_task(make)


def check_balancer(make, deterministic=True, drops_absent=True, may_raise=False):
    """Check that balancers keep the contract of `mtl_zoo.balancers.Balancer`.

    Args:
        make: Function that returns a fresh balancer for three tasks.
        deterministic: Whether equal calls give equal answers. Defaults to `True`.
        drops_absent: Whether `make` serves any number of tasks and an absent one changes nothing for the
            others. Defaults to `True`.
        may_raise: Whether the method may raise the loss of a task for the others' sake. Defaults to `False`.
    """
    _check_layer(make)
    _check_scalar(make, may_raise)
    _check_all_absent(make)
    _check_absent_loss(make, deterministic)
    _check_mixed_precision(make, lambda method: method(LOSSES))
    _check_state_is_in_variables(make, _balancer_epoch, LOSSES * [[1.0], [0.8], [0.9]])
    if deterministic:
        _check_balancer_xla(make)
        _check_round_trip(make, lambda method: method(LOSSES))
        if drops_absent:
            _check_absent_against_none(make)
    else:
        _check_random_balancer_xla(make)


def direction_of(method, jacobian, losses=LOSSES, present=None):
    """Call an aggregator, with the same Jacobian for every sub-batch that it needs."""
    parts = method.sub_batches
    if parts > 1:
        jacobian = keras.tree.map_structure(lambda block: tf.stack([block] * parts), jacobian)
    return method(jacobian, losses, present)


class Graph:
    """A method in a graph, traced once for all Jacobians of one shape: eager solvers are slow.

    Args:
        make: Function that returns a fresh aggregator.
        blocks: Shape of the Jacobian, or shapes of its blocks. Defaults to `(3, 6)`.
        jit_compile: Whether to use XLA. Defaults to `False`.
    """

    def __init__(self, make, blocks=(NUM_TASKS, 6), jit_compile=False):
        self.method = make()
        self.method.build(blocks)
        self.start = [tf.identity(variable.value) for variable in self.method.variables]
        self.function = tf.function(functools.partial(direction_of, self.method), jit_compile=jit_compile)

    def __call__(self, jacobian, losses=LOSSES):
        """Return the direction."""
        return self.function(tf.nest.map_structure(tf.constant, jacobian), tf.constant(losses))

    def fresh(self, jacobian, losses=LOSSES):
        """Return the direction of a fresh method."""
        for variable, value in zip(self.method.variables, self.start, strict=True):
            variable.assign(value)
        return self(jacobian, losses)


def check_resumes(make, steps, folder):
    """Check that saved weights continue a sequence of calls where it stopped.

    Args:
        make: Function that returns a fresh aggregator.
        steps: List of the arguments of four or more calls.
        folder: Directory for a file.
    """
    method, restored = (_holder(make(), steps[0][0]) for _ in range(2))
    for step in steps[:-2]:
        direction_of(method.part, *step)
    method.save_weights(folder / "method.weights.h5")
    restored.load_weights(folder / "method.weights.h5")
    for step in steps[-2:]:
        expected = direction_of(method.part, *step)
        assert_close(direction_of(restored.part, *step), expected, "after loading", relative=1e-6)


def assert_close(actual, expected, message, relative=1e-4, scale=0.0):
    """Assert that arrays agree relative to the largest entry (or to `scale`, where that is larger)."""
    actual, expected = (np.asarray(array, "float64") for array in (actual, expected))
    assert actual.shape == expected.shape, f"{message}: shape {actual.shape}, not {expected.shape}"
    assert np.isfinite(actual).all(), f"{message}: not finite: {actual}"
    tolerance = relative * max(np.abs(expected).max(initial=0.0), scale)
    error = np.abs(actual - expected).max(initial=0.0)
    assert error <= tolerance, f"{message}: {actual} is not {expected} (error {error}, allowed {tolerance})"


def value_and_gradient(balancer, losses, present=None):
    """Return a balancer's scalar and its derivative by the losses."""
    losses = tf.convert_to_tensor(losses, "float32")
    with tf.GradientTape() as tape:
        tape.watch(losses)
        value = balancer(losses, present)
    return value, tape.gradient(value, losses)


@contextlib.contextmanager
def dtype_policy(name):
    """Set the global dtype policy for a while."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_layer(make):
    """Registration, a config of plain values, and no name taken from `keras.layers.Layer`."""
    method = make()
    name = keras.saving.get_registered_name(type(method))
    assert name == f"mtl_zoo>{type(method).__name__}", f"registered as {name!r}"
    json.dumps(keras.saving.serialize_keras_object(method))
    layer = keras.layers.Layer()
    shadowed = (vars(method).keys() - vars(layer).keys()) & set(dir(keras.layers.Layer))
    for cls in type(method).__mro__:
        if cls is keras.layers.Layer:
            break
        shadowed |= {name for name in vars(cls).keys() & set(dir(layer)) if not name.startswith("__")}
    assert shadowed <= OVERRIDES, f"names of keras.layers.Layer are taken: {sorted(shadowed - OVERRIDES)}"


def _check_build(make):
    """A size may be unknown, unless there is state per parameter."""
    method = make()
    if method.state_per_parameter:
        with pytest.raises(ValueError, match="size of every block"):
            method.build((NUM_TASKS, None))
    else:
        method.build((NUM_TASKS, None))


def _holder(method, jacobian):
    """Return a model whose weights are those of a method."""
    method.build(np.shape(jacobian))
    holder = keras.Model()
    holder.part = method
    holder.built = True
    return holder


def _check_round_trip(make, answer):
    method = make()
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method))
    assert restored.get_config() == method.get_config(), "the config changes in a round trip"
    assert_close(answer(restored), answer(method), "after a config round trip", relative=1e-6)


def _check_mixed_precision(make, answer):
    with dtype_policy("mixed_float16"):
        method = make()
        result = answer(method)
    assert method.compute_dtype == result.dtype == "float32", f"{result.dtype} under mixed_float16"


def _check_state_is_in_variables(make, step, cases):
    """Copying the variables must copy the method: no state in Python, no random numbers outside."""
    *warm_up, last = cases
    method, copy = make(), make()
    for case in warm_up:
        step(method, case)
    step(copy, warm_up[0])
    pairs = zip(copy.variables, method.variables, strict=True)
    for target, source in pairs:
        target.assign(source)
    assert_close(step(copy, last), step(method, last), "after copying all variables", relative=1e-6)


def _check_structure(make, graph, needs_losses):
    for name, case in jacobians().items():
        direction = graph.fresh(case)
        assert direction.shape == case.shape[1:], f"{name}: shape {direction.shape}"
        assert direction.dtype == "float32", f"{name}: dtype {direction.dtype}"
        assert np.isfinite(direction).all(), f"{name}: not finite: {direction}"
        if not name.endswith("zero"):
            size = np.abs(direction).max()
            assert size > 0 or name == "opposite", f"{name}: no direction"
    assert isinstance(direction_of(make(), [case, case]), list), "a list of blocks must give a list"
    if not needs_losses:
        assert direction_of(make(), case, None).shape == case.shape[1:]


def _smallest_scale(jacobian):
    """Return a size below which entries of a direction are rounding errors."""
    norms = np.linalg.norm(jacobian, axis=1)
    return 0.01 * norms[norms > 0].min(initial=1.0)


def _check_blocks_and_xla(make, whole, per_block):
    """One tensor, a list of blocks and XLA give the same directions, also after several steps.

    If every block is on its own, a list of one and the same twice gives the same direction twice.
    """
    sizes = [(NUM_TASKS, 6)] * 2 if per_block else [(NUM_TASKS, 2), (NUM_TASKS, 4)]
    blocks = Graph(make, sizes)
    xla = Graph(make, jit_compile=True)
    for index, (name, case) in enumerate(jacobians().items()):
        scale = _smallest_scale(case)
        direction = whole(case) if index else whole.fresh(case)
        found = blocks([case, case] if per_block else [case[:, :2], case[:, 2:]])
        expected = tf.concat([direction] * 2, axis=0) if per_block else direction
        joined = tf.concat(found, axis=0)
        assert_close(joined, expected, f"{name}: list of blocks against one tensor", scale=scale)
        assert_close(xla(case), direction, f"{name}: XLA against none", relative=1e-3, scale=scale)
    assert xla.function.experimental_get_tracing_count() == 1, "compiled more than once for one shape"


def _check_random_xla(make):
    """XLA draws other numbers than eager execution, so only what holds for any numbers is checked."""
    xla = Graph(make, jit_compile=True)
    for name, case in jacobians().items():
        assert np.isfinite(xla(case)).all(), f"{name}: not finite with XLA"
    assert xla.function.experimental_get_tracing_count() == 1, "compiled more than once for one shape"


def _check_float64(make, graph, deterministic):
    config = make().get_config()
    method = type(make()).from_config({**config, "dtype": "float64"})
    case = jacobians()["conflicting"]
    direction = direction_of(method, case.astype("float64"), LOSSES.astype("float64"))
    assert direction.dtype == "float64", f"{direction.dtype} with dtype='float64'"
    if deterministic:
        eager = direction_of(make(), case)
        assert_close(direction, eager, "float64 against float32")
        assert_close(graph.fresh(case), eager, "in a graph against eager", relative=1e-5)


def _check_permutation(graph):
    order = [2, 0, 1]
    for name in ("agreeing", "conflicting", "ill-scaled", "one zero"):
        case = jacobians()[name]
        message = f"{name}: tasks in another order"
        direction, moved = graph.fresh(case), graph.fresh(case[order], LOSSES[order])
        assert_close(moved, direction, message, relative=1e-3, scale=_smallest_scale(case))


def _check_non_conflicting(graph):
    for name, case in jacobians().items():
        direction = np.asarray(graph.fresh(case), "float64")
        case = case.astype("float64")
        norms = np.linalg.norm(case, axis=1)
        allowed = -norms * (1e-4 * np.linalg.norm(direction) + 1e-8 * norms.max())  # rounding of a zero
        assert (case @ direction >= allowed).all(), f"{name}: conflicts: {case @ direction}"


def _check_single_task(make):
    gradient = jacobians()["conflicting"][:1]
    direction = np.asarray(direction_of(make(), gradient, LOSSES[:1]))
    factor = direction @ gradient[0] / (gradient[0] @ gradient[0])
    assert factor > 0, f"one task: factor {factor} of its gradient"
    assert_close(direction, factor * gradient[0], "one task: a multiple of its gradient")


def _check_wide(make):
    jacobian = np.random.default_rng(0).normal(size=(2 * NUM_TASKS, 2)).astype("float32")
    losses = np.concatenate([LOSSES, LOSSES])
    assert np.isfinite(direction_of(make(), jacobian, losses)).all(), "more tasks than parameters: not finite"
    jacobian = np.random.default_rng(0).normal(size=(NUM_TASKS, 1000)).astype("float32")
    assert np.isfinite(direction_of(make(), jacobian)).all(), "wide: not finite"


def _check_absent_task(make):
    """An absent task changes nothing for the others."""
    case = jacobians()["conflicting"]
    present = np.array([True, False, True])
    zeroed, losses = np.where(present[:, None], case, 0.0), np.where(present, LOSSES, 0.0)
    direction = direction_of(make(), zeroed, losses, present)
    expected = direction_of(make(), case[present], LOSSES[present])
    assert_close(direction, expected, "an absent task against none")


def _check_state_of_absent_task(make):
    """An absent task's entries of the state stay, unless they only show what the last call used."""
    case, present = jacobians()["conflicting"], np.array([True, False, True])
    method, copy = make(), make()
    for each in (method, copy):
        direction_of(each, case)
    before = [np.array(variable) for variable in method.variables]
    direction_of(method, np.where(present[:, None], case, 0.0), np.where(present, LOSSES, 0.0), present)
    changed = []
    for variable, old, target in zip(method.variables, before, copy.variables, strict=True):
        target.assign(variable)
        new = np.array(variable)
        if new.ndim and len(new) == NUM_TASKS:
            entries = np.zeros(new.shape, bool)
            entries[1] = True
            if new.shape == (NUM_TASKS, NUM_TASKS):
                entries[:, 1] = True
            if (new != old)[entries].any():
                changed.append(variable.name)
                target.assign(np.where(entries, 7.0, new))
    message = f"state of an absent task changes, in one of {changed}"
    assert_close(direction_of(copy, case), direction_of(method, case), message, relative=1e-6)


def _check_all_tasks_absent(make):
    method = make()
    direction_of(method, jacobians()["conflicting"])
    zeros = np.zeros_like(jacobians()["conflicting"])
    direction = direction_of(method, zeros, 0.0 * LOSSES, np.zeros(NUM_TASKS, bool))
    assert (np.asarray(direction) == 0).all(), f"no task is present: {direction}"


def _balancer_epoch(balancer, losses):
    value = balancer(losses)
    balancer.on_epoch_end()
    return value


def _check_scalar(make, may_raise):
    cases = {
        "ordinary": LOSSES,
        "ill-scaled": [1e-4, 1.0, 1e4],
        "equal": [1.0, 1.0, 1.0],
        "one zero": [0.0, 1.0, 2.0],
        "all zero": [0.0, 0.0, 0.0],
    }
    for name, losses in cases.items():
        balancer = make()
        with tf.GradientTape() as tape:
            value, gradient = value_and_gradient(balancer, losses)
        assert value.shape == (), f"{name}: shape {value.shape}"
        assert value.dtype == "float32", f"{name}: dtype {value.dtype}"
        assert np.isfinite(value), f"{name}: not finite: {value}"
        assert np.isfinite(gradient).all(), f"{name}: derivative not finite: {gradient}"
        assert may_raise or (np.asarray(gradient) >= 0).all(), f"{name}: would raise a loss: {gradient}"
        gradients = tape.gradient(value, balancer.trainable_variables)
        assert all(g is not None and np.isfinite(g).all() for g in gradients), f"{name}: state: {gradients}"


def _check_balancer_xla(make):
    eager, compiled = make(), make()
    for balancer in (eager, compiled):
        balancer.build((NUM_TASKS,))
    xla = tf.function(lambda losses: value_and_gradient(compiled, losses), jit_compile=True)
    for scale in (1.0, 0.5, 2.0):
        losses = tf.constant(scale * LOSSES)
        for name, result, expected in zip(
            ("value", "derivative"), xla(losses), value_and_gradient(eager, losses), strict=True
        ):
            assert_close(result, expected, f"{name} with XLA against eager", scale=0.1)
        eager.on_epoch_end()
        compiled.on_epoch_end()
    assert xla.experimental_get_tracing_count() == 1, "compiled more than once for one shape"


def _check_random_balancer_xla(make):
    """XLA draws other numbers than eager execution, so only what holds for any numbers is checked."""
    balancer = make()
    balancer.build((NUM_TASKS,))
    xla = tf.function(lambda losses: value_and_gradient(balancer, losses), jit_compile=True)
    (value, gradient), (other, _) = (xla(tf.constant(LOSSES)) for _ in range(2))
    assert np.isfinite(value), f"not finite with XLA: {value}"
    assert np.isfinite(gradient).all(), f"not finite with XLA: derivative {gradient}"
    assert value != other, "the same random numbers in every step with XLA"


def _check_all_absent(make):
    for losses in (LOSSES, 0.0 * LOSSES):
        value, gradient = value_and_gradient(make(), losses, np.zeros(NUM_TASKS, bool))
        assert value == 0, f"no task is present: {value}"
        assert (np.asarray(gradient) == 0).all(), f"no task is present: gradient {gradient}"


def _check_absent_against_none(make):
    present = np.array([True, False, True])
    value, gradient = value_and_gradient(make(), np.where(present, LOSSES, 0.0), present)
    expected, expected_gradient = value_and_gradient(make(), LOSSES[present])
    assert_close(value, expected, "value with an absent task against none")
    assert_close(gradient[::2], expected_gradient, "derivative with an absent task against none")


def _check_absent_loss(make, deterministic):
    """An absent task adds no value and no gradient, and its entries of the state stay."""
    present = np.array([True, False, True])
    answers = []
    for placeholder in (0.0, 7.0):
        balancer = make()
        _balancer_epoch(balancer, LOSSES)
        for variable in balancer.trainable_variables:
            variable.assign_add(0.3 * tf.ones_like(variable))  # away from the start, a special point for some
        before = [np.array(variable) for variable in balancer.variables]
        with tf.GradientTape() as tape:
            value, gradient = value_and_gradient(balancer, np.where(present, LOSSES, placeholder), present)
        assert np.isfinite(value), f"loss {placeholder} of an absent task: {value}"
        assert np.isfinite(gradient).all(), f"loss {placeholder} of an absent task: {gradient}"
        assert gradient[1] == 0, f"an absent task gets a gradient: {gradient}"
        for variable, old in zip(balancer.variables, before, strict=True):
            if variable.shape == (NUM_TASKS,):
                assert variable[1] == old[1], f"`{variable.name}` of an absent task changes"
        for g in tape.gradient(value, balancer.trainable_variables):
            assert g.shape != (NUM_TASKS,) or g[1] == 0, f"the state of an absent task gets a gradient: {g}"
        answers.append((value, gradient))
    if deterministic:
        for one, other in zip(*answers, strict=True):
            assert_close(one, other, "the loss of an absent task matters", relative=1e-6)
