"""`mtl-zoo export`: from a run or a Keras file to a SavedModel, a LiteRT or an ONNX file."""

import math

from absl import flags

from mtl_zoo import files
from mtl_zoo.command_line.common_flags import define_path
from mtl_zoo.command_line.recipe_flags import define_locations
from mtl_zoo.experiments.recipe import LOCATIONS
from mtl_zoo.options import BATCH_SIZES, DEVICES
from mtl_zoo.options import LITERT_PRECISIONS as PRECISIONS

FORMATS = ("saved_model", "litert", "onnx")
FLAGS_OF_ALL_FORMATS = ("run_dir", "model", "task", "output", "format", *LOCATIONS)
OF_LITERT = ("precision", "representative")
NEEDED_BY = {
    "representative": "precision",
    "batch_sizes": "device",
    "image_scale": "image_bytes",
    "image_offset": "image_bytes",
}


def define(options):
    """Define the flags: of all formats, then of some."""
    flags.DEFINE_string("run_dir", None, "Directory of a finished run.", flag_values=options)
    file = "Or any Keras file (.keras) with a dict of logits, one output per task."
    flags.DEFINE_string("model", None, file, flag_values=options)
    tasks = "Of a --model: name:kind of an output, once per task."
    flags.DEFINE_multi_string("task", [], tasks, flag_values=options)
    define_path(options, "output", "What to write; must not exist. Servers expect a number.")
    formats = "saved_model: a directory; litert: a file *.tflite; onnx: a file *.onnx."
    flags.DEFINE_enum("format", FORMATS[0], FORMATS, formats, flag_values=options)
    precision = "Of a LiteRT file; int8 is calibrated on training examples."
    flags.DEFINE_enum("precision", PRECISIONS[0], PRECISIONS, precision, flag_values=options)
    examples = "Examples for int8 in their place: .npz file of arrays by input."
    flags.DEFINE_string("representative", None, examples, flag_values=options)
    names = "JSON file, {task: [names of its classes]}; these tasks also answer class ids and names."
    flags.DEFINE_string("class_names", None, names, flag_values=options)
    _define_raw_inputs(options)
    device = "Where it must run; for a TPU, XLA compiles it for fixed batch sizes."
    flags.DEFINE_enum("device", DEVICES[0], DEVICES, device, flag_values=options)
    sizes = list(map(str, BATCH_SIZES))
    _define_list(options, "batch_sizes", sizes, "Batch sizes for a TPU.", _are_integers, "integers")
    flags.DEFINE_bool("bfloat16", False, "Whether layers compute in bfloat16.", flag_values=options)
    warmup = "Whether to add warm-up requests for TensorFlow Serving, from the first test example."
    flags.DEFINE_bool("warmup", False, warmup, flag_values=options)
    define_locations(options)


def export(options):
    """Write a trained model as a TensorFlow SavedModel, or as a LiteRT or ONNX file."""
    from mtl_zoo import exporting
    from mtl_zoo.command_line import sources

    _check_source(options)
    _check_flags_of_format(options)
    source = sources.of_run(options) if options.run_dir else sources.of_file(options)
    if options.format == "saved_model":
        _export_saved_model(source, options)
    else:
        model, tasks, _, information, _ = source
        if options.format == "onnx":
            exporting.onnx(model, tasks, options.output, information)
        else:
            examples = sources.representative(options, source) if options.precision == "int8" else None
            exporting.litert(model, tasks, options.output, options.precision, examples, information)
    print("\n".join(exporting.describe(options.output)))


def _check_source(options):
    """Refuse flags that name no model, or two, or do not suit it."""
    if bool(options.run_dir) == bool(options.model):
        raise flags.Error("Either --run_dir or --model must be given.")
    if bool(options.model) != bool(options.task):
        raise flags.Error("--model must come with --task=name:kind of each output, and --task with --model.")
    wrong = [name for name in (*LOCATIONS, "warmup") if options.model and options[name].value]
    if wrong:
        raise flags.Error(f"--model has no data. Received: {', '.join(f'--{name}' for name in wrong)}")


def _define_raw_inputs(options):
    encoded = "Whether to add a signature that takes encoded images."
    flags.DEFINE_bool("image_bytes", False, encoded, flag_values=options)
    scale = "Factor of the pixels of encoded images, or one per channel."
    _define_list(options, "image_scale", [str(1 / 255)], scale, _are_numbers, "numbers")
    offset = "Summand of the scaled pixels, or one per channel."
    _define_list(options, "image_offset", ["0"], offset, _are_numbers, "numbers")
    serialized = "Whether to add a signature that takes serialized tf.train.Examples."
    flags.DEFINE_bool("example", False, serialized, flag_values=options)


def _define_list(options, name, default, text, are_right, kind):
    flags.DEFINE_list(name, default, text, flag_values=options)
    flags.register_validator(name, are_right, f"must be {kind}", options)


def _check_flags_of_format(options):
    """Refuse flags that the chosen format would ignore."""
    given = {name for name in options if options[name].present} - {*FLAGS_OF_ALL_FORMATS}
    wrong = {name for name in given if options.format != ("litert" if name in OF_LITERT else "saved_model")}
    if wrong:
        names = ", ".join(f"--{name}" for name in sorted(wrong))
        raise ValueError(f"Flags must suit --format={options.format}. Received: {names}")
    for name, needed in NEEDED_BY.items():
        if name in given and options[needed].value == options[needed].default:
            raise ValueError(f"--{name} must come with --{needed}, without which it has no effect.")


def _export_saved_model(source, options):
    from mtl_zoo import exporting

    pixels = exporting.Pixels(_numbers(options.image_scale), _numbers(options.image_offset))
    exporting.saved_model(
        source.model,
        source.tasks,
        options.output,
        class_names=_class_names(options.class_names) or _known_names(source, options),
        image_bytes=pixels if options.image_bytes else None,
        example=options.example,
        device=options.device,
        batch_sizes=[int(size) for size in options.batch_sizes],
        bfloat16=options.bfloat16,
        warmup=_first_inputs(source) if options.warmup else None,
        information=source.information,
    )


def _first_inputs(source):
    """Return the first test example as a batch of one, by the names of the inputs."""
    from mtl_zoo import exporting

    inputs, *_ = next(iter(source.load("test")))
    return {name: array[:1].numpy() for name, array in exporting.by_name(source.model, inputs).items()}


def _known_names(source, options):
    """Return the names of classes that the data tell; a TPU cannot look them up."""
    return source.class_names if options.device != "tpu" else {}


def _class_names(path):
    """Return the dictionary that a JSON file holds, or `None` without a file."""
    if not path:
        return None
    try:
        return files.read_json(path)
    except ValueError as error:
        raise ValueError(
            f"--class_names must be a JSON file, {{task: [names]}}. Received: {error}"
        ) from error


def _numbers(texts):
    """Return one float for all channels, or a tuple of one per channel."""
    numbers = tuple(float(text) for text in texts)
    return numbers if len(numbers) > 1 else numbers[0]


def _are_integers(texts):
    return all(text.isdecimal() for text in texts)


def _are_numbers(texts):
    try:
        return bool(texts) and all(math.isfinite(float(text)) for text in texts)
    except ValueError:
        return False
