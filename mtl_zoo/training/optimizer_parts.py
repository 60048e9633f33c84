"""Optimizers by part of the model: one for what tasks share, others for what belongs to a task."""

import keras

from mtl_zoo import arguments
from mtl_zoo.training.distribution import plain_optimizers, unscaled
from mtl_zoo.training.gradients import reaching

SHARED, TASKS = "shared", "tasks"


@keras.saving.register_keras_serializable("mtl_zoo")
class OptimizerParts(keras.optimizers.Optimizer):
    """Updates every variable by the optimizer of its part.

    Each part has clipping, weight decay, averages and a schedule of its own. The learning rate is that of the
    last optimizer; setting it, as `LearningRateScheduler` and `ReduceLROnPlateau` do, changes those of all by
    one factor, so that the ratios with which they were made stay.

    Args:
        parts: List of `keras.optimizers.Optimizer`. It is no attribute `optimizers`, of which some versions
            of Keras' callbacks would set each alone.
        places: List of the place of an optimizer among these, for every variable in the order of `build`.

    Example:

    >>> slow, fast = keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.1)
    >>> optimizer = OptimizerParts([slow, fast], [0, 1])
    >>> optimizer.learning_rate = 0.5
    >>> round(float(slow.learning_rate), 3), round(float(fast.learning_rate), 3)
    (0.05, 0.5)
    """

    def __init__(self, parts, places, name="optimizer_parts"):
        super().__init__(learning_rate=0.0, name=name)
        self.parts = list(parts)
        self.places = list(places)
        self.rates = [optimizer.get_config()["learning_rate"] for optimizer in self.parts]

    @property
    def learning_rate(self):
        """That of the last optimizer."""
        return self.parts[-1].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        if not all(isinstance(rate, (int, float)) for rate in self.rates) or not self.rates[-1]:
            raise ValueError(
                "The learning rate can be set for all parts together if each has a number, the last one "
                f"above 0; set that of `optimizer.parts[i]`. Received: learning_rate={learning_rate}"
            )
        for optimizer, rate in zip(self.parts, self.rates, strict=True):
            optimizer.learning_rate = learning_rate * (rate / self.rates[-1])

    @property
    def variables(self):
        """Those of all optimizers."""
        inner = [variable for optimizer in self.parts for variable in optimizer.variables]
        return [*super().variables, *inner]

    def build(self, variables):
        """Build every optimizer for the variables of its part."""
        if not self.built:
            super().build(variables)
            for optimizer, own in zip(self.parts, self.divided(variables), strict=True):
                optimizer.build(own)

    def divided(self, values, variables=None):
        """Return values, one for every variable, in one list per optimizer.

        Args:
            values: List.
            variables: List of the variables that they are for. Defaults to `values`.
        """
        found = [[] for _ in self.parts]
        for value, variable in zip(values, variables or values, strict=True):
            found[self.places[self._get_variable_index(variable)]].append(value)
        return found

    def apply(self, grads, trainable_variables=None):
        """Update the variables; where a part has no gradient, nothing is done."""
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        parts = map(self.divided, (list(grads), variables), (variables, variables))
        for optimizer, found, own in zip(self.parts, *parts, strict=True):
            if any(gradient is not None for gradient in found):
                optimizer.apply(found, own)
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        """Give variables their averages, where a part keeps some."""
        for optimizer, own in zip(self.parts, self.divided(list(var_list)), strict=True):
            optimizer.finalize_variable_values(own)

    def save_own_variables(self, store):
        """Save what no optimizer of a part saves itself."""
        for index, variable in enumerate(super().variables):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store):
        """Load what `save_own_variables` saved."""
        for index, variable in enumerate(super().variables):
            variable.assign(store[str(index)])

    def get_config(self):
        parts = list(map(keras.saving.serialize_keras_object, self.parts))
        return {"parts": parts, "places": list(self.places), "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = [keras.saving.deserialize_keras_object(x, custom_objects) for x in config["parts"]]
        return cls(**{**config, "parts": parts})


@keras.saving.register_keras_serializable("mtl_zoo")
class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule times a factor.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule`.
        factor: Number.
    """

    def __init__(self, schedule, factor):
        self.schedule = schedule
        self.factor = factor

    def __call__(self, step):
        return self.factor * self.schedule(step)

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "factor": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["factor"])


def build(optimizer, model, problem):
    """Create the state of an optimizer in the order of the model's variables, in which Keras loads it.

    The problem's model may be a view of it, whose variables are in another order; `OptimizerParts` has that.
    """
    has_parts = isinstance(unscaled(optimizer), OptimizerParts)
    optimizer.build(list(problem.variables if has_parts else model.trainable_variables))


def make(given, shared_rate, problem):
    """Return the optimizer that `Trainer.compile` was asked for.

    Args:
        given: Optimizer or its name; or a dict of such by `"shared"`, `"tasks"` and names of tasks.
        shared_rate: Factor of the learning rate of what tasks share.
        problem: `Problem` whose variables it is for.

    Raises:
        ValueError: If a part has no optimizer or there is no such part, the optimizer of a part scales losses
            or divides variables itself, or the model has no graph.
    """
    shared_rate = arguments.number("shared_rate", shared_rate, above=0)
    by_part = isinstance(given, dict) and "class_name" not in given  # Keras' own way to write one in a dict
    if not by_part and shared_rate == 1.0:
        return given
    if by_part and shared_rate != 1.0:
        raise ValueError(
            "`shared_rate` is for one optimizer; optimizers by part have rates of their own. "
            f"Received: shared_rate={shared_rate} and optimizers for {list(given)}"
        )
    if not isinstance(problem.model, keras.Function):
        raise ValueError(
            "Parts can be told apart in a functional model only; with a `call` of its own, it takes one "
            f"optimizer. Received: {type(problem.model.model).__name__}"
        )
    return _divided(given if by_part else _two_rates(given, shared_rate), problem)


def rates(optimizer, variables):
    """Return the learning rate of every variable, as the optimizer has it now.

    Args:
        optimizer: As `make` returns it.
        variables: List of what it trains.
    """
    optimizer = unscaled(optimizer)
    if isinstance(optimizer, OptimizerParts):
        return [optimizer.parts[place].learning_rate for place in optimizer.places]
    return [optimizer.learning_rate] * len(variables)


def _divided(given, problem):
    names = [task.name for task in problem.tasks]
    _check_parts(list(given), names)
    by_part = {part: _plain(part, optimizer) for part, optimizer in given.items()}
    tail = by_part.get(TASKS)
    optimizers = list({id(x): x for x in by_part.values() if x is not tail}.values())
    optimizers += [] if tail is None else [tail]
    reached = reaching(problem.model, problem.tasks)
    parts = [found[0] if len(found) == 1 else SHARED for found in reached]
    places = {name: optimizers.index(by_part.get(name, tail)) for name in dict.fromkeys(parts)}
    return OptimizerParts(optimizers, [places[part] for part in parts])


def _check_parts(given, names):
    known = [SHARED, TASKS, *names]
    if not set(given) <= set(known):
        raise ValueError(f"`optimizer` must be for parts among {known}. Received: {given}")
    if SHARED not in given or not (TASKS in given or set(names) <= set(given)):
        raise ValueError(
            "`optimizer` must have one for 'shared', and one for 'tasks' or for each of the tasks "
            f"{names}. Received: {given}"
        )


def _plain(part, given):
    """Return the optimizer of a part."""
    optimizer = keras.optimizers.get(given)
    if plain_optimizers(optimizer) != [optimizer] or optimizer.loss_scale_factor:
        raise ValueError(
            "The optimizer of a part must neither scale losses ('mixed_float16' does so for all parts) nor "
            f"divide variables. Received: {type(optimizer).__name__} for '{part}'"
        )
    return optimizer


def _two_rates(given, factor):
    """Return an optimizer for the tasks, and one like it with another rate for what they share."""
    optimizer = _plain(TASKS, given)
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        rate = ScaledSchedule(keras.saving.deserialize_keras_object(rate), factor)
    else:
        rate *= factor
    return {SHARED: type(optimizer).from_config({**config, "learning_rate": rate}), TASKS: optimizer}
