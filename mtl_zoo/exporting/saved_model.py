"""TensorFlow SavedModel."""

import json
import pathlib
import tempfile

import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.exporting import classes, faults, raw_inputs, signatures
from mtl_zoo.exporting.compilable import check_compilable
from mtl_zoo.exporting.describe import read_signatures
from mtl_zoo.exporting.files import check_absent, staged, writing
from mtl_zoo.exporting.model_card import model_card, write_card
from mtl_zoo.exporting.precision import computing_in_bfloat16
from mtl_zoo.exporting.serving import write_warmup
from mtl_zoo.options import BATCH_SIZES, DEVICES
from mtl_zoo.validation import check_tasks


def saved_model(
    model,
    tasks,
    path,
    *,
    class_names=None,
    image_bytes=None,
    example=False,
    device="any",
    batch_sizes=BATCH_SIZES,
    bfloat16=False,
    warmup=None,
    information=None,
):
    """Write a TensorFlow SavedModel that turns inputs into predictions.

    It has the signature `serving_default`, which answers all tasks, and one signature per task, named like
    the task, which computes that task's part of the graph alone. Where one tensor is all that the tasks
    share, `features` computes it and `{task}_from_features` the rest, so that many heads can use one
    trunk. All of them share one copy of the weights and run in inference mode.

    Inputs carry the names of the model's `keras.Input`s, outputs those of the tasks. Predictions are
    activated logits (probabilities, for instance) in float32. The batch size is free. Every signature takes
    all inputs of the model, also where a task reads only some of them: a client changes the signature and
    nothing else, and a new version with another architecture takes the same requests.

    The artefact appears at `path` when it is complete, with `model_card.json`; an export that fails leaves
    nothing there.

    Args:
        model: Functional `keras.Model` with a dict of logits, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`. Outputs of the model that no task names are left out.
        path: Directory to write; it must not exist. TensorFlow Serving expects a number as the last part.
        class_names: Dictionary from names of tasks to lists of class names, which become assets. These
            tasks also answer `{task}_class_id` and `{task}_class_name`; with `None` in place of a list,
            the former alone. A binary task has two names, those of 0 and 1. Defaults to no names.
        image_bytes: `mtl_zoo.exporting.Pixels` for a signature `image_bytes` that takes encoded images.
            Defaults to `None`: no such signature.
        example: Whether to add a signature `example` that takes serialized `tf.train.Example`s; with
            `image_bytes` their image is an encoded one. Defaults to `False`.
        device: `"any"`, or `"tpu"` for signatures of fixed batch sizes, `serving_default_batch_8` for
            instance, each of which XLA has compiled to HLO without operations on the host. It has no
            signatures for encoded inputs and no class names.
        batch_sizes: Sequence of the batch sizes for `device="tpu"`. Defaults to `(1, 8, 64)`.
        bfloat16: Whether layers compute in bfloat16; variables and outputs stay float32. Defaults to
            `False`.
        warmup: Dictionary from names of inputs to arrays `[batch, ...]`, for the warm-up requests of
            `mtl_zoo.exporting.write_warmup`. Defaults to `None`: no requests.
        information: Dictionary to add to the model card, for instance `dataset`. Defaults to nothing.

    Raises:
        FileExistsError: If `path` exists.
        ValueError: If tasks and outputs of the model do not agree, signatures or outputs would have the same
            name, or a layer cannot be exported or, for a TPU, compiled.

    Example:
    ```python
    mz.exporting.saved_model(model, tasks, "exported/digits/1")
    loaded = tf.saved_model.load("exported/digits/1")
    probabilities = loaded.signatures["left"](image=images)["left"]
    ```
    """
    class_names = arguments.mapping("class_names", class_names)
    information = arguments.mapping("information", information)
    if image_bytes is not None:
        arguments.instance("image_bytes", image_bytes, raw_inputs.Pixels)
    if warmup is not None:
        arguments.mapping("warmup", warmup)
    example = arguments.flag("example", example)
    bfloat16 = arguments.flag("bfloat16", bfloat16)
    model = check_tasks(model, tasks, graph=True)
    classes.check_class_names(tasks, class_names)
    _check_device(device, batch_sizes, encoded=image_bytes or example, named=any(class_names.values()))
    check_absent(path)
    part = signatures.submodel(model, tasks)
    card = model_card(part, tasks, class_names, information)
    with tempfile.TemporaryDirectory() as assets, computing_in_bfloat16(part, bfloat16):
        module = resources(part)
        with writing(assets):
            module.name_tables = classes.name_tables(class_names, assets)
        answer = _answer(class_names, module.name_tables)
        found = _signatures(part, tasks, answer, image_bytes, example)
        module.preprocessing = _preprocessing(part, image_bytes, example, assets)
        functions = _functions(found, batch_sizes if device == "tpu" else [None])
        traced = _traced(functions, part, module)
        if device == "tpu":
            for name, function in functions.items():
                check_compilable(name, function, part)
        _write(module, traced, card, path, warmup)


