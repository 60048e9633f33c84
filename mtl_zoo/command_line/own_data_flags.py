"""Flags for files of a user's own, and the choice of a dataset out of them."""

from absl import flags

from mtl_zoo.experiments import argument_text

TABLE = "csv"
IMAGES = ("images", "labels")
OPTIONS = ("ignore", "numbers", "categories", "missing", "split_column")  # of a table
OF_IMAGES = ("file_column", "image_size")


def define(options):
    """Define the flags."""
    table = "A table of your own, .csv, .parquet or .jsonl; with * several of the same columns."
    flags.DEFINE_string("csv", None, table, flag_values=options)
    flags.DEFINE_string("images", None, "Directory of images of your own.", flag_values=options)
    flags.DEFINE_string("labels", None, "The table of their labels.", flag_values=options)
    tasks = "name:kind or name:kind:key=value,...; of each column that is to be predicted."
    flags.DEFINE_multi_string("task", [], tasks, flag_values=options)
    flags.DEFINE_list("ignore", [], "Columns that are no features.", flag_values=options)
    flags.DEFINE_list("numbers", [], "Columns of features that are numbers.", flag_values=options)
    categories = "Columns of features that are categories, although they look like numbers."
    flags.DEFINE_list("categories", [], categories, flag_values=options)
    flags.DEFINE_list("missing", None, "What missing cells hold. Default: NA, null ...", flag_values=options)
    split = "Column that says train, validation or test. Default: 70%, 15% and 15% at random."
    flags.DEFINE_string("split_column", None, split, flag_values=options)
    flags.DEFINE_string("file_column", "file", "Column of the images' paths.", flag_values=options)
    size = "Pixels of a side to which images are resized."
    flags.DEFINE_integer("image_size", 64, size, 1, 10_000, flag_values=options)


def dataset_of(options, needs_tasks=True):
    """Return the text of the choice of a dataset, or `None` if the flags name no files.

    Args:
        options: `absl.flags.FlagValues`.
        needs_tasks: Whether `--task` must be given. Defaults to `True`.

    Raises:
        flags.Error: If flags are missing, or are not for such files.
    """
    given = {name for name in (TABLE, *IMAGES, "task", *OPTIONS, *OF_IMAGES) if options[name].present}
    if not given:
        return None
    _check_together(options, given)
    if needs_tasks and not options.task:
        source = f"csv={options.csv}" if options.csv else f"csv={options.labels}"
        raise flags.Error(
            "--task must say what is to be predicted, such as --task=bought:binary; "
            f"`mtl-zoo inspect --{source}` shows the columns."
        )
    return _text_of(options)


def _check_together(options, given):
    """Raise an error unless the flags are those of a table, or those of images."""
    if "dataset" in options and options["dataset"].present:
        raise flags.Error(f"--dataset must not come with files of your own. Received: {_names(given)}")
    if not options.csv and not (options.images and options.labels):
        needed = "--csv, or with --images and --labels"
        raise flags.Error(f"Files of your own must come with {needed}. Received: {_names(given)}")
    wrong = given & ({*IMAGES, *OF_IMAGES} if options.csv else {"ignore", "numbers", "categories"})
    if wrong:
        kind = "a table" if options.csv else "images"
        raise flags.Error(f"Flags must be those for {kind}. Received: {_names(wrong)}")


def _text_of(options):
    common = {"tasks": options.task}
    common |= {name: options[name].value for name in ("missing", "split_column") if options[name].present}
    if options.csv:
        lists = {name: options[name].value for name in ("ignore", "numbers", "categories")}
        chosen = {name: value for name, value in lists.items() if value}
        return f"csv_file:{argument_text.write({'path': options.csv} | common | chosen)}"
    size = (options.image_size, options.image_size)
    chosen = {"folder": options.images, "labels": options.labels, "file_column": options.file_column}
    return f"image_folder:{argument_text.write(chosen | {'size': size} | common)}"


def _names(given):
    return ", ".join(f"--{name}" for name in sorted(given))
