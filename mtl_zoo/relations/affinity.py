"""Inter-task affinity, measured while a model trains."""

import contextlib
import dataclasses

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.relations.look_ahead import look_ahead
from mtl_zoo.relations.task_matrix import TaskMatrix
from mtl_zoo.training import distribution
from mtl_zoo.training.metrics import MeanPerTask
from mtl_zoo.training.problem import looking_ahead
from mtl_zoo.training.trainer import Trainer


class Affinity(keras.callbacks.Callback):
    """Measures while a `Trainer` trains how much a step for one task would help every other one.

    The affinity of task i onto task j is `1 - L_j(theta - eta * g_i) / L_j(theta)` on a training batch: the
    part of the loss of j that a step down the gradient of task i alone takes away. `theta` is what several
    tasks share; what belongs to one task stays. `eta` is the optimizer's learning rate at this step. It is
    measured before the first update and after every multiple of `every`, in T backward and T forward passes,
    and averaged. A pair counts in the steps in which both tasks have labels and the loss of j is positive;
    one that never was measured is NaN.

    Nothing is written but these means: the training is the one that it would be without, and the balancer and
    the aggregator play no part in what is measured. Every `fit` starts anew; with `mz.callbacks.Resume` it
    goes on.

    Args:
        every: Number of updates between measurements. Defaults to 10, which the paper found to be as good as
            every one.

    Raises:
        ValueError: If `every` is below 1; in `fit`, if there are fewer than two tasks, or no two share a
            variable.
        TypeError: In `fit`, if it is not that of a `Trainer`, or callbacks are not given as a list.

    Example:

    >>> tasks = [mz.Task.regression("price"), mz.Task.regression("size")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(4))
    >>> trainer = mz.Trainer(model, tasks)
    >>> trainer.compile(keras.optimizers.SGD(0.01))
    >>> x = np.random.default_rng(0).normal(size=(32, 8))
    >>> affinity = Affinity(every=1)
    >>> history = trainer.fit(x, {"price": x[:, 0], "size": x[:, 0]}, callbacks=[affinity], verbose=0)
    >>> affinity.matrix.names, bool((np.diag(affinity.matrix) > 0).all())  # a step for itself helps
    (('price', 'size'), True)

    Note:
        The step is one of gradient descent, as in the formula of the paper, whatever the optimizer is.

    Reference:
        [Fifty et al., 2021](https://arxiv.org/abs/2109.04617)
    """

    resumed_attributes = ("state",)

    def __init__(self, every=10):
        super().__init__()
        self.every = arguments.integer("every", every, 1)
        self._in_session, self._observer = False, None
        self._means, self._names = None, ()

    @property
    def matrix(self):
        """`TaskMatrix` of the affinities; row i, column j is that of task i onto task j."""
        if self._means is None:
            raise ValueError("`Affinity` must have been given to `Trainer.fit` before it has a matrix.")
        size = len(self._names)
        values = keras.ops.convert_to_numpy(self._means.result())
        return TaskMatrix(self._names, np.reshape(values, (size, size)))

    @property
    def state(self):
        """Sums and numbers of measurements so far, a list of two arrays."""
        return [keras.ops.convert_to_numpy(1.0 * variable) for variable in self._means.variables]

    @state.setter
    def state(self, values):
        for variable, value in zip(self._means.variables, values, strict=True):
            variable.assign(value)

    @contextlib.contextmanager
    def session(self, callbacks):
        """Measure within this context alone; called around `fit` by `Trainer`.

        Args:
            callbacks: List of callbacks with this one.
        """
        self._in_session = True
        try:
            yield
        finally:
            self._in_session = False
            if self.model is not None:
                self._attach(None)

    def set_model(self, model):
        """Attach to the trainer; called by `fit`."""
        if not isinstance(model, Trainer) or not self._in_session:
            raise TypeError(
                "`Affinity` must be given to `mtl_zoo.Trainer.fit` in a list of callbacks. "
                f"Received a {type(model).__name__}, or a `CallbackList`."
            )
        super().set_model(model)
        self._names = tuple(task.name for task in model.tasks)
        if len(self._names) < 2:
            raise ValueError(f"`Affinity` must have two tasks at least. Received: {self._names}")
        self._means = MeanPerTask(len(self._names) ** 2, name="affinities")
        posed = looking_ahead(model.problem.model, model.problem.tasks)
        self._attach(self._observer_of(posed))

    def _observer_of(self, problem):
        """Return what measures a batch, if it is its turn."""
        size = len(self._names)

        def observe(optimizer, portions):
            due = tf.equal(optimizer.iterations % self.every, 0)
            nothing = tf.zeros((size, size))
            found = distribution.branch(
                due, lambda: look_ahead(problem, optimizer, portions), lambda: (nothing, nothing)
            )
            self._means.update_state(*(tf.reshape(x, [-1]) for x in found))

        return observe

    def _attach(self, observer):
        """Have the trainer call a function, in place of that of this callback so far; `None` for none."""
        problem = self.model.problem
        others = [known for known in problem.observers if known is not self._observer]
        self._observer = observer
        observers = (*others, observer) if observer else tuple(others)
        self.model.problem = dataclasses.replace(problem, observers=observers)
        self.model.train_function = None  # is made anew, with them
