"""Datasets: modules with `TASKS`, `load(split, batch_size, ...)`, `inputs()` and `encoder()`.

Every module also says what it is: `FIELD`, `SIZES` (examples by split), `LICENSE`, and `DOWNLOAD`: what is
downloaded, or the package that must be installed, since it carries the data; empty where neither is. What all
`load` functions share:

Args:
    split: `"train"` (reshuffled every epoch), `"validation"` or `"test"`.
    batch_size: Number of examples in a batch, at least 1.
    data_dir: Directory of prepared datasets. Defaults to that of TFDS; the first call prepares the dataset.
    seed: Seed of the order of training examples; the splits are always the same. Defaults to 0.
    drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.

Raises:
    ValueError: If there is no such split, or the batch size is below 1.
    OSError: If the dataset cannot be prepared, or the package that carries it is not installed.
"""

from mtl_zoo.datasets import actg175 as actg175
from mtl_zoo.datasets import breast_cancer as breast_cancer
from mtl_zoo.datasets import celeb_a as celeb_a
from mtl_zoo.datasets import census_income as census_income
from mtl_zoo.datasets import cifar100 as cifar100
from mtl_zoo.datasets import conll2003 as conll2003
from mtl_zoo.datasets import correlated_regression as correlated_regression
from mtl_zoo.datasets import diabetic_retinopathy as diabetic_retinopathy
from mtl_zoo.datasets import movielens as movielens
from mtl_zoo.datasets import multi_digits as multi_digits
from mtl_zoo.datasets import multi_mnist as multi_mnist
from mtl_zoo.datasets import nyu_depth_v2 as nyu_depth_v2
from mtl_zoo.datasets import oxford_iiit_pet as oxford_iiit_pet
from mtl_zoo.datasets import qm9 as qm9
from mtl_zoo.datasets import scaled_regression as scaled_regression
from mtl_zoo.datasets import shape_scenes as shape_scenes
from mtl_zoo.datasets import spoken_digit as spoken_digit
from mtl_zoo.datasets import treebank as treebank
from mtl_zoo.datasets import vowel as vowel
from mtl_zoo.datasets import yeast as yeast
from mtl_zoo.datasets.augmentation import augment as augment
from mtl_zoo.datasets.csv_file import CSVFile as CSVFile
from mtl_zoo.datasets.image_folder import ImageFolder as ImageFolder
from mtl_zoo.datasets.interleave import interleave as interleave
