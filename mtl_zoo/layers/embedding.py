"""Vectors of categories or tokens, of which a step reads those alone that it needs."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class Embedding(keras.layers.Embedding):
    """Turns integers into vectors, as `keras.layers.Embedding`, reading only these.

    Keras reads the whole matrix, so an optimizer that changes some rows must first make a copy of it. This
    layer gathers rows from the TensorFlow variable itself. Arguments, weights and results are those of
    Keras; with LoRA, quantized, or on another backend than TensorFlow it does what Keras does.

    Args:
        input_dim: Number of vectors: integers go from 0 to one less.
        output_dim: Size of a vector.
        **kwargs: As for `keras.layers.Embedding`.

    Call arguments:
        inputs: Integers of any shape, dense, ragged or sparse (0 where there is none).

    Returns:
        Tensor of the shape of the inputs and one more axis, of `output_dim`.

    Example:

    >>> Embedding(1000, 8)(np.array([[3, 1], [999, 3]])).shape
    TensorShape([2, 2, 8])

    Note:
        `embeddings_regularizer` and `embeddings_constraint` are about all rows, and let every step cost what
        all rows cost.
    """

    def call(self, inputs):
        """Return the vectors."""
        table = self._table()
        if table is None:
            return super().call(inputs)
        if inputs.dtype not in ("int32", "int64"):
            inputs = ops.cast(inputs, "int32")
        if hasattr(inputs, "with_flat_values"):
            return inputs.with_flat_values(self._gather(table, inputs.flat_values))
        return self._gather(table, ops.convert_to_tensor(inputs, sparse=False))

    def quantize(self, mode, type_check=True, **kwargs):
        """Quantize the vectors, which Keras does for layers of its own alone if it checks the type."""
        super().quantize(mode, type_check=False, **kwargs)

    def _table(self):
        """Return the TensorFlow variable, on a replica its own copy; `None` if it is not all that counts."""
        if self.lora_enabled or self.quantization_mode:
            return None
        value = self._embeddings.value
        value = value._get() if hasattr(value, "_get") else value
        return value if hasattr(value, "sparse_read") else None

    def _gather(self, table, indices):
        indices = ops.where(indices < 0, indices + self.input_dim, indices)  # from the end, as in Keras
        return ops.cast(table.sparse_read(indices), self.compute_dtype)
