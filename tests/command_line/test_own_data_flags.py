import pytest
from absl import flags

from mtl_zoo.command_line import own_data_flags
from mtl_zoo.experiments import argument_text


def dataset_of(*arguments, **given):
    options = flags.FlagValues()
    own_data_flags.define(options)
    options(["mtl-zoo", *arguments])
    return own_data_flags.dataset_of(options, **given)


def test_no_flags_are_no_data():
    assert dataset_of() is None


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        (
            ["--csv=a,b=c.csv", "--task=x:binary", "--task=y:regression", "--ignore=id,name", "--missing=-1"],
            "csv_file",
            {
                "path": "a,b=c.csv",
                "tasks": ["x:binary", "y:regression"],
                "missing": ["-1"],
                "ignore": ["id", "name"],
            },
        ),
        (
            ["--images=d", "--labels=l.csv", "--task=x:binary", "--image_size=32", "--split_column=part"],
            "image_folder",
            {
                "folder": "d",
                "labels": "l.csv",
                "file_column": "file",
                "size": (32, 32),
                "tasks": ["x:binary"],
                "split_column": "part",
            },
        ),
    ],
)
def test_flags_are_a_choice_of_a_dataset(arguments, kind, expected):
    name, _, text = dataset_of(*arguments).partition(":")
    assert (name, argument_text.parse(text)) == (kind, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csv=a.csv"], "`mtl-zoo inspect --csv=a.csv` shows the columns"),
        (["--task=a:binary"], "must come with --csv, or with --images and --labels. Received: --task"),
        (["--images=a", "--task=a:binary"], "Received: --images, --task"),
        (["--csv=a.csv", "--labels=b.csv", "--task=a:binary"], "those for a table. Received: --labels"),
        (["--csv=a.csv", "--image_size=3", "--task=a:binary"], "those for a table. Received: --image_size"),
        (["--images=a", "--labels=b", "--numbers=c", "--task=a:binary"], "for images. Received: --numbers"),
    ],
)
def test_flags_that_do_not_belong_together(arguments, message):
    with pytest.raises(flags.Error, match=message):
        dataset_of(*arguments)


def test_a_table_may_be_looked_at_without_tasks():
    assert dataset_of("--csv=a.csv", needs_tasks=False) == "csv_file:path='a.csv',tasks=[]"