def _check_device(device, batch_sizes, encoded, named):
    arguments.option("device", device, DEVICES)
    if device == "tpu" and encoded:
        raise ValueError(
            "With `device='tpu'` clients must decode images and examples, which a TPU cannot. "
            "Received: `image_bytes` or `example`"
        )
    if device == "tpu" and named:
        raise ValueError(
            "With `device='tpu'` clients must look up names of classes, which a TPU cannot. "
            "Received: `class_names` with names; `None` asks for class ids"
        )
    sizes = arguments.integers("batch_sizes", batch_sizes, 1, arguments.EXAMPLES)
    if not sizes or len(set(sizes)) < len(sizes):
        raise ValueError(f"`batch_sizes` must be different positive integers. Received: {batch_sizes}")


def _answer(class_names, tables):
    """Return the function from a task and its logits to the outputs of a signature."""

    def answer(task, logits):
        predictions = signatures.predictions(task, logits)
        outputs = {task.name: predictions}
        if task.name in class_names:
            outputs |= classes.class_outputs(task, predictions, tables.get(task.name))
        return outputs

    return answer


def _signatures(model, tasks, answer, image_bytes, example):
    found = [*signatures.on_inputs(model, tasks, answer), *signatures.on_features(model, tasks, answer)]
    if image_bytes:
        found.append(raw_inputs.on_image_bytes(model, tasks, answer, image_bytes))
    if example:
        found.append(raw_inputs.on_examples(model, tasks, answer, image_bytes))
    return found


def _functions(found, batch_sizes):
    """Return the functions of all signatures and batch sizes, by what a client calls."""
    return {
        signature.name if size is None else f"{signature.name}_batch_{size}": signature.function(size)
        for signature in found
        for size in batch_sizes
    }


def _traced(functions, model, module):
    """Return the functions as graphs, found to hold nothing that cannot be saved."""
    with faults.naming_layers():
        traced = {name: function.get_concrete_function() for name, function in functions.items()}
    for function in traced.values():
        faults.check_graph(function, model, module)
    return traced


def resources(model):
    """Return a module that owns the variables and lookup tables of `model`, each once."""
    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    known = {id(variable) for variable in module.variables_of_model}
    parts = tf.train.TrackableView(model).descendants()
    kinds = tf.saved_model.experimental.TrackableResource, tf.Variable
    module.others_of_model = [part for part in parts if isinstance(part, kinds) and id(part) not in known]
    return module


def _preprocessing(model, image_bytes, example, folder):
    """Return the asset that tells what the signatures for encoded inputs do, or `None` without them."""
    constants = {}
    if image_bytes:
        image = raw_inputs.image_input(model)
        constants["image_bytes"] = {
            "input": image.name,
            "shape": list(image.shape[1:]),
            "scale": image_bytes.scale,
            "offset": image_bytes.offset,
        }
    if example:
        features = raw_inputs.example_features(model, image_bytes)
        constants["example"] = {
            name: {"shape": [*(() if _is_fixed(x) else (None,)), *x.shape], "dtype": x.dtype.name}
            for name, x in features.items()
        }
    if not constants:
        return None
    path = pathlib.Path(folder, raw_inputs.PREPROCESSING)
    path.write_text(json.dumps(constants, indent=2) + "\n")
    return tf.saved_model.Asset(str(path))


def _is_fixed(feature):
    return isinstance(feature, tf.io.FixedLenFeature)


def _write(module, traced, card, path, warmup):
    with writing(path), staged(path) as partial:
        tf.saved_model.save(module, str(partial), traced)
        if warmup is not None:
            write_warmup(partial, warmup)
        write_card(partial, card | {"signatures": read_signatures(partial)})
