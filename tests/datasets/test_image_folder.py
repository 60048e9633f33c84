import itertools

import keras
import numpy as np
import pytest
from PIL import Image

import mtl_zoo as mz
from mtl_zoo.datasets import table
from mtl_zoo.datasets.image_folder import ImageFolder

TASKS = [mz.Task.classification("kind", 2), mz.Task.regression("weight"), mz.Task.multilabel("tag", 2)]
CLASSES = {"kind": ["cat", "dog"]}
HEADER = "file,kind,weight,tag_0,tag_1,note"
SPLITS = ("train", "validation", "test")


def write_labels(folder, lines):
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Write 40 images of one colour each, whose red is their number, and labels of which some are missing."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "deep").mkdir()
    lines = [HEADER]
    for index in range(40):
        name = f"deep/{index}.png" if index % 2 else f"{index}.png"
        pixels = np.full((10, 8, 3), (index, 100, 200 * (index % 2)), "uint8")
        keras.utils.save_img(folder / name, pixels, scale=False)
        kind = ["cat", "dog", ""][index % 3]
        lines.append(f"{name},{kind},{'' if index % 4 == 0 else index},{index % 2},,anything")
    return folder, write_labels(folder, lines)


@pytest.fixture
def data(place):
    return ImageFolder(*place, TASKS, size=(8, 8), classes=CLASSES)


@pytest.fixture
def warnings(monkeypatch):
    """Collect what is logged."""
    found = []
    monkeypatch.setattr(table.logging, "warning", lambda text, *values: found.append(text % values))
    return found


def examples(dataset):
    """Return all images and labels of a dataset."""
    batches = list(dataset.as_numpy_iterator())
    images = np.concatenate([image for image, _ in batches])
    return images, {name: np.concatenate([labels[name] for _, labels in batches]) for name in batches[0][1]}


def numbers(images):
    """Return the number of each image from its red."""
    return np.rint(images[:, 0, 0, 0] * 255).astype(int)


def load_one(folder, name, size):
    """Return the image in a file."""
    labels = write_labels(folder, ["file,y", f"{name},1"])
    data = ImageFolder(folder, labels, [mz.Task.binary("y")], size=size)
    return next(data.load("train", 1).as_numpy_iterator())[0][0]


def test_images_and_labels_by_hand(data):
    images, labels = examples(data.load("train", 9))
    index = numbers(images)
    assert images.shape == (28, 8, 8, 3)
    assert images.dtype == "float32"
    expected = np.stack([index / 255, np.full(28, 100 / 255), index % 2 * 200 / 255], axis=-1)
    np.testing.assert_allclose(images, np.broadcast_to(expected[:, None, None], images.shape), atol=1e-6)
    np.testing.assert_array_equal(labels["kind"], np.array([0, 1, -1])[index % 3])
    np.testing.assert_array_equal(labels["weight"], np.where(index % 4 == 0, np.nan, index))
    np.testing.assert_array_equal(labels["tag"], np.stack([index % 2, np.full(28, -1)], axis=-1))
    assert data.bad_rows == []


def test_resizing_is_bilinear(tmp_path):
    row = np.array([[[0, 0, 0], [255, 255, 255]]], "uint8")
    keras.utils.save_img(tmp_path / "a.png", row, scale=False)
    # The centres of 4 pixels lie at 0.25, 0.75, 1.25 and 1.75 of the row, those of 2 at 0.5 and 1.5.
    image = load_one(tmp_path, "a.png", (1, 4))
    np.testing.assert_allclose(image[0, :, 0], [0, 0.25, 0.75, 1], atol=1e-6)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.txt"])
def test_formats_are_those_of_the_contents(tmp_path, name):
    colour = (200, 100, 40)
    Image.new("RGB", (16, 16), colour).save(tmp_path / name, format="PNG" if name == "a.txt" else None)
    image = load_one(tmp_path, name, (4, 4))
    np.testing.assert_allclose(image, np.broadcast_to(np.array(colour) / 255, (4, 4, 3)), atol=0.02)


def test_first_picture_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(load_one(tmp_path, "a.gif", (1, 1)), [[[1, 0, 0]]])


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [("L", 51, [0.2, 0.2, 0.2]), ("RGBA", (255, 51, 0, 9), [1, 0.2, 0]), ("1", 1, [1, 1, 1])],
)
def test_grey_and_transparent_images(tmp_path, mode, colour, expected):
    Image.new(mode, (8, 8), colour).save(tmp_path / "a.png")
    np.testing.assert_allclose(load_one(tmp_path, "a.png", (1, 1))[0, 0], expected, atol=1e-6)


def test_every_image_is_in_one_split(data):
    found = {split: numbers(examples(data.load(split, 9))[0]).tolist() for split in SPLITS}
    assert {split: len(index) for split, index in found.items()} == data.SIZES
    assert data.SIZES == {"train": 28, "validation": 6, "test": 6}
    for first, second in itertools.combinations(found.values(), 2):
        assert set(first).isdisjoint(second)
    assert sorted(itertools.chain(*found.values())) == list(range(40))


def test_splits_and_orders_follow_from_their_seeds(place):
    def order(split_seed=0, seed=0):
        data = ImageFolder(*place, TASKS, size=(2, 2), classes=CLASSES, split_seed=split_seed)
        return numbers(examples(data.load("train", 9, seed=seed))[0]).tolist()

    assert order() == order()
    assert order(seed=1) != order()
    assert sorted(order(seed=1)) == sorted(order())
    assert sorted(order(split_seed=1)) != sorted(order())


