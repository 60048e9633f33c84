"""The contract of balancers."""

import keras
from keras import ops


class Balancer(keras.layers.Layer):
    """Turns the task losses of a batch into one scalar.

    A subclass implements `combine` and creates its state in `build(losses_shape)`, where `losses_shape` is
    `(T,)`. Trainable state is updated by the optimizer together with the model's. Computation is in float32
    whatever the global policy.

    Call arguments:
        losses: Tensor `[T]`.
        present: Optional boolean tensor `[T]`: which tasks have a labelled item in the batch. The others
            add nothing to the scalar and leave their state alone. Defaults to all.

    Returns:
        Scalar tensor, differentiable with respect to `losses` and the trainable state.

    Attributes:
        second_look: Whether the method wants the losses of the same batch once more, after the update, by
            `look`.
        needs_meta: Whether the method learns from a second batch, of the `meta_data` that `fit` must be given
            then, by `look_ahead`.
        adds_meta_gradients: Whether, if `needs_meta`, gradients of the losses on the second batch are a part
            of the update; then the trainer calls `weigh_meta` instead of `look_ahead`, the method has
            `virtual_steps`, a positive number, and `virtual_rate`, and there must be no aggregator.
        min_losses: What losses must not be below for the method to make sense, one number or a list of one
            per task; 0 for those that take logarithms or ratios of losses. `fit` warns, by name, of a task
            whose mean loss in an epoch is below. Defaults to `None`: any loss will do.
        constant_weights: Tensor `[T]` of the weights of the losses, if they do not change by themselves; then
            the logs have a `weighted_loss`. Defaults to `None`.
    """

    second_look = False
    needs_meta = False
    adds_meta_gradients = False
    min_losses = None
    constant_weights = None

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)

    def call(self, losses, present=None):
        present = ops.ones_like(losses) if present is None else ops.cast(present, losses.dtype)
        return self.combine(ops.where(present > 0, losses, 1.0), present)

    def combine(self, losses, present):
        """Return the scalar.

        Args:
            losses: Tensor `[T]`; 1 for absent tasks, so that logarithms and divisions stay finite.
            present: Tensor `[T]`, 1 for the tasks that count and 0 for absent ones.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `combine`.")

    def for_tasks(self, names):
        """Take what was given by names of tasks in their order; the trainer calls it before `build`.

        Args:
            names: Sequence of T names.
        """

    def look(self, losses_after, present=None):
        """React to the losses of the same batch after the update; called if `second_look` is true.

        Args:
            losses_after: Tensor `[T]`.
            present: As in the call.
        """

    def meta_objectives(self, num_tasks):
        """Return what `look_ahead` is to differentiate: sums of the losses on a meta batch.

        Args:
            num_tasks: T.

        Returns:
            Tensor `[M, T]`: in each row the weights of the losses in a sum. By default every loss by itself.
        """
        return ops.eye(num_tasks, dtype=self.compute_dtype)

    def look_ahead(self, slopes, present, meta_present):
        """React to a meta batch; called before every update, and before the call, if `needs_meta` is true.

        The look is at the losses on the meta batch after a step of gradient descent on the training losses
        with the weights of now, which is not made.

        Args:
            slopes: Tensor `[M, T]`: derivatives of the sums of these losses, which `meta_objectives` names,
                by the weights of the training losses. What an absent task would add is 0.
            present: Boolean tensor `[T]`: which tasks have a labelled item in the training batch.
            meta_present: Likewise in the meta batch.
        """

    def virtual_weights(self, present):
        """Return the weights of the training losses in the steps that `weigh_meta` is told of, `[T]`.

        Args:
            present: As in the call.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `virtual_weights`.")

    def weigh_meta(self, gramian, falls, present, meta_present):
        """Return the weights of the gradients of the losses on a meta batch in the update, `[T]`.

        Called before the call if `adds_meta_gradients` is true: the update is the gradient of the scalar plus
        these. What an absent task would have is 0.

        Args:
            gramian: Tensor `[T + 1, T + 1]`: inner products of the gradients, over all variables, of the
                losses on the meta batch and, last, of the sum of the training losses with the weights
                `virtual_weights`.
            falls: Tensor `[T]`: by how much each training loss falls with `virtual_steps` steps of gradient
                descent on that sum, of the length `virtual_rate`, which are not made.
            present: As in `look_ahead`.
            meta_present: Likewise.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `weigh_meta`.")

    def on_epoch_end(self):
        """React to the end of a training epoch; the trainer calls it. Nothing by default."""
