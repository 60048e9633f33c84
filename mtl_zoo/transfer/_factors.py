"""Products of two small tensors in the shape of a layer's kernel, for each kind of linear layer."""

import inspect
import string

from keras import layers, ops

from mtl_zoo.layers import Embedding

CONVOLUTIONS = layers.Conv1D, layers.Conv2D, layers.Conv3D
KNOWN_CALLS = "keras", "keras_hub", "mtl_zoo"


class Factors:
    """The factors of a dense layer: `[inputs, rank]` and `[rank, units]`.

    Args:
        layer: Built linear layer.
    """

    def __init__(self, layer):
        self.layer = layer

    @property
    def kernel(self):
        """The weight that the product is added to."""
        return self.layer.kernel

    def shapes(self, rank):
        """Return the shapes of both factors."""
        *inputs, units = self.kernel.shape
        return (*inputs, rank), (rank, units)

    def down(self, x, a):
        """Apply the first factor; the rank is the last axis of the result."""
        return ops.matmul(x, a)

    def up(self, z, b):
        """Apply the second factor."""
        return ops.matmul(z, b)

    def product(self, a, b):
        """Return both factors as one, in the shape of the kernel."""
        return ops.tensordot(a, b, 1)


class OfConvolution(Factors):
    """The factors of a convolution: a convolution to `rank` channels, and one of a single position."""

    def down(self, x, a):
        layer = self.layer
        return ops.conv(x, a, layer.strides, layer.padding, layer.data_format, layer.dilation_rate)


class OfEmbedding(Factors):
    """The factors of an embedding: a table of `rank` numbers per row, and a dense layer."""

    @property
    def kernel(self):
        return self.layer.embeddings

    def down(self, x, a):
        return ops.take(a, ops.cast(x, "int32"), axis=0)


class OfEinsum(Factors):
    """The factors of an `EinsumDense`: from what is summed over to the rank, and on to what is new.

    What the kernel has in common with inputs and outputs, both factors have.
    """

    def __init__(self, layer):
        super().__init__(layer)
        sources, self.out = layer.equation.replace(" ", "").split("->")
        self.x, self.w = sources.split(",")
        self.new = [c for c in self.w if c in self.out and c not in self.x]
        self.common = [c for c in self.w if c in self.out and c in self.x]
        self.summed = [c for c in self.w if c not in self.out]
        self.r = next(c for c in string.ascii_letters if c not in layer.equation)
        self.a = "".join([*self.common, *self.summed, self.r])
        self.b = "".join([*self.common, self.r, *self.new])
        self.z = "".join(c for c in self.out if c not in self.new) + self.r

    def is_product(self):
        """Return whether a kernel of this kind goes from something to something."""
        return bool(self.new) and bool(self.summed) and all(c in self.x for c in self.summed)

    def shapes(self, rank):
        sizes = {**dict(zip(self.w, self.kernel.shape, strict=True)), self.r: rank}
        return tuple(tuple(sizes[c] for c in spec) for spec in (self.a, self.b))

    def down(self, x, a):
        return ops.einsum(f"{self.x},{self.a}->{self.z}", x, a)

    def up(self, z, b):
        return ops.einsum(f"{self.z},{self.b}->{self.out}", z, b)

    def product(self, a, b):
        return ops.einsum(f"{self.a},{self.b}->{self.w}", a, b)


def factors_of(layer):
    """Return the `Factors` of a layer, or `None` if there are none for it.

    Grouped, depthwise, separable, transposed and causal convolutions and recurrent layers have none, nor have
    layers with a `call` of their own, quantized weights, LoRA of Keras, or a constraint on their weights.
    """
    kinds = {
        layers.Dense: Factors,
        layers.EinsumDense: OfEinsum,
        layers.Embedding: OfEmbedding,
        **dict.fromkeys(CONVOLUTIONS, OfConvolution),
    }
    found = [kind for key, kind in kinds.items() if isinstance(layer, key)]
    if not found or not layer.built or not _is_plain(layer):
        return None
    factors = found[0](layer)
    return factors if found[0] is not OfEinsum or factors.is_product() else None


def _is_plain(layer):
    is_known = inspect.unwrap(type(layer).call).__module__.split(".")[0] in KNOWN_CALLS
    is_special = layer.quantization_mode or getattr(layer, "lora_enabled", False)
    is_special = is_special or layer.activity_regularizer
    if isinstance(layer, CONVOLUTIONS):
        is_special = is_special or layer.groups > 1 or layer.padding == "causal"
        is_special = is_special or layer.data_format != "channels_last"
    constraints = [getattr(layer, f"{name}_constraint", None) for name in ("kernel", "embeddings")]
    return is_known and not is_special and not any(constraints)


def is_table(layer):
    """Return whether a layer reads rows of a table."""
    return isinstance(layer, (layers.Embedding, Embedding))
