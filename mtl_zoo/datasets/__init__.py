"""Datasets: modules with `TASKS`, `load(split, batch_size, ...)`, `inputs()` and `encoder()`."""

from mtl_zoo.datasets import census_income as census_income
from mtl_zoo.datasets import multi_digits as multi_digits
