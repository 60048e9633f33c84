"""The functions of an artefact, from named tensors to named predictions.

A `Signature` is not traced yet: its specs have a free batch size, which an export may fix.
"""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo.exporting.inputs import check_input_names
from mtl_zoo.training import representation

DEFAULT = "serving_default"
FEATURES = "features"
MASK = "features_mask"


@dataclasses.dataclass(frozen=True)
class Signature:
    """A named entry point.

    Args:
        name: What a client calls.
        compute: Function from tensors, in the order of `specs`, to a dict of tensors.
        specs: List of `tf.TensorSpec`, with names and a free batch size.
    """

    name: str
    compute: Callable
    specs: list

    def function(self, batch_size=None):
        """Return a `tf.function`, for batches of any size or of one size."""
        specs = [tf.TensorSpec((batch_size, *spec.shape[1:]), spec.dtype, spec.name) for spec in self.specs]
        return tf.function(self.compute, input_signature=specs, autograph=False)


def on_inputs(model, tasks, answer):
    """Return the signature for all tasks and one per task, which computes that task's part alone.

    Args:
        model: Functional `keras.Model` with a dict of logits, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`.
        answer: Function from a task and its logits to a dict of tensors.

    Returns:
        List of `Signature`.

    Raises:
        ValueError: If an input has a name that a signature cannot have.
    """
    check_input_names(model)
    wanted = [(DEFAULT, tasks), *((task.name, [task]) for task in tasks)]
    return [Signature(name, predictor(model, some, answer), _specs(model)) for name, some in wanted]


def on_features(model, tasks, answer):
    """Return the signature `features` and, per task, `{task}_from_features`.

    Together they compute what the tasks' own signatures do, the shared part once. Where the tasks need the
    mask of the representation too, `features` answers it as `features_mask`, and they all take it.

    Args:
        model: As for `on_inputs`.
        tasks: As for `on_inputs`.
        answer: As for `on_inputs`.

    Returns:
        List of `Signature`; empty unless one tensor is all that the tasks share and all that they need.
    """
    cut = _cut(submodel(model, tasks), tasks)
    if not cut:
        return []
    trunk, heads = cut
    features = [tf.TensorSpec((None, *x.shape[1:]), _sent_type(x), name) for name, x in trunk.output.items()]
    return [
        Signature(FEATURES, _featurizer(trunk), _specs(model)),
        *(
            Signature(f"{task.name}_from_features", _head(head, task, answer), features)
            for task, head in zip(tasks, heads, strict=True)
        ),
    ]


def predictor(model, tasks, answer):
    """Return a function from the inputs of `model` to what `tasks` answer; arguments as for `on_inputs`."""
    part = submodel(model, tasks)

    def predict(*inputs):
        logits = part(_shaped(part, inputs), training=False)
        return _merged(answer(task, logits[task.name]) for task in tasks)

    return predict


def submodel(model, tasks):
    """Return the part of `model` that `tasks` need, with all inputs in a list."""
    outputs = {task.name: model.output[task.name] for task in tasks}
    return keras.Model(model.inputs, outputs, name=model.name)


def _shaped(model, inputs):
    """Return inputs in a list; those of one number per example may come as `[batch]` instead of `[batch, 1]`.

    In two steps, since TensorFlow drops a reshape to the shape that the signature tells.
    """
    return [
        ops.expand_dims(ops.reshape(x, (-1,)), axis=1) if wanted.shape == (None, 1) else x
        for wanted, x in zip(model.inputs, inputs, strict=True)
    ]


def predictions(task, logits):
    """Return activated logits, float32."""
    return ops.cast(task.activation(ops.cast(logits, "float32")), "float32")


def _merged(answers):
    return {name: tensor for answer in answers for name, tensor in answer.items()}


def _specs(model):
    return [tf.TensorSpec((None, *x.shape[1:]), x.dtype, x.name) for x in model.inputs]


def _cut(model, tasks):
    """Return a trunk with a dict of features and one head per task, or `None` if more joins them."""
    try:
        trunk, heads = representation.split(model, tasks)
    except ValueError:  # nothing is shared
        return None
    features, *inputs = heads.inputs
    besides = {id(x): x for output in heads.outputs for x in _besides(features, output)}
    masks = [x for x in besides.values() if x.dtype == "bool" and x.shape == features.shape[:-1]]
    if len(trunk.outputs) > 1 or len(masks) < len(besides) or len(masks) > 1:
        return None
    names = [FEATURES, MASK][: 1 + len(masks)]
    masking = keras.Model(inputs, masks)(model.inputs) if masks else []
    whole = keras.Model(model.inputs, dict(zip(names, [*trunk(model.inputs), *masking], strict=True)))
    return whole, [keras.Model([features, *masks], heads.output[task.name]) for task in tasks]


def _besides(features, output):
    """Return the tensors that join what is made of `features` on the way to `output`.

    They are not made of `features` themselves. An `output` that is not made of them either is all there is.
    """
    tensors, children = _past(output)
    made, waiting = {id(features)}, [features]
    while waiting:
        for child in children.get(id(waiting.pop()), ()):
            if id(child) not in made:
                made.add(id(child))
                waiting.append(child)
    if id(output) not in made:
        return [output]
    return [
        tensor
        for key, tensor in tensors.items()
        if key not in made and any(id(child) in made for child in children.get(key, ()))
    ]


def _past(output):
    """Return the tensors that `output` is made of, by their ids, and by the same ids their children."""
    tensors, children, waiting = {id(output): output}, {}, [output]
    while waiting:
        tensor = waiting.pop()
        operation, node, _ = tensor._keras_history
        for parent in operation._inbound_nodes[node].input_tensors:
            children.setdefault(id(parent), []).append(tensor)
            if id(parent) not in tensors:
                tensors[id(parent)] = parent
                waiting.append(parent)
    return tensors, children


def _featurizer(trunk):
    def compute_features(*inputs):
        features = trunk(_shaped(trunk, inputs), training=False)
        return {name: ops.cast(features[name], _sent_type(x)) for name, x in trunk.output.items()}

    return compute_features


def _sent_type(x):
    """Return the type in which features are sent: that of any client for numbers of half precision."""
    return "float32" if x.dtype in ("bfloat16", "float16") else x.dtype


def _head(head, task, answer):
    def predict_from_features(*features):
        return answer(task, head(list(features), training=False))

    return predict_from_features