def test_split_column_and_file_column(place, tmp_path):
    lines = ["y,picture,part", "1,0.png,test", "0,2.png,train", ",4.png,test", "1,6.png,validation"]
    labels = write_labels(tmp_path, lines)
    tasks = [mz.Task.binary("y")]
    data = ImageFolder(place[0], labels, tasks, file_column="picture", size=(2, 2), split_column="part")
    images, labels = examples(data.load("test", 1))
    assert numbers(images).tolist() == [0, 4]
    assert labels["y"].tolist() == [1, -1]


def test_missing_labels_train(data):
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    assert model.input.shape == (None, 8, 8, 3)
    trainer = mz.Trainer(model, data.TASKS)
    trainer.compile("adam")
    before = [variable.numpy() for variable in model.trainable_variables]
    history = trainer.fit(
        data.load("train", 7), validation_data=data.load("validation", 7), verbose=0
    ).history
    for task in TASKS:
        assert np.isfinite([history[f"{task.name}_loss"], history[f"val_{task.name}_loss"]]).all()
    assert all(np.any(old != new) for old, new in zip(before, model.trainable_variables, strict=True))


def test_bad_rows_are_skipped_and_reported_once(place, tmp_path, warnings):
    whole = (place[0] / "0.png").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    keras.utils.save_img(tmp_path / "noise.jpg", noise, scale=False)
    files = {
        "right.png": whole,
        "cut.png": whole[:-20],
        "cut.jpg": (tmp_path / "noise.jpg").read_bytes()[:1000],
        "text.png": b"no image",
        "empty.png": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.png").mkdir()
    names = ["cut.png", "cut.jpg", "text.png", "empty.png", "none.png", "folder.png", ""]
    lines = ["file,y", *(f"{name},1" for name in names), "right.png,2", *["right.png,1"] * 10]
    path = write_labels(tmp_path, lines)
    data = ImageFolder(tmp_path, path, [mz.Task.binary("y")], size=(4, 4))
    assert sum(data.SIZES.values()) == 10
    undecodable = "column 'file' must name a JPEG, PNG, GIF or BMP image. Received:"
    absent = f"column 'file' must name a file in '{tmp_path}'. Received:"
    assert data.bad_rows == [
        *(f"'{path}', row {row}: {undecodable} '{name}'" for row, name in enumerate(names[:4], start=2)),
        *(f"'{path}', row {row}: {absent} '{name}'" for row, name in enumerate(names[4:], start=6)),
        f"'{path}', row 9: column 'y' must be an integer from 0 to 1. Received: '2'",
    ]
    assert warnings == ["Skipped 8 of 18 rows: " + "; ".join(data.bad_rows[:3])]
    for split in SPLITS:
        assert numbers(examples(data.load(split, 3))[0]).tolist() == [0] * data.SIZES[split]


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["file,y", "none.png,1"], {}, r"1 of 1 are bad, the first is '.*labels.csv', row 2: column 'file'"),
        (["file,y", "labels.csv,1"], {}, r"row 2: column 'file' must name a JPEG, PNG, GIF or BMP image"),
        (["picture,y", "a.png,1"], {}, r"labels.csv' must have the columns \['file'\]"),
        (["file", "a.png"], {}, r"labels.csv' must have the columns \['y'\]"),
        (["file,y"], {}, "at least one row below"),
        (
            ["file,y", "a.png,1"],
            {"size": 64},
            "`size` must be a pair of a height and a width. Received: size=64",
        ),
        (["file,y", "a.png,1"], {"size": (0, 8)}, r"Received: size=\(0, 8\)"),
    ],
)
def test_what_cannot_be_used(tmp_path, lines, options, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder(tmp_path, write_labels(tmp_path, lines), [mz.Task.binary("y")], **options)


def test_no_folder_and_no_table(tmp_path):
    labels = write_labels(tmp_path, ["file,y"])
    with pytest.raises(NotADirectoryError, match=r"must be a directory of images. Received: '.*/none'"):
        ImageFolder(tmp_path / "none", labels, TASKS)
    with pytest.raises(FileNotFoundError, match=r"none.csv' must be a file that can be read"):
        ImageFolder(tmp_path, tmp_path / "none.csv", TASKS)


def test_an_image_that_is_damaged_later_is_an_error(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    labels = write_labels(tmp_path, ["file,y", "a.png,1"])
    data = ImageFolder(tmp_path, labels, [mz.Task.binary("y")])
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(Exception, match="Unknown image file format"):
        list(data.load("train", 1))


def test_missing_labels_and_what_was_decided(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "NA", format="PNG")  # a name, and no marker of a missing file
    keras.utils.save_img(tmp_path / "a.png", np.zeros((8, 8, 3)), scale=False)
    lines = ["file,kind,weight,tag_0,tag_1,note", "NA,cat,NA,true,0,x", "a.png,?,-1,,1,y", "a.png,dog,2,0,1,"]
    path = write_labels(tmp_path, lines)
    data = ImageFolder(tmp_path, path, TASKS, size=(4, 4), classes=CLASSES, missing={"weight": ["NA", "-1"]})
    assert data.bad_rows == []
    batches = [examples(data.load(split, 3))[1] for split, size in data.SIZES.items() if size]
    labels = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    assert sorted(labels["kind"]) == [-1, 0, 1]
    np.testing.assert_array_equal(np.sort(labels["weight"]), [2, np.nan, np.nan])
    assert sorted(labels["tag"].tolist()) == [[-1, 1], [0, 1], [1, 0]]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[1:] == [
        "  file: images",
        "  kind: labels of task 'kind', 1 missing",
        "  weight: labels of task 'weight', 2 missing",
        "  tag_0: labels of task 'tag', 1 missing",
        "  tag_1: labels of task 'tag'",
        "  note: not read",
    ]
