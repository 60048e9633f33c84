"""A folder of images of a user's own, with a table of labels."""

import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.datasets.labelled_table import LabelledTable
from mtl_zoo.datasets.table import Table
from mtl_zoo.encoders import convnet, mlp


class ImageFolder(LabelledTable):
    r"""Images and a table of labels, used like a dataset module: `TASKS`, `load`, `inputs`, `encoder`.

    The first row of the table names its columns. One column names the files of the images, the labels of a
    task are in the column with its name; with `n > 1` values per example, in `name_0` to `name_{n-1}`. A
    label is missing where the cell is empty or holds one of the usual markers, such as `NA`. Other columns
    are not read; the first `load` prints to stderr, once, what each column was taken for.

    Every image is decoded once at the beginning, so that a damaged one does not end a training: a row that is
    not right, or whose image is not, is skipped, counted and reported by one warning. Images are read from
    their files in every epoch.

    Args:
        folder: Directory of the images.
        labels: Path of a CSV file in UTF-8: commas between the cells, and double quotes around a cell that
            holds commas, quotes or line ends.
        tasks: Sequence of `Task` with one class or a fixed number of values per example.
        file_column: Name of the column of the images' paths, relative to `folder`. Defaults to `"file"`.
        size: Height and width to which images are resized, whatever their proportions. Defaults to
            `(64, 64)`.
        classes: Optional dictionary from the names of tasks to the words in the cells that stand for classes
            0, 1 and so on. Defaults to `None`: labels of classes are integers from 0.
        split_column: Name of the column that says `train`, `validation` or `test`. Defaults to `None`: 70% of
            the rows are for training and 15% each for validation and test.
        split_seed: Seed of the permutation of the rows before they are split so. Defaults to 0.
        missing: Strings that mark a missing label in any column, or a dictionary from names of columns to
            such strings. Defaults to `None`: those of pandas (`NA`, `NaN`, `null`, `None` ...) and `?`.

    Attributes:
        TASKS: Tuple of the tasks.
        SIZES: Dictionary from the names of splits to the numbers of their examples.
        bad_rows: List of one string per skipped row: file, row and reason. The number of a row is that of the
            line where it begins; the names of the columns are in row 1.

    Raises:
        ValueError: If the table is empty or not UTF-8, a column is missing or has no name of its own, tasks
            or classes do not fit a table, most labels are words and their task has no classes, the size is no
            size, more than half of the rows are bad, or no row is left.
        OSError: If the table cannot be read, or the folder is none.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), "uint8")
    ...     keras.utils.save_img(pathlib.Path(folder, "a.png"), pixels)
    ...     path = pathlib.Path(folder, "labels.csv")
    ...     _ = path.write_text("file,kind,weight\n" + "a.png,cat,3.5\na.png,dog,\n" * 10)
    ...     tasks = [mz.Task.classification("kind", 2), mz.Task.regression("weight")]
    ...     data = ImageFolder(folder, path, tasks, size=(16, 16), classes={"kind": ["cat", "dog"]})
    ...     model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    ...     trainer = mz.Trainer(model, data.TASKS)
    ...     trainer.compile("adam")
    ...     history = trainer.fit(data.load("train", batch_size=7), verbose=0)
    >>> data.SIZES
    {'train': 14, 'validation': 3, 'test': 3}

    Note:
        What TensorFlow decodes: JPEG, PNG, the first picture of a GIF, and BMP of 24 bits per pixel.
        Transparency and the orientation that a camera notes beside the pixels are left out.
    """

    def __init__(
        self,
        folder,
        labels,
        tasks,
        file_column="file",
        size=(64, 64),
        classes=None,
        split_column=None,
        split_seed=0,
        missing=None,
    ):
        arguments.path("folder", folder)
        arguments.text("file_column", file_column)
        self._size = arguments.size("size", size)
        if not pathlib.Path(folder).is_dir():
            raise NotADirectoryError(f"`folder` must be a directory of images. Received: '{folder}'")

        def read_inputs(table):
            table.check_columns([file_column])
            return read_paths(table, folder, file_column), {file_column: "images"}

        super().__init__(Table(labels, missing), tasks, classes, split_column, split_seed, read_inputs)

    def inputs(self):
        """Return a fresh input, `[batch, height, width, 3]`."""
        return keras.Input((*self._size, 3), name="image")

    def encoder(self):
        """Return stages for small images: two convolutional ones and a dense one.

        Any stages that take images may be in its place, such as `mz.encoders.resnet` or
        `mz.encoders.pretrained` for larger ones.
        """
        return [*convnet(32, 64), *mlp(128)]

    def _decode(self, example):
        """Replace the path of an example by its image."""
        return example | {"inputs": decode(example["inputs"], self._size)}


def decode(path, size):
    """Return the image in a file, float32 `[*size, 3]` in `[0, 1]`."""
    return tf.ensure_shape(tf.image.resize(_pixels(path), size), (*size, 3)) / 255.0


def read_paths(table, folder, file_column):
    """Return an array of the images' paths, and reject the rows without an image that can be decoded."""

    def find(cell):
        path = os.path.join(folder, cell)
        if not os.path.isfile(path):
            raise ValueError(f"must name a file in '{folder}'. Received: {cell!r}")
        return path

    paths = np.array(table.parse(file_column, find, ""), dtype=object)
    good = table.good()
    for index in good[~_decodable(paths[good])]:
        cell = table.columns[file_column][index]
        table.reject(
            index, f"column '{file_column}' must name a JPEG, PNG, GIF or BMP image. Received: {cell!r}"
        )
    return paths


def _decodable(paths):
    """Return which files can be decoded, a boolean array, from decoding them all in parallel."""
    numbered = tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), tf.constant(paths, tf.string)))
    decoded = numbered.map(lambda index, path: (index, tf.shape(_pixels(path))), tf.data.AUTOTUNE)
    right = np.zeros(len(paths), bool)
    right[[index for index, _ in decoded.ignore_errors().as_numpy_iterator()]] = True
    return right


def _pixels(path):
    """Return the image in a file, uint8 `[height, width, 3]`."""
    return tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
