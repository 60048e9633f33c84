"""Flags that several commands have."""

from absl import flags


def define_path(options, name, text):
    """Define a flag of a path that must be given."""
    flags.DEFINE_string(name, None, text, flag_values=options)
    flags.register_validator(name, bool, "must be given", options)


def define_quiet(options):
    """Define the flag that hides progress."""
    flags.DEFINE_bool("quiet", False, "Whether to hide progress.", flag_values=options)
