"""Flags that are fields of a recipe, and a recipe out of flags."""

import dataclasses
import functools

from absl import flags

from mtl_zoo import arguments
from mtl_zoo.experiments import Recipe
from mtl_zoo.experiments.names import check_name
from mtl_zoo.experiments.recipe import FIELDS, LOCATIONS


class ChoiceParser(flags.ArgumentParser):
    """Checks the name in a flag of the form `name:key=value,...`; its value stays the text.

    Args:
        kind: Kind of what is chosen, as `mtl_zoo.experiments.choices.FAMILIES` has it.
    """

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def parse(self, argument):
        """Return the argument if there is a member of that name."""
        check_name(self.kind, argument)
        return argument


def define(options, keys=tuple(FIELDS)):
    """Define a flag per field, of its type, with its default and its help text.

    Args:
        options: `absl.flags.FlagValues`.
        keys: Names of the fields as flags have them. Defaults to all.
    """
    for key in keys:
        field = FIELDS[key]
        kind = next((kind for kind in ("family", "among") if kind in field.metadata), field.type)
        DEFINERS[kind](options, key, field.default, **field.metadata)


def define_locations(options):
    """Define the flags that tell where the data are."""
    define(options, LOCATIONS)


def define_file(options):
    """Define the flag of a recipe that others start from."""
    text = "JSON file of a recipe, such as a run's config.json; flags beside it replace its values."
    flags.DEFINE_string("recipe", None, text, flag_values=options)


def define_count(options, name, default, text, most, least=1, **_):
    """Define a flag of an integer within bounds."""
    flags.DEFINE_integer(name, default, text, least, flag_values=options)
    flags.register_validator(name, lambda number: number <= most, f"must be at most {most:,}", options)


def recipe_of(options, dataset=None, keys=tuple(FIELDS)):
    """Return the recipe that flags tell.

    Args:
        options: `absl.flags.FlagValues`.
        dataset: Choice that takes the place of that of the flags. Defaults to none.
        keys: Names of the fields that have flags. Defaults to all.

    Raises:
        OSError: If the file of `--recipe` cannot be read.
        ValueError: If it is no recipe.
    """
    path = options["recipe"].value if "recipe" in options else None
    chosen = {FIELDS[key].name: options[key].value for key in keys if not path or options[key].present}
    chosen |= {"dataset": dataset} if dataset else {}
    return dataclasses.replace(Recipe.read(path), **chosen) if path else Recipe(**chosen)


def located(recipe, options):
    """Return a recipe with the places of data that flags tell, where they tell any."""
    return dataclasses.replace(recipe, **{key: options[key].value for key in LOCATIONS if options[key].value})


def _define_choice(options, name, default, text, family, **_):
    flags.DEFINE(ChoiceParser(family), name, default, text, options)
    check = functools.partial(_is_choice, family, default)
    flags.register_validator(name, check, flag_values=options)


def _is_choice(kind, default, text):
    """Check a choice whole, which takes TensorFlow, once all flags are known."""
    if text == default:
        return True
    from mtl_zoo.experiments.choices import FAMILIES

    try:
        return bool(FAMILIES[kind].parse(text))
    except ValueError as error:
        raise flags.ValidationError(str(error)) from error


def _define_option(options, name, default, text, among, **_):
    flags.DEFINE_enum(name, default, among, text, flag_values=options)


def _define_number(options, name, default, text, **_):
    flags.DEFINE_float(name, default, text, flag_values=options)
    flags.register_validator(name, _is_positive, "must be positive and finite", options)


def _define_bool(options, name, default, text, **_):
    flags.DEFINE_bool(name, default, text, flag_values=options)


def _define_texts(options, name, default, text, **_):
    flags.DEFINE_list(name, default, text, flag_values=options)


def _define_place(options, name, default, text, **_):
    flags.DEFINE_string(name, default, text, flag_values=options)


def _is_positive(number):
    return 0 < number <= arguments.LARGEST


DEFINERS = {
    "family": _define_choice,
    "among": _define_option,
    int: define_count,
    float: _define_number,
    bool: _define_bool,
    tuple | None: _define_texts,
    str | None: _define_place,
}
