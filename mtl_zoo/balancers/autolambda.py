"""Weights that lower the losses of chosen tasks on a second batch."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers import _adam as adam
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class AutoLambda(Balancer):
    """Learns weights of the losses that lower the losses of chosen tasks on other data.

    Before every update, a step of gradient descent with the weights of now is looked at, without making it:
    Adam moves each weight against the derivative by it of the summed losses that the primary tasks have then
    on a batch of `meta_data`. So a task gets weight as far as its gradient helps the primary ones on data
    that the step has not seen.

    Args:
        primary: Names of the tasks that count on the meta data; the others only help them (auxiliary
            learning). Defaults to `None`: all tasks.
        learning_rate: Learning rate of the weights. Defaults to 1e-4, as in the authors' code for dense
            prediction; for CIFAR-100 they take 3e-4.
        initial: Weight of every task at the start. Defaults to 0.1, as in the authors' code.

    Raises:
        ValueError: If `learning_rate` is not positive, `initial` is negative, or (in a `Trainer`) a name in
            `primary` is not that of a task; in `fit`, if there are no `meta_data`.

    Example:

    >>> tasks = [mz.Task.regression("sum"), mz.Task.regression("noise")]
    >>> model = mz.architectures.hard_sharing(keras.Input((4,)), tasks, mz.encoders.mlp(8))
    >>> trainer = mz.Trainer(model, tasks, mz.balancers.AutoLambda(primary=["sum"], learning_rate=0.01))
    >>> trainer.compile(keras.optimizers.SGD(0.01))
    >>> x, noise = (np.random.default_rng(i).normal(size=(64, 4)) for i in range(2))
    >>> y = {"sum": x.sum(axis=1), "noise": noise[:, 0]}
    >>> history = trainer.fit(x[:32], {k: v[:32] for k, v in y.items()}, verbose=0,
    ...                       meta_data=(x[32:], {k: v[32:] for k, v in y.items()}))
    >>> bool(trainer.balancer.task_weights[0] > 0.1)  # to weigh its own task more helps it
    True

    Reference:
        [Liu et al., 2022](https://arxiv.org/abs/2202.03091)

    Note:
        Built from the authors' code. They approximate the derivative by finite differences; here it is exact,
        by T backward passes on the training batch. The step that is looked at is one of plain gradient
        descent by the optimizer's learning rate, while theirs has the momentum and the weight decay of SGD
        too. A weight stops at 0 where theirs may fall below, which would raise a loss without bound. A task
        without label in the training batch keeps its weight, and so do all where no primary task has one in
        the meta batch. The authors' meta data are the training data in another order.
    """

    needs_meta = True

    def __init__(self, primary=None, learning_rate=1e-4, initial=0.1, **kwargs):
        super().__init__(**kwargs)
        self.primary = None if primary is None else arguments.texts("primary", primary)
        self.learning_rate = arguments.number("learning_rate", learning_rate, above=0)
        self.initial = arguments.number("initial", initial, least=0)
        self.counted = None

    def for_tasks(self, names):
        """Find the primary tasks among those of the trainer."""
        if self.primary is None:
            return
        if not self.primary or not set(self.primary) <= set(names):
            raise ValueError(
                f"`primary` must name some of the tasks {list(names)}. Received: primary={self.primary}"
            )
        self.counted = [float(name in self.primary) for name in names]

    def build(self, losses_shape):
        if self.primary is not None and self.counted is None:
            raise ValueError(f"`primary` must be given to a `Trainer`. Received: primary={self.primary}")
        self.counted = arguments.per_task("primary", self.counted, losses_shape[0], default=1.0)
        start = keras.initializers.Constant(self.initial)
        self.task_weights = self.add_weight(
            name="task_weights", shape=losses_shape, initializer=start, trainable=False
        )
        self.moments = adam.moments(self, losses_shape)

    def combine(self, losses, present):
        return ops.sum(present * self.task_weights * losses)

    def meta_objectives(self, num_tasks):
        """Return the one sum of the losses of the primary tasks."""
        return ops.convert_to_tensor([self.counted], self.compute_dtype)

    def look_ahead(self, slopes, present, meta_present):
        """Do a step of Adam on the weights.

        Args:
            slopes: Tensor `[1, T]`: derivatives of the losses of the primary tasks by the weights.
            present: As in `Balancer.look_ahead`.
            meta_present: Likewise.
        """
        counted = ops.convert_to_tensor(self.counted, self.compute_dtype)
        seen = ops.any(ops.cast(meta_present, "bool") & (counted > 0))
        moved = ops.cast(ops.cast(present, "bool") & seen, self.compute_dtype)
        adam.descend(self.task_weights, self.moments, slopes[0], moved, self.learning_rate)
        self.task_weights.assign(ops.maximum(self.task_weights, 0.0))
