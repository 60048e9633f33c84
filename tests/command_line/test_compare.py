import pytest

from mtl_zoo import evaluation
from mtl_zoo.command_line import main as cli
from mtl_zoo.evaluation.grid import methods_of
from mtl_zoo.evaluation.leaderboard import Leaderboard
from mtl_zoo.experiments import Recipe
from tests.evaluation.harness import made_up
from tests.evaluation.test_study import DELTAS

DATA = "--dataset=breast_cancer"


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Return what `evaluation.compare` is called with; its results are made up."""
    calls = []

    def compare(recipes, run_dir, **options):
        calls.append((recipes, run_dir, options))
        return Leaderboard(made_up(tmp_path / "study", DELTAS))

    monkeypatch.setattr(evaluation, "compare", compare)
    return calls


def compare(*arguments):
    return cli.main(["compare", "--run_dir=study", *arguments])


def test_defaults(called, capsys):
    assert compare(DATA) == 0
    (recipes, run_dir, options) = called[0]
    assert (recipes, run_dir) == ([Recipe(dataset="breast_cancer")], "study")
    assert options == {
        "learning_rates": [3e-4, 1e-3, 3e-3],
        "seeds": [0, 1, 2],
        **{
            "tuning_seeds": 1,
            "tuned": {},
            "workers": 1,
            "baselines": True,
            "trade_off": None,
            "quiet": False,
        },
    }
    out = capsys.readouterr().out
    assert out.startswith("method ")
    assert "hard_sharing, uncertainty  0.52" in out
    assert "larger than chance" in out
    assert "Study directory: study" in out


def test_lists_become_a_product(called):
    flags = (
        "--architectures=hard_sharing,mmoe:num_experts=2",
        "--balancers=equal,dwa",
        "--refresh_every=1,8",
    )
    more = ("--aggregators=none,upgrad", "--spaces=shared,representation", "--epochs=3", "--seeds=4,5")
    tuned = ("--tune=batch_size=64,256", "--tune=schedule=constant,cosine", "--learning_rates=0.1")
    assert compare(DATA, *flags, *more, *tuned, "--nobaselines", "--workers=2", "--trade_off=a,b") == 0
    (recipes, _, options) = called[0]
    assert len(recipes) == 2 * (2 + 2 * 4)
    assert {recipe.epochs for recipe in recipes} == {3}
    assert {recipe.architecture for recipe in recipes} == {"hard_sharing", "mmoe:num_experts=2"}
    assert (options["seeds"], options["learning_rates"], options["workers"]) == ([4, 5], [0.1], 2)
    assert options["tuned"] == {"batch_size": (64, 256), "schedule": ("constant", "cosine")}
    assert (options["baselines"], options["trade_off"]) == (False, ["a", "b"])


def test_methods_are_no_product(called):
    assert compare(DATA, "--methods=uncertainty,pcgrad,uncertainty+pcgrad") == 0
    pairs = [(recipe.balancer, recipe.aggregator) for recipe in called[0][0]]
    assert pairs == [("uncertainty", "none"), ("equal", "pcgrad"), ("uncertainty", "pcgrad")]


def test_recipes_of_files(called, tmp_path):
    for name, balancer in (("b", "dwa"), ("a", "famo")):
        Recipe(dataset="breast_cancer", balancer=balancer).write(tmp_path / f"{name}.json")
    Recipe(dataset="breast_cancer", aggregator="mgda").write(tmp_path / "c.txt")
    assert compare(f"--recipes={tmp_path},{tmp_path / 'c.txt'}", "--data_dir=here") == 0
    recipes = called[0][0]
    assert [(x.balancer, x.aggregator) for x in recipes] == [
        *(("famo", "none"), ("dwa", "none"), ("equal", "mgda"))
    ]
    assert {recipe.data_dir for recipe in recipes} == {"here"}


def test_files_of_ones_own(called, tmp_path):
    rows = [f"{x},{x % 2},{x * 2}" for x in range(40)]
    (tmp_path / "people.csv").write_text("\n".join(["age,bought,spent", *rows]))
    tasks = ("--task=bought:binary", "--task=spent:regression")
    assert compare(f"--csv={tmp_path / 'people.csv'}", *tasks, "--balancers=equal,dwa") == 0
    recipes = called[0][0]
    assert [task.name for task in recipes[0].tasks()] == ["bought", "spent"]
    assert len(methods_of(recipes, made_up(tmp_path / "x", DELTAS).grid)) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--balancers=equal,famoo"], 2, "The balancer must be one of"),
        (["--methods=equal,famoo"], 2, "A method must be one of the balancers"),
        (["--methods=famo", "--aggregators=pcgrad"], 2, "--methods must come without"),
        (["--recipes=x", "--epochs=3"], 2, "--recipes must come without what it takes the place of"),
        (["--recipes=x", "--architectures=mmoe"], 2, "Received: --architectures"),
        (["--recipes=none.json"], 1, "must be a file"),
        (["--recipes=."], 1, "--recipes must name files"),
        (["--learning_rates=1e-3,x"], 2, "must be numbers"),
        (["--seeds=0.5"], 2, "must be whole numbers"),
        (["--spaces=x"], 2, "must be among"),
        (["--tune=batch_size"], 2, "must be field=value"),
        (["--tune=balancer=equal,dwa"], 2, "must be field=value"),
        (["--tune=batch_size=many"], 2, "must have numbers"),
        (["--learning_rate=1"], 2, "Unknown command line flag 'learning_rate'"),
        ([DATA, "--balancers=dwa:c=1"], 1, "This balancer takes temperature"),
        ([DATA, "--learning_rates=1e-3,1e-3"], 1, "each once"),
        ([DATA, "--learning_rates=-1"], 1, "`learning_rates` must hold finite numbers above 0"),
        ([DATA, "--tune=batch_size=0,8"], 1, "`batch_size` must be"),
        ([DATA, "--tune=batch_size=8,0"], 1, "`batch_size` must be"),
        ([DATA, "--tune=strategy=none,mirrored"], 1, "`tuned` must be one of"),
        ([DATA, "--seeds=0", "--tuning_seeds=2"], 1, "`tuning_seeds` must be at most 1"),
        ([DATA, "--trade_off=malignant_auc"], 1, "`trade_off` must name two of malignant_auc, worst_mean"),
        ([DATA, "--workers=100000"], 1, "`workers` must be at most"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_trained(
    tmp_path, monkeypatch, capsys, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    assert compare(*arguments) == code
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)
    assert not any(tmp_path.iterdir())
