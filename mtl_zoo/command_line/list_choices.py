"""`mtl-zoo list`: what there is to choose from."""

from mtl_zoo.command_line import tables
from mtl_zoo.command_line.recipe_flags import define_locations

STARTS = (  # what suits which situation, as the probe of `mtl-zoo compare` tells it, and why
    ("any tasks", "--architecture=hard_sharing, learning rate tuned", "what all else must beat"),
    ("gradients of unequal length", "--balancer=famo or uncertainty", "one backward pass, as without"),
    ("gradients in conflict", "--aggregator=upgrad or pcgrad", "opposes no task; a backward pass per task"),
    (
        "many tasks or a large trunk",
        "--space=representation or --refresh_every=8",
        "aggregators at less cost",
    ),
    ("tasks that need layers of their own", "--architecture=cross_stitch or mmoe", "more parameters, slower"),
    (
        "your data",
        "mtl-zoo compare --methods=equal,uncertainty,upgrad",
        "tunes all alike, names chance",
    ),
)


def define(options):
    """Define the flags, which all commands have."""
    define_locations(options)


def list_choices(options):
    """List all that a training can choose from, with arguments and papers, and where to start."""
    from mtl_zoo.experiments import choices

    del options
    for family in choices.FAMILIES.values():
        print(f"--{family.kind}=")
        tables.print_table([("  " + name, *rest) for name, *rest in choices.describe(family)])
    print("Where to start:")
    tables.print_table([("  " + situation, *rest) for situation, *rest in STARTS])
