"""`mtl-zoo compare`: from lists of choices to a leaderboard."""

import pathlib

from absl import flags

from mtl_zoo.command_line import list_flags, own_data_flags, recipe_flags, tables
from mtl_zoo.command_line.common_flags import define_path, define_quiet
from mtl_zoo.experiments import argument_text
from mtl_zoo.experiments.recipe import FIELDS, LOCATIONS, Recipe
from mtl_zoo.options import SPACES

OWN = ("architecture", "balancer", "aggregator", "space", "refresh_every", "learning_rate", "seed")
COMMON = tuple(key for key in FIELDS if key not in OWN)  # one value for all methods
PRODUCT = ("architectures", "balancers", "aggregators", "methods", "spaces", "refresh_every")


def define(options):
    """Define the flags: lists of what is compared, and one value for all of what is not."""
    _define_lists(options)
    _define_numbers(options)
    text = "Another field to choose per method: --tune=batch_size=64,256. May be given several times."
    flags.DEFINE_multi_string("tune", [], text, flag_values=options)
    text = "Whether to add single-task models and equal weighting of each architecture."
    flags.DEFINE_bool("baselines", True, text, flag_values=options)
    text = "The two metrics of trade_off.png, such as left_accuracy,right_accuracy. Default: the first ones."
    flags.DEFINE_list("trade_off", None, text, flag_values=options)
    recipe_flags.define(options, COMMON)
    own_data_flags.define(options)
    define_quiet(options)
    define_path(options, "run_dir", "Directory to write: tables, pictures, and the runs in cells/.")


def compare(options):
    """Compare methods, each tuned alike: a table with intervals, pictures, and what is larger than chance."""
    from mtl_zoo import evaluation

    leaderboard = evaluation.compare(
        _recipes(options),
        options.run_dir,
        learning_rates=options.learning_rates,
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        tuned=dict(map(_tuned, options.tune)),
        workers=options.workers,
        baselines=options.baselines,
        trade_off=options.trade_off,
        quiet=options.quiet,
    )
    tables.print_table(leaderboard.rows())
    print("", *leaderboard.verdict(), sep="\n")
    for label, reason in leaderboard.study.failures().items():
        print(f"Left out: {label}: {reason}")
    print(f"\nStudy directory: {options.run_dir}: leaderboard.md, results.csv, recipes, pictures")


def _define_lists(options):
    for kind, default in (("architecture", "hard_sharing"), ("balancer", "equal"), ("aggregator", "none")):
        text = f"{kind.capitalize()}s with commas between them; all combinations are compared."
        flags.DEFINE(list_flags.ChoicesParser(kind), f"{kind}s", default, text, options)
    text = "Instead of --balancers and --aggregators: equal,uncertainty,pcgrad,uncertainty+pcgrad ..."
    flags.DEFINE(list_flags.MethodsParser(), "methods", None, text, options)
    flags.DEFINE_list("spaces", [SPACES[0]], "What aggregators see; see --space of train.", options)
    flags.register_validator("spaces", lambda x: {*x} <= {*SPACES}, f"must be among {SPACES}", options)
    text = "Instead of all these: JSON files of recipes, or directories of such files."
    flags.DEFINE_list("recipes", None, text, flag_values=options)


def _define_numbers(options):
    for name, kind, default, text in (
        ("refresh_every", int, "1", "Updates after which aggregators find new weights, a list too."),
        ("learning_rates", float, "3e-4,1e-3,3e-3", "Learning rates, of which each method gets its best."),
        ("seeds", int, "0,1,2", "Seeds; with one there are no intervals."),
    ):
        flags.DEFINE(list_flags.NumbersParser(kind), name, default, text, options)
    text = "Number of seeds, the first ones, that learning rates are chosen with."
    flags.DEFINE_integer("tuning_seeds", 1, text, 1, flag_values=options)
    flags.DEFINE_integer("workers", 1, "Number of processes at once.", 1, flag_values=options)


def _recipes(options):
    """Return the recipes that flags tell: those of files, or all combinations."""
    given = {name for name in options if options[name].present}
    if options.recipes:
        _refuse(given & ({*PRODUCT, *COMMON, "csv", "images"} - {*LOCATIONS}), "--recipes")
        found = [Recipe.read(path) for place in options.recipes for path in _files(place)]
        return [recipe_flags.located(recipe, options) for recipe in found]
    from mtl_zoo.evaluation.grid import product

    if options.methods:
        _refuse(given & {"balancers", "aggregators"}, "--methods")
    pairs = options.methods or [(x, y) for x in options.balancers for y in options.aggregators]
    recipe = recipe_flags.recipe_of(options, own_data_flags.dataset_of(options), COMMON)
    return product(recipe, options.architectures, pairs, options.spaces, options.refresh_every)


def _refuse(names, flag):
    if names:
        listed = ", ".join(f"--{name}" for name in sorted(names))
        raise flags.Error(f"{flag} must come without what it takes the place of. Received: {listed}")


def _files(place):
    """Return a file, or the JSON files in a directory."""
    path = pathlib.Path(place)
    found = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not found:
        raise ValueError(f"--recipes must name files, or directories with files *.json. Received: {place!r}")
    return found


def _tuned(text):
    """Return a field and its values out of `batch_size=64,256`."""
    name, equals, values = text.partition("=")
    if not equals or name not in COMMON:
        raise flags.Error(f"--tune must be field=value,value... of a recipe. Received: --tune={text}")
    kind = FIELDS[name].type
    try:
        return name, tuple((kind if kind in (int, float) else str)(x) for x in argument_text.split(values))
    except ValueError:
        raise flags.Error(f"--tune={name} must have numbers. Received: --tune={text}") from None
