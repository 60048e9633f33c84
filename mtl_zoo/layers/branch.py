"""The branching unit of a learned tree."""

import keras
from keras import ops

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class Branch(keras.layers.Layer):
    """Lets every child choose one of several parents.

    In training a child sees a mixture of its parents by a Gumbel softmax: one draw per batch, whose
    temperature falls as training goes on, `max(minimum, temperature * exp(-decay * steps))`. At inference it
    sees the likeliest parent alone.

    Args:
        num_children: Number of children.
        temperature: Temperature at the first step. Defaults to 5.
        minimum: Least temperature. Defaults to 0.5.
        decay: Rate of its fall per step. Defaults to 1e-3.

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
        [Jang et al., 2017](https://arxiv.org/abs/1611.01144) for the fall of the temperature
    """

    def __init__(self, num_children, temperature=5.0, minimum=0.5, decay=1e-3, **kwargs):
        super().__init__(**kwargs)
        num_children = arguments.integer("num_children", num_children, 1, arguments.UNITS)
        temperature = arguments.number("temperature", temperature)
        minimum = arguments.number("minimum", minimum)
        decay = arguments.number("decay", decay)
        if not temperature >= minimum > 0 or not decay >= 0:
            raise ValueError(
                "The temperature must not start below a positive `minimum`, nor rise. "
                f"Received: temperature={temperature}, minimum={minimum}, decay={decay}"
            )
        self.num_children = num_children
        self.temperature = temperature
        self.minimum = minimum
        self.decay = decay
        self.random = keras.random.SeedGenerator()
        self.supports_masking = True

    def build(self, input_shape):
        """Create a logit for every child and parent, all equal, and the count of the steps."""
        shapes = {str(shape) for shape in input_shape}
        if len(shapes) != 1:
            raise ValueError(f"All parents must have the same shape. Received: {input_shape}")
        self.logits = self.add_weight(
            name="logits", shape=(self.num_children, len(input_shape)), initializer="zeros"
        )
        self.steps = self.add_weight(name="steps", shape=(), initializer="zeros", trainable=False)

    def call(self, parents, training=None):
        """Return the children's features."""
        weights = ops.unstack(self._draw() if training else self._decide())
        return [keras.tree.map_structure(lambda *x, w=w: _mix(w, x), *parents) for w in weights]

    def choices(self):
        """Return the index of each child's likeliest parent, as an array `[num_children]`."""
        return ops.convert_to_numpy(ops.argmax(self.logits, axis=-1)).astype(int)

    def _draw(self):
        shape = self.logits.shape
        uniform = keras.random.uniform(shape, minval=1e-6, maxval=1.0 - 1e-6, seed=self.random)
        temperature = ops.maximum(self.minimum, self.temperature * ops.exp(-self.decay * self.steps))
        self.steps.assign_add(1.0)
        noise = -ops.log(-ops.log(ops.cast(uniform, "float32")))
        return ops.softmax((ops.cast(self.logits, "float32") + noise) / temperature, axis=-1)

    def _decide(self):
        return ops.one_hot(ops.argmax(self.logits, axis=-1), self.logits.shape[-1], dtype="float32")

    def compute_mask(self, inputs, mask=None):
        """Return the first parent's mask for every child."""
        return None if mask is None else [mask[0]] * self.num_children

    def compute_output_shape(self, input_shape):
        """Return a parent's shape for every child."""
        return [input_shape[0]] * self.num_children


def _mix(weights, tensors):
    weights = ops.cast(weights, tensors[0].dtype)
    return sum(weights[index] * tensor for index, tensor in enumerate(tensors))
