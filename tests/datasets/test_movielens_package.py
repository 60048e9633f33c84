import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tensorflow_datasets.structured import movielens_parsing

from mtl_zoo.command_line import main as cli
from mtl_zoo.datasets import _movielens_package, movielens
from tests.datasets.harness import SPLITS, mock, only_batch, pretend, real

SMALL = {"train": 12, "validation": 4, "test": 4}
OCCUPATIONS = sorted(_movielens_package.OCCUPATIONS)
USERS = [
    {"user_id": 3 * i + 1, "age": 7 + 3 * i, "gender": "FM"[i % 2], "occupation": word, "zip_code": "0123"}
    for i, word in enumerate(OCCUPATIONS)
]
RATINGS = [
    {"user_id": USERS[i]["user_id"], "movie_id": 100 + i % 5, "rating": 1 + i % 5, "timestamp": 881250949 + i}
    for i in range(20)
]


def write(folder):
    for name, rows in (("data", RATINGS), ("users", USERS)):
        path = folder / f"MovieLens100k_{name}.parquet.brotli"
        parquet.write_table(pa.Table.from_pylist(rows), path, compression="brotli")


@pytest.fixture
def small(tmp_path, monkeypatch):
    write(tmp_path)
    pretend(monkeypatch, tmp_path)
    monkeypatch.setattr(movielens, "SIZES", SMALL)


def test_features_are_those_of_tfds(small, tmp_path):
    """TFDS reads the same ratings from files as GroupLens publishes them."""
    for name, rows, separator in (("u.data", RATINGS, "\t"), ("u.user", USERS, "|")):
        (tmp_path / name).write_text("".join(separator.join(map(str, row.values())) + "\n" for row in rows))
    movies = [f"{100 + i}|Movie|01-Jan-1995||none|" + "|".join("0" * 19) for i in range(5)]
    (tmp_path / "u.item").write_text("\n".join(movies) + "\n")
    wanted = [row for _, row in movielens_parsing.parse_100k_ratings_data(str(tmp_path))]
    with mock():
        features = movielens.pipeline.from_catalogue("movielens/100k-ratings").info.features
    found = _movielens_package.read()
    for name in ("user_id", "movie_id", "user_gender", "bucketized_user_age"):
        assert found[name].tolist() == [row[name] for row in wanted]
    assert found["user_rating"].tolist() == [float(row["user_rating"]) for row in wanted]
    occupation = features["user_occupation_label"]
    assert found["user_occupation_label"].tolist() == [
        occupation.str2int(row["user_occupation_label"]) for row in wanted
    ]


def test_splits_hold_every_rating_once(small):
    found = [only_batch(movielens, split, batch_size=20, source="package") for split in SPLITS]
    assert [len(labels["rating"]) for _, labels in found] == list(SMALL.values())
    users = np.concatenate([x["user_id"][:, 0] for x, _ in found]).astype(int)
    assert sorted(users) == sorted(row["user_id"] for row in RATINGS)
    stars = np.concatenate([labels["rating"] for _, labels in found])
    np.testing.assert_array_equal(stars, 1 + (users - 1) // 3 % 5)
    np.testing.assert_array_equal(np.concatenate([labels["like"] for _, labels in found]), stars >= 4)


def test_the_source_is_known():
    with pytest.raises(ValueError, match="`source` must be one of"):
        movielens.load("train", 4, source="kaggle")


def test_trains_through_the_command_line_without_tfds(small, no_network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(movielens.pipeline, "from_catalogue", None)
    flags = (
        "--dataset=movielens:source=package",
        "--epochs=1",
        "--batch_size=4",
        f"--run_dir={tmp_path / 'run'}",
    )
    assert cli.main(["train", "--quiet", *flags]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:3]] == ["rating", "like"]


@pytest.fixture(scope="module")
def published():
    """Return users, movies and stars of all ratings; the first two numbered from 0."""
    for file in (_movielens_package.RATINGS, _movielens_package.USERS):
        real(*_movielens_package.PACKAGE, *file)
    found = _movielens_package.read()
    users, movies = (np.unique(found[name], return_inverse=True)[1] for name in ("user_id", "movie_id"))
    return users, movies, found["user_rating"].astype("float64")


def test_the_files_are_the_published_ones(published):
    users, movies, stars = published
    assert (len(stars), users.max() + 1, movies.max() + 1) == (100_000, 943, 1682)
    assert np.bincount(stars.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert np.bincount(users).min() == 20


def test_biases_make_the_published_error(published):
    """The table that Surprise's README has: RMSE 0.944 of `BaselineOnly` in five-fold cross-validation."""
    fold = np.random.RandomState(0).permutation(100_000) % 5
    errors = [rmse(published, fold == number, fit_biases) for number in range(5)]
    assert round(np.mean(errors), 3) == 0.944


def test_matrix_factorization_makes_the_published_error(published):
    """The same table: RMSE 0.934 of `SVD`, of 100 factors; here by small batches, on one fifth alone."""
    held_out = np.random.RandomState(0).permutation(100_000) < 20_000
    assert abs(rmse(published, held_out, fit_factors) - 0.934) < 0.003


def rmse(ratings, held_out, fit):
    predict = fit(*(column[~held_out] for column in ratings))
    users, movies, stars = (column[held_out] for column in ratings)
    return np.sqrt(np.mean((np.clip(predict(users, movies), 1, 5) - stars) ** 2))


def fit_biases(users, movies, stars, epochs=10):
    """Alternate ridge regressions of the biases of movies (penalty 10) and users (penalty 15)."""
    mean, of_user, of_movie = stars.mean(), np.zeros(943), np.zeros(1682)
    for _ in range(epochs):
        rest = stars - mean - of_user[users]
        of_movie = np.bincount(movies, rest, 1682) / (10 + np.bincount(movies, minlength=1682))
        rest = stars - mean - of_movie[movies]
        of_user = np.bincount(users, rest, 943) / (15 + np.bincount(users, minlength=943))
    return lambda u, m: mean + of_user[u] + of_movie[m]


def fit_factors(users, movies, stars, epochs=20, rate=0.005, penalty=0.02, factors=100, batch=100):
    """Return predictions of biases and inner products, by stochastic gradient descent."""
    random = np.random.RandomState(0)
    mean, of_user, of_movie = stars.mean(), np.zeros(943), np.zeros(1682)
    p, q = random.normal(0, 0.1, (943, factors)), random.normal(0, 0.1, (1682, factors))
    for _ in range(epochs):
        for rows in np.array_split(random.permutation(len(stars)), len(stars) // batch):
            u, m = users[rows], movies[rows]
            pu, qm = p[u], q[m]
            error = stars[rows] - mean - of_user[u] - of_movie[m] - np.sum(pu * qm, axis=1)
            np.add.at(of_user, u, rate * (error - penalty * of_user[u]))
            np.add.at(of_movie, m, rate * (error - penalty * of_movie[m]))
            np.add.at(p, u, rate * (error[:, None] * qm - penalty * pu))
            np.add.at(q, m, rate * (error[:, None] * pu - penalty * qm))
    return lambda users, movies: (
        mean + of_user[users] + of_movie[movies] + np.sum(p[users] * q[movies], axis=1)
    )
