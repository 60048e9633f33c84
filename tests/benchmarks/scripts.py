"""Scripts of benchmarks/ as modules: many define the same flags, so they go when a script is done with."""

import contextlib
import importlib.util
import pathlib

from absl import flags

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"


@contextlib.contextmanager
def loaded(name, *arguments):
    """Load a script, with flags as on its command line, and take its flags away at the end."""
    others = set(flags.FLAGS)
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    script = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(script)
        flags.FLAGS([name, *arguments])
        yield script
    finally:
        for flag in set(flags.FLAGS) - others:
            delattr(flags.FLAGS, flag)
        flags.FLAGS.unparse_flags()
