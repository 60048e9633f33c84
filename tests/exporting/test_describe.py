import tensorflow as tf

from mtl_zoo.exporting import describe


class Adder(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 2), name="x"), tf.TensorSpec((), tf.int32, "n")])
    def add(self, x, n):
        return {"sum": x + tf.cast(n, tf.float32), "n": n}


def test_one_line_per_signature_with_names_types_and_shapes(tmp_path):
    adder = Adder()
    tf.saved_model.save(adder, str(tmp_path), {"second": adder.add, "first": adder.add})
    tensors = "n int32 [], x float32 [None, 2] -> n int32 [], sum float32 [None, 2]"
    assert describe(tmp_path) == [f"first: {tensors}", f"second: {tensors}"]
