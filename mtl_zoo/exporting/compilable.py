"""Proof that XLA can compile a signature, as a TPU needs it."""

import re

import tensorflow as tf

from mtl_zoo.exporting import faults

HOST_INSTRUCTIONS = ("custom-call", "infeed", "outfeed", "send", "recv")


def check_compilable(name, function, model):
    """Raise a `ValueError` that names the operation unless XLA compiles a function without the host's help.

    The function is lowered to XLA's HLO, which is read for instructions that call or wait for the host.

    Args:
        name: Name of the signature, for the error.
        function: `tf.function` with an input signature of fixed shapes.
        model: `keras.Model` whose layers' names are looked for.

    Returns:
        The HLO, as text.
    """
    operation = _host_operation(function.get_concrete_function())
    if operation:
        raise _fault(name, *operation, model)
    try:
        hlo = _hlo(function)
    except ValueError as error:
        found = re.search(r": (\w+) \(No registered .*?\{\{node (\S+?)\}\}", str(error), re.DOTALL)
        if not found:
            raise ValueError(f"XLA must compile signature '{name}'. Received: {error}") from error
        raise _fault(name, found[2], found[1], model) from error
    for line in hlo.splitlines():
        if re.search(rf" ({'|'.join(HOST_INSTRUCTIONS)})\(", line):
            raise _fault(name, *_metadata(line), model)
    return hlo


def _hlo(function):
    compiled = tf.function(
        function.python_function, function.input_signature, autograph=False, jit_compile=True
    )
    return compiled.experimental_get_compiler_ir(*function.input_signature)(stage="hlo")


def _host_operation(concrete):
    """Return name and kind of the first operation on strings or tables, which XLA does not name."""
    for operation in concrete.graph.get_operations():
        types = {tensor.dtype for tensor in (*operation.inputs, *operation.outputs)}
        is_table = operation.type.startswith("LookupTable")
        if operation.type not in ("Placeholder", "Const") and (tf.string in types or is_table):
            return operation.name, operation.type
    return None


def _metadata(line):
    """Return name and kind of the TensorFlow operation that an HLO instruction comes from."""
    name = re.search(r'op_name="([^"]*)"', line)
    kind = re.search(r'custom_call_target="([^"]*)"', line) or re.search(r'op_type="([^"]*)"', line)
    return name[1] if name else line.split("=")[0].strip(), kind[1] if kind else "custom-call"


def _fault(signature, operation, kind, model):
    return ValueError(
        "With `device='tpu'` every signature must be compiled by XLA without operations on the host. "
        f"Received: signature '{signature}' with the operation {kind} "
        f"in layer {faults.layer_of(operation, model)}"
    )
