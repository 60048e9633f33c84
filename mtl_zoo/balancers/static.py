"""A weighted sum of losses."""

import numbers
from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.validation import check_names


@keras.saving.register_keras_serializable("mtl_zoo")
class Static(Balancer):
    """Sums the losses with constant weights.

    The weights are in the variable `task_weights`: `balancer.task_weights.assign([1.0, 0.5])` changes them
    from the next step on, between calls of `fit` or in a callback, and checkpoints keep them.

    Args:
        weights: One non-negative number per task, what `task_weights` starts at: a list in the order of the
            tasks, or a dictionary from their names, for a `Trainer`.

    Raises:
        ValueError: If a weight is negative, or (when built) they are not those of the tasks.

    Example:

    >>> float(Static([0.5, 2.0])(np.array([1.0, 2.0])))
    4.5
    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trainer = mz.Trainer(model, tasks, Static({"price": 0.5, "click": 1.0}))
    >>> trainer.balancer.task_weights.numpy().tolist()
    [1.0, 0.5]

    Reference:
        [Caruana, 1997](https://doi.org/10.1023/A:1007379606734)
    """

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.names = list(weights) if isinstance(weights, Mapping) else None
        if isinstance(weights, numbers.Number | str):
            raise ValueError(
                "`weights` must hold one non-negative number per task, as in [1.0, 0.5] or {'kind': 1.0, "
                f"'age': 0.5}}. Received: weights={weights!r}"
            )
        values = list(weights.values()) if self.names is not None else weights
        self.start = arguments.numbers("weights", values, least=0)

    @classmethod
    def from_history(cls, history, tasks, beta=0.9):
        """Return the constant weights that a finished training with changing ones implies.

        They are means over the epochs in which the last counts most: one that came `n` epochs before it
        counts `beta**n`. That is an exponential average whose start does not weigh in (Adam corrects its own
        so). The scale is that of the run: the learning rate that suited it suits these weights.

        Args:
            history: Dict of lists with one number per epoch, as `fit(...).history` or `Run.history`. A
                column such as `click_weight` holds the mean weight of the task's gradient in an epoch.
            tasks: Sequence of `Task`, those of the run.
            beta: At least 0, which takes the last epoch alone, and below 1. Defaults to 0.9, which is ours.

        Raises:
            ValueError: If a task has no weights in the history, all are 1, or `beta` is out of bounds.

        Note:
            Weights that an aggregator found are those of gradients in what the tasks share; these multiply
            losses, so that they reach the heads too. Methods that give no weights (`GradDrop`, `TrimmedMean`)
            leave those of the balancer in the logs.

        Example:

        >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
        >>> history = {"click_weight": [1.0, 4.0], "price_weight": [1.0, 0.25]}
        >>> Static.from_history(history, tasks, beta=0.5).get_config()["weights"]  # (4 + 1/2) / (1 + 1/2) ...
        {'click': 3.0, 'price': 0.5}
        """
        beta = arguments.number("beta", beta, least=0, below=1)
        epochs = {name: _weights_of(history, name) for name in check_names(tasks)}
        if all(weight == 1 for weights in epochs.values() for weight in weights):
            raise ValueError(
                "`history` must be of a method that weighs the tasks. Received: weights of 1 alone, as where "
                "nothing was weighed (`Equal`), or not by numbers per task (`GradDrop`)"
            )
        return cls({name: _recent_mean(weights, beta) for name, weights in epochs.items()})

    def for_tasks(self, names):
        """Put weights that were given by name into the order of the tasks."""
        if self.names is not None:
            if set(names) != set(self.names):
                raise ValueError(
                    f"`weights` must have a number for each of the tasks {list(names)} and no other. "
                    f"Received weights for {self.names}"
                )
            self.start, self.names = [self.start[self.names.index(name)] for name in names], None

    def get_config(self):
        """Return the arguments; the weights as a list once they are in the order of the tasks."""
        by_name = self.names and dict(zip(self.names, self.start, strict=True))
        return super().get_config() | {"weights": by_name or self.start}

    def build(self, losses_shape):
        if self.names is not None:
            raise ValueError(f"`weights` by name must be given to a `Trainer`. Received: {self.names}")
        arguments.per_task("weights", self.start, losses_shape[0])
        self.task_weights = self.add_weight(
            name="task_weights",
            shape=(len(self.start),),
            initializer=lambda shape, dtype: ops.convert_to_tensor(self.start, dtype),
            trainable=False,
        )

    @property
    def constant_weights(self):
        """The weights of the losses, `[T]`."""
        return self.task_weights.value

    def combine(self, losses, present):
        return ops.sum(present * self.task_weights * losses)


def _weights_of(history, name):
    """Return the weights of a task in the epochs that had a label of it."""
    found = np.asarray(arguments.mapping("history", history).get(f"{name}_weight", ()), "float64")
    found = found[~np.isnan(found)]
    if not len(found):
        known = [key for key in history or () if key.endswith("_weight")]
        raise ValueError(
            f"`history` must have a weight of task '{name}' in some epoch, as '{name}_weight'. "
            f"Received: {', '.join(known) or 'a history without weights'}"
        )
    return found


def _recent_mean(values, beta):
    """Return the mean in which a value counts `beta` times as much as the next one."""
    return float(np.average(values, weights=beta ** np.arange(len(values))[::-1]))
