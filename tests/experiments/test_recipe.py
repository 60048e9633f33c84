from absl import flags

from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import recipe


def test_what_is_chosen_by_default_is_of_the_right_kinds():
    options = flags.FlagValues()
    cli.COMMANDS["train"][1](options)
    options(["mtl-zoo train", "--run_dir=x"])
    wrong = {name for name, kind in recipe.KINDS.items() if not kind.holds(options[name].value)}
    assert not wrong
    assert not any(kind.optional for kind in recipe.KINDS.values())
