"""The branching unit of a learned tree."""

import keras
from keras import ops

SPEED = 30.0  # of the choices: an optimizer that moves weights by 1e-3 a step would never decide them


@keras.saving.register_keras_serializable("mtl_zoo")
class Branch(keras.layers.Layer):
    """Lets every child choose one of several parents.

    At inference a child sees its likeliest parent alone. In training its choice goes through three phases:

    1. Warm-up: all children see the mean of their parents, and the choices do not learn.
    2. Search: a child sees one parent, drawn by its probability, anew in every batch; the gradient is that of
       a Gumbel softmax (straight-through), whose temperature falls from `temperature` to `minimum`.
    3. Settling: a child sees its likeliest parent, as at inference, and the choices do not learn.

    How far training is stands in the variable `training_progress`, from 0 to 1; `Trainer.fit` sets it before
    every step, and `keras.Model.fit` does with `mtl_zoo.callbacks.TrainingProgress`. While it is negative, as
    at the start, nobody has told, and draws are made at `temperature`.

    Args:
        num_children: Number of children.
        temperature: Temperature at the beginning of the search. Defaults to 5.
        minimum: Temperature at its end. Defaults to 0.5.
        warm_up: Share of the training before the search. Defaults to 0.1.
        settling: Share of the training after the search. Defaults to 0.5.

    Call arguments:
        parents: List of the parents' features, tensors or lists of tensors of the same shapes.

    Returns:
        List of the children's features, each of the structure of a parent.

    Raises:
        ValueError: If an argument is out of range, or the parents' shapes differ.

    Example:

    >>> unit = Branch(num_children=3)
    >>> len(unit([np.zeros((1, 2)), np.ones((1, 2))])), unit.choices()
    (3, array([0, 0, 0]))

    Reference:
        [Guo et al., 2020](https://arxiv.org/abs/2006.01895),
        [Jang et al., 2017](https://arxiv.org/abs/1611.01144) for the straight-through draws

    Note:
        A choice's logit is 30 times its variable, so that it learns as fast as the paper's, which have an
        optimizer of their own.
    """

    def __init__(self, num_children, temperature=5.0, minimum=0.5, warm_up=0.1, settling=0.5, **kwargs):
        super().__init__(**kwargs)
        if not temperature >= minimum > 0:
            raise ValueError(
                "The temperature must not start below a positive `minimum`. "
                f"Received: temperature={temperature}, minimum={minimum}"
            )
        if not (warm_up >= 0 and settling >= 0 and warm_up + settling < 1):
            raise ValueError(
                "`warm_up` and `settling` must not be negative, and leave a part of training to search. "
                f"Received: warm_up={warm_up}, settling={settling}"
            )
        self.num_children = num_children
        self.temperature = temperature
        self.minimum = minimum
        self.warm_up = warm_up
        self.settling = settling
        self.random = keras.random.SeedGenerator()
        self.supports_masking = True

    def build(self, input_shape):
        """Create a logit for every child and parent, all equal, and the progress of training."""
        shapes = {str(shape) for shape in input_shape}
        if len(shapes) != 1:
            raise ValueError(f"All parents must have the same shape. Received: {input_shape}")
        shape = (self.num_children, len(input_shape))
        self.logits = self.add_weight(shape, "zeros", name="logits", autocast=False)
        self.training_progress = self.add_weight(
            (), keras.initializers.Constant(-1.0), name="training_progress", trainable=False, autocast=False
        )

    def call(self, parents, training=None):
        """Return the children's features."""
        weights = ops.unstack(self._in_training() if training else self._decide())
        return [keras.tree.map_structure(lambda *x, w=w: _mix(w, x), *parents) for w in weights]

    def choices(self):
        """Return the index of each child's likeliest parent, as an array `[num_children]`."""
        return ops.convert_to_numpy(ops.argmax(self.logits, axis=-1)).astype(int)

    def _in_training(self):
        progress = ops.convert_to_tensor(self.training_progress)
        warms_up = ops.logical_and(progress >= 0, progress < self.warm_up)
        equal = ops.full(self.logits.shape, 1.0 / self.logits.shape[-1], dtype=self.logits.dtype)
        search = ops.where(warms_up, equal, self._draw(progress))
        return ops.where(progress >= 1.0 - self.settling, self._decide(), search)

    def _draw(self, progress):
        """Return weights of 0 and 1 with the gradients of a softmax."""
        shape = self.logits.shape
        uniform = keras.random.uniform(shape, 1e-6, 1.0 - 1e-6, dtype=self.logits.dtype, seed=self.random)
        noisy = SPEED * self.logits - ops.log(-ops.log(uniform))
        soft = ops.softmax(noisy / self._temperature(progress), axis=-1)
        hard = ops.one_hot(ops.argmax(noisy, axis=-1), shape[-1], dtype=soft.dtype)
        return hard + (soft - ops.stop_gradient(soft))

    def _temperature(self, progress):
        share = (progress - self.warm_up) / (1.0 - self.warm_up - self.settling)
        return self.temperature * (self.minimum / self.temperature) ** ops.clip(share, 0.0, 1.0)

    def _decide(self):
        likeliest = ops.argmax(self.logits, axis=-1)
        return ops.one_hot(likeliest, self.logits.shape[-1], dtype=self.logits.dtype)

    def compute_mask(self, inputs, mask=None):
        """Return the first parent's mask for every child."""
        return None if mask is None else [mask[0]] * self.num_children

    def compute_output_shape(self, input_shape):
        """Return a parent's shape for every child."""
        return [input_shape[0]] * self.num_children


def _mix(weights, tensors):
    weights = ops.cast(weights, tensors[0].dtype)
    return sum(weights[index] * tensor for index, tensor in enumerate(tensors))
