"""`mtl-zoo inspect`: what is in a table, before anything is trained on it."""

from absl import flags

from mtl_zoo.command_line import own_data_flags, tables

HEADER = ("column", "taken for", "missing", "values", "kinds of a task")
SHOWN = 10  # rows that are not right


def define(options):
    """Define the flags."""
    own_data_flags.define(options)


def inspect_table(options):
    """Show columns, types, missing cells, classes and wrong rows of a table of your own."""
    from mtl_zoo.datasets import image_folder
    from mtl_zoo.datasets.inspection import inspect_columns
    from mtl_zoo.datasets.labelled_table import read_splits
    from mtl_zoo.datasets.table import Table
    from mtl_zoo.experiments.task_text import TaskText

    if own_data_flags.dataset_of(options, needs_tasks=False) is None:
        raise flags.Error("--csv must be given, or --images and --labels.")
    table = Table(options.csv or options.labels, options.missing)
    texts = [TaskText.parse(text).settled(table) for text in options.task]
    roles = dict.fromkeys(options.ignore, "ignored")
    if options.split_column:
        read_splits(table, options.split_column)
        roles |= {options.split_column: "splits"}
    if options.images:
        image_folder.read_paths(table, options.images, _file_column(table, options))
        roles |= {options.file_column: "images"}
    rows = inspect_columns(
        table,
        [text.task() for text in texts],
        {text.column: text.classes for text in texts if text.classes is not None},
        roles,
        options.categories,
        options.numbers,
    )
    _print(table, rows)


def _file_column(table, options):
    table.check_columns([options.file_column])
    return options.file_column


def _print(table, rows):
    print(f"'{table.path}': {len(table.good())} rows, and {len(table.bad)} that are not right")
    tables.print_table([HEADER, *rows])
    for row, reason in sorted(table.bad.items())[:SHOWN]:
        print(f"row {row}: {reason}")
