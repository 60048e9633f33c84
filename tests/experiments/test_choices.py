import pytest

from mtl_zoo import aggregators, architectures, balancers, datasets
from mtl_zoo.experiments.choices import FAMILIES, describe


@pytest.mark.parametrize("text", ["pcgrad", "PCGrad", "pc_grad", "PCGRAD:seed=1"])
def test_case_and_underscores_do_not_matter(text):
    assert FAMILIES["aggregator"].parse(text).target is aggregators.PCGrad


def test_every_family_finds_its_members():
    assert FAMILIES["dataset"].parse("multi_digits").target is datasets.multi_digits
    assert FAMILIES["architecture"].parse("hard_sharing").target is architectures.hard_sharing
    assert FAMILIES["balancer"].parse("dwa").target is balancers.DWA
    assert "balancer" not in FAMILIES["balancer"].members()
    assert not {"aggregator", "gramianaggregator"} & set(FAMILIES["aggregator"].members())


def test_none_is_no_aggregator():
    assert FAMILIES["aggregator"].parse("none").make() is None


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("soft_sharing", {}),
        ("soft_sharing:strength=0.01", {"strength": 0.01}),
        ("soft_sharing:penalty=l2, strength=1e-2", {"penalty": "l2", "strength": 0.01}),
        ("soft_sharing:penalty='a,b',strength=[[1, 2], [3]]", {"penalty": "a,b", "strength": [[1, 2], [3]]}),
    ],
)
def test_arguments(text, arguments):
    assert FAMILIES["architecture"].parse(text).arguments == arguments


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("aggregator", "pcgradd", "must be one of .*mgda, .*none, .*pcgrad, .*Received: 'pcgradd'"),
        ("aggregator", "", "must be one of"),
        ("aggregator", "pcgrad:c=1", "This aggregator takes seed=None. Received: 'pcgrad:c=1'"),
        ("aggregator", "pcgrad:dtype=float16", "takes seed=None"),
        ("aggregator", "none:c=1", "takes no arguments"),
        ("balancer", "static", "takes weights=<required>. Received: 'static'"),
        ("balancer", "dwa:2", "must be key=value"),
        ("balancer", "dwa:temperature=1,temperature=2", "every key once"),
        ("architecture", "soft_sharing:tasks=1", "takes penalty=l2, strength=0.001"),
        ("dataset", "multi_digits:split=test", "takes no arguments"),
    ],
)
def test_mistakes(kind, text, message):
    with pytest.raises(ValueError, match=message):
        FAMILIES[kind].parse(text)


def test_arguments_of_a_dataset_are_those_of_its_data_and_of_its_encoder():
    rows = {name: arguments for name, arguments, *_ in describe(FAMILIES["dataset"])}
    assert rows["movielens"] == "source=tfds"
    assert rows["conll2003"] == rows["treebank"] == "width=128,depth=2"
    assert rows["correlated_regression"] == "correlation=0.5,draw=0"


def test_make_passes_the_arguments():
    assert FAMILIES["balancer"].parse("dwa:temperature=3").make().temperature == 3


def test_make_names_the_choice_in_errors():
    with pytest.raises(ValueError, match="'dwa:temperature=-1': `temperature` must be positive"):
        FAMILIES["balancer"].parse("dwa:temperature=-1").make()


def test_describe_lists_arguments_papers_and_summary():
    rows = {name: rest for name, *rest in describe(FAMILIES["architecture"])}
    arguments, needs, papers, summary = rows["soft_sharing"]
    assert arguments == "penalty=l2,strength=0.001"
    assert needs == ""
    assert papers == "https://aclanthology.org/P15-2139 https://arxiv.org/abs/1606.04038"
    assert summary.startswith("Build a tower per task")


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_member_can_be_described(kind):
    assert all(summary for *_, summary in describe(FAMILIES[kind]))


def test_an_argument_may_be_a_choice_itself():
    wrapper = FAMILIES["aggregator"].parse("crmogm:aggregator=cagrad,decay=0.5").make()
    assert isinstance(wrapper, aggregators.CRMOGM)
    assert isinstance(wrapper.aggregator, aggregators.CAGrad)


@pytest.mark.parametrize(
    ("kind", "name", "needs"),
    [
        ("balancer", "dwa", "losses"),
        ("balancer", "famo", "losses, and those after the step"),
        ("balancer", "moml", "losses, and meta data"),
        ("aggregator", "mgda", "Gramian"),
        ("aggregator", "graddrop", "Jacobian"),
        ("aggregator", "modo", "Jacobian of 3 sub-batches"),
        ("aggregator", "moco", "Jacobian, state of its size"),
        ("architecture", "hard_sharing", ""),
    ],
)
def test_needs(kind, name, needs):
    assert {row[0]: row[2] for row in describe(FAMILIES[kind])}[name] == needs
