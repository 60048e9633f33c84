"""`mtl-zoo list`: what there is to choose from."""

from mtl_zoo.command_line import tables
from mtl_zoo.command_line.recipe_flags import define_locations


def define(options):
    """Define the flags, which all commands have."""
    define_locations(options)


def list_choices(options):
    """List all that a training can choose from, with arguments and papers."""
    from mtl_zoo.experiments import choices

    del options
    for family in choices.FAMILIES.values():
        print(f"--{family.kind}=")
        tables.print_table([("  " + name, *rest) for name, *rest in choices.describe(family)])
