"""LiteRT (TensorFlow Lite), for phones and small devices."""

import contextlib
import itertools
import re
import tempfile
import warnings

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.exporting import faults
from mtl_zoo.exporting._conversion import check_path, trace, unconvertible, write
from mtl_zoo.exporting.files import writing
from mtl_zoo.exporting.inputs import by_name
from mtl_zoo.exporting.signatures import DEFAULT
from mtl_zoo.options import LITERT_PRECISIONS as PRECISIONS
from mtl_zoo.validation import check_tasks

CALIBRATION_EXAMPLES = 500
LIST = "TensorListReserve"  # in which a loop collects what it computes


def litert(model, tasks, path, precision="float32", representative=None, information=None, batch_size=None):
    """Write a LiteRT file that turns inputs into predictions.

    It has one signature, `serving_default`. Inputs carry the names of the model's `keras.Input`s, outputs
    those of the tasks. Predictions are activated logits (probabilities, for instance) in float32. The file
    needs operations of LiteRT alone, no part of TensorFlow.

    The file appears at `path` when it is complete, then its card, `{path}.model_card.json`; an export that
    fails leaves nothing there.

    Args:
        model: Functional `keras.Model` with a dict of logits, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`. Outputs of the model that no task names are left out.
        path: File to write, `*.tflite`; it must not exist.
        precision: `"float32"`; `"float16"` for weights of half the size; `"dynamic"` for 8-bit weights (of
            1,024 numbers or more) and activations in the range of each batch; `"int8"` for integers alone
            between inputs and outputs, in ranges seen in `representative`. Inputs and outputs keep their
            types, so that all files take the same requests. Defaults to `"float32"`.
        representative: For `"int8"`, and only there: iterable of batches of inputs like those to come, or of
            tuples that begin with one, such as `mz.datasets.multi_digits.load("train", 128)`. The first 500
            examples are read.
        information: Dictionary to add to the model card, for instance `dataset`. Defaults to nothing.
        batch_size: Number of examples of every request. Defaults to `None`: any number; but 1 for models with
            `LSTM`, `GRU` and other loops, which LiteRT has for batches of one size only.

    Raises:
        FileExistsError: If `path` or its card exists.
        ValueError: If `path` has another suffix, tasks and outputs of the model do not agree, LiteRT lacks an
            operation of the model (for int8: on integers, and loops), or an argument is wrong.

    Example:
    ```python
    mz.exporting.litert(model, tasks, "digits.tflite")
    interpreter = ai_edge_litert.interpreter.Interpreter("digits.tflite")
    probabilities = interpreter.get_signature_runner("serving_default")(image=images)["left"]
    ```

    Note:
        LiteRT has no table from integers to integers, such as that of `keras.layers.IntegerLookup`. There
        every value is compared with the whole vocabulary.

    Reference:
        [Jacob et al., 2018](https://arxiv.org/abs/1712.05877)
    """
    model = check_tasks(model, tasks, graph=True)
    _check_precision(precision, representative)
    check_path(path, ".tflite")
    information = arguments.mapping("information", information)
    examples = None if representative is None else _examples(model, representative)
    if batch_size is not None:
        batch_size = arguments.integer("batch_size", batch_size, 1, arguments.EXAMPLES)
    function, owner, batch_size = _traced(model, tasks, batch_size)
    if precision == "int8" and _loops(function):
        raise ValueError(
            "`precision` must be another than int8 for a model with a loop over positions, which recurrent "
            "layers have unless they are made with `unroll=True`. Received: precision='int8'"
        )
    content = _convert(function, owner, model, precision, examples)
    write(path, content, model, tasks, {"precision": precision, **information}, batch_size)


def _check_precision(precision, representative):
    arguments.option("precision", precision, PRECISIONS)
    if (precision == "int8") != (representative is not None):
        raise ValueError(
            "`representative` must be given for int8, and only there. Received: "
            f"precision={precision!r}, representative={type(representative).__name__}"
        )


def _traced(model, tasks, batch_size):
    """Return the traced function, the owner of its variables, and the batch size, 1 if there must be one."""
    with _convertible_tables(model):
        function, owner = trace(model, tasks, batch_size)
    if batch_size is None and _loops(function):
        return _traced(model, tasks, 1)
    return function, owner, batch_size


def _loops(function):
    """Return whether a loop collects a list of tensors. LiteRT's quantizer to int8 would end the process."""
    return LIST in {kind for _, kind in faults.operations(function.get_concrete_function())}


def _convert(function, owner, model, precision, examples):
    """Return the content of the file."""
    owner.others_of_model = [part for part in owner.others_of_model if not _is_from_int_to_int(part)]
    traced = function.get_concrete_function()
    with tempfile.TemporaryDirectory() as directory:
        with writing(directory):
            tf.saved_model.save(owner, directory, {DEFAULT: traced})
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[DEFAULT])
        _set_precision(converter, precision, examples)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter")  # calibration uses it
                return converter.convert()
        except Exception as error:  # of classes that are not public
            raise unconvertible("LiteRT", _kinds(error), traced, model, error) from error


def _set_precision(converter, precision, examples):
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ((DEFAULT, example) for example in examples)


def _kinds(error):
    """Return the kinds of operation that the converter, or its quantizer, complains about."""
    return set(re.findall(r"'tf\.(\w+)' op ", str(error)))


@contextlib.contextmanager
def _convertible_tables(model):
    """Let the lookup tables of layers answer within the block by what LiteRT can do."""
    tables = [
        (vars(layer), name, table)
        for layer in model._flatten_layers(include_self=False)
        for name, table in vars(layer).items()
        if isinstance(table, tf.lookup.StaticHashTable)
    ]
    try:
        for attributes, name, table in tables:
            attributes[name] = _Table(table)
        yield
    finally:
        for attributes, name, table in tables:
            attributes[name] = table


class _Table:
    """Looks up keys as `tf.lookup.StaticHashTable` does, in a result whose shape the converter knows."""

    def __init__(self, table):
        self.table = table

    def lookup(self, keys):
        look_up = self._compare if _is_from_int_to_int(self.table) else self.table.lookup
        return tf.reshape(look_up(keys), tf.shape(keys))

    def _compare(self, keys):
        with tf.init_scope():
            known, values = (x.numpy() for x in self.table.export())
            default = self.table.default_value.numpy()
        found = tf.cast(keys[..., tf.newaxis] == known, values.dtype)
        return default + tf.reduce_sum(found * (values - default), axis=-1)


def _is_from_int_to_int(part):
    is_table = isinstance(part, tf.lookup.StaticHashTable)
    return is_table and part.key_dtype.is_integer and part.value_dtype.is_integer


def _examples(model, batches):
    """Return the first examples of the batches, each a dict of arrays `[1, ...]` by input."""
    examples = itertools.chain.from_iterable(_split(model, batch) for batch in batches)
    found = list(itertools.islice(examples, CALIBRATION_EXAMPLES))
    if not found:
        raise ValueError("`representative` must hold at least one example. Received: none")
    return found


def _split(model, batch):
    """Yield the examples of one batch; one after another, since LiteRT calibrates on one shape."""
    inputs = by_name(model, batch[0] if isinstance(batch, tuple) else batch)
    arrays = {x.name: _array(inputs[x.name], x.dtype) for x in model.inputs}
    for index in range(min(map(len, arrays.values()))):
        yield {name: array[index : index + 1] for name, array in arrays.items()}


def _array(values, dtype):
    return np.asarray(values, object if dtype == "string" else dtype)
