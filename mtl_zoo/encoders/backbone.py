"""Any functional Keras model, cut into stages."""

import functools

import keras

from mtl_zoo import arguments
from mtl_zoo.encoders import _pieces
from mtl_zoo.graphs import call_of


def backbone(keras_model, cut=None, sharing="copied", output=None):
    """Return the stages of a functional Keras model, such as a backbone of KerasHub.

    The first stage takes what the model takes, a dict of tensors for instance. The others take what the one
    before returns: the output of the layer at the cut; or a list of tensors that ends with it, where later
    stages need others too, masks or shortcuts. Architectures mix and attend to the last one.

    Args:
        keras_model: Functional `keras.Model` or `keras.Sequential`, built. It stays as it is.
        cut: Names of layers after which a stage ends, as a list or with commas between them. Defaults to
            `None`: one stage.
        sharing: `"copied"`: every call of a stage makes a copy of its own, which starts from the weights that
            the model has now; `"shared"`: all calls of a stage use the same copy; `"frozen"`: copies that do
            not train. Defaults to `"copied"`.
        output: Which output of several the last stage returns: a key of the dict of outputs, or a name in
            `keras_model.output_names`. A list of them makes the last stage return a list, for a `head` of
            your own; the last one counts as the features. Defaults to `None`: the only one.

    Returns:
        List of stages. Each applies one nested model, `"{name}_network"`, or its layers where masks go
        through. Layers of the model's own precision get the precision at this call.

    Raises:
        ValueError: If the model is not functional or computes more than its graph, a layer at a cut does not
            exist, is called more than once, or nothing follows it, or `output` names none.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), *[keras.layers.Dense(4, name=x) for x in "ab"]])
    >>> encoder = backbone(model, cut="a")
    >>> x = mz.encoders.encode(keras.Input((8,)), encoder, "shared")
    >>> len(encoder), x.shape, x._keras_history.operation.layers[-1].name
    (2, (None, 4), 'shared_2_b')

    Note:
        Copies are equal at first, as for `pretrained`, where see what follows for experts and towers.
    """
    arguments.option("sharing", sharing, _pieces.SHARING)
    if cut is not None and not isinstance(cut, str):
        arguments.texts("cut", cut)
    _check_model(keras_model)
    structure = keras_model.inputs if isinstance(keras_model, keras.Sequential) else keras_model.input
    outputs = _outputs(keras_model, output)
    network = keras.Model(keras_model.inputs, keras_model.outputs, name=keras_model.name)
    network.dtype_policy = keras_model.dtype_policy
    first, *rest = _pieces.stages(network, _cuts(network, outputs, cut), outputs, sharing)
    return [functools.partial(_first_stage, stage=first, structure=structure), *rest]


def _check_model(model):
    is_built = isinstance(model, (keras.Sequential, keras.Function)) and bool(getattr(model, "inputs", None))
    if not is_built or type(model).call.__qualname__ not in ("Functional.call", "Sequential.call"):
        raise ValueError(
            "`keras_model` must be a functional or sequential `keras.Model` with inputs, whose `call` is "
            f"Keras' own. Received: keras_model={type(model).__name__}"
        )


def _outputs(model, output):
    """Return the tensors at the end."""
    if output is None and len(model.outputs) == 1:
        return model.outputs
    names = keras.Model(model.inputs, model.outputs).output_names
    named = dict(zip(names, model.outputs, strict=True))
    if not isinstance(model, keras.Sequential) and isinstance(model.output, dict):
        named = model.output
    names = [output] if isinstance(output, str) or output is None else list(arguments.texts("output", output))
    if not names or not set(names) <= set(named):
        raise ValueError(
            f"`output` must name one of the model's outputs, or a list of them: {list(named)}. "
            f"Received: output={output!r}"
        )
    return [named[name] for name in names]


def _cuts(network, outputs, cut):
    """Return the operations of these names, in the network's order."""
    names = cut.split(",") if isinstance(cut, str) else cut or []
    needed, ends = list(_pieces.calls(outputs)), {call_of(x) for x in outputs}
    inner = [call.operation for call in needed if not call.is_input and call not in ends]
    valid = [x for x in network.operations if inner.count(x) == 1]
    wrong = [name for name in names if name not in {x.name for x in valid}]
    if wrong:
        raise ValueError(
            "`cut` must name inner layers that are called once, which are "
            f"{[x.name for x in valid]}. Received: {wrong}"
        )
    return [x for x in valid if x.name in names]


def _first_stage(x, name, stage, structure):
    if not _is_like(x, structure):
        wanted = keras.tree.map_structure(lambda tensor: tensor.name, structure)
        raise ValueError(
            f"Inputs must be structured like those of the model, {wanted}. Received: "
            f"{keras.tree.map_structure(lambda tensor: tensor.name, x)}"
        )
    return stage(x, name)


def _is_like(x, structure):
    """Return whether inputs have the structure of a model's; a list of one tensor stands for the tensor."""
    flat = keras.tree.flatten(structure)
    if len(flat) == 1 and not isinstance(structure, dict):
        return len(keras.tree.flatten(x)) == 1
    try:
        keras.tree.assert_same_structure(keras.tree.lists_to_tuples(x), keras.tree.lists_to_tuples(structure))
    except ValueError:
        return False
    return True
