import pytest
from absl import flags

from mtl_zoo.command_line.common_flags import define_path, define_quiet


def test_a_path_must_be_given_and_progress_is_shown():
    options = flags.FlagValues()
    define_path(options, "run_dir", "Directory.")
    define_quiet(options)
    options(["mtl-zoo", "--run_dir=a"])
    assert (options.run_dir, options.quiet) == ("a", False)
    with pytest.raises(flags.Error, match="--run_dir=: must be given"):
        options(["mtl-zoo", "--run_dir="])
