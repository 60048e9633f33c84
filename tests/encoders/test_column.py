"""Columns of logs: hashed ids, tables that columns share, lists and sequences, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.encoders import Column, encode, tabular, tabular_inputs
from mtl_zoo.encoders.column import columns_of, tables_of
from mtl_zoo.encoders.tabular import MISSING

LISTS = [["a", "b"], ["c"], [], ["b", "b", "a"]]
DATA = {
    "age": np.array([20.0, 40.0, 60.0, 40.0], "float32"),
    "user": np.array([7, 8, 2**62, 7]),
    "item": np.array(["a", "b", "c", "a"]),
    "seen": np.array([["a", "b", ""], ["c", "", ""], ["", "", ""], ["b", "b", "a"]]),
    "liked": tf.ragged.constant(LISTS),
    "genres": np.array([[3, 5], [0, 4], [0, 0], [5, 0]]),
    "shop": np.array([11, 12, 13, 11]),
}
COLUMNS = {
    "user": [Column(buckets=5), {"buckets": 3, "embedding_dim": 2}],
    "seen": Column(table="item", pooling="gru"),
    "liked": {"table": "item", "pooling": "attention", "query": "item"},
    "genres": [
        Column(pooling="mean", embedding_dim=3),
        Column(pooling="sum", table="taste", embedding_dim=2),
    ],
    "shop": Column(unknown=3),
}
TASKS = [mz.Task.binary("click"), mz.Task.regression("price")]
NEW = {  # unknown words and ids, lists that are empty, longer or padded in front
    "age": np.array([[20.0], [np.nan], [60.0]], "float32"),
    "user": np.array([[8], [123456789], [MISSING]]),
    "item": np.array([["b"], ["new"], [""]]),
    "seen": np.array([["", "a", "", "new", "c"], ["", "", "", "", ""], ["b", "", "", "", ""]]),
    "liked": np.array([["a", "new"], ["", ""], ["", "b"]]),
    "genres": np.array([[5, 3, 99, 0], [0, 0, 0, 0], [0, 4, MISSING, 5]]),
    "shop": np.array([[12], [100], [101]]),
}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = tabular_inputs(DATA, COLUMNS)
    return keras.Model(inputs, encode(inputs, tabular(DATA, embedding_dim=4, columns=COLUMNS), "shared"))


def tensors(data):
    return {name: tf.constant(x) for name, x in data.items()}


def weights(model, name):
    return model.get_layer(f"shared_1_{name}").get_weights()


def hashed(ids, buckets):
    return tf.strings.to_hash_bucket_fast(ids.ravel().astype(str), buckets).numpy()


def softmax(x):
    x = np.exp(x - x.max())
    return x / x.sum()


def gru(x, kernel, recurrent, bias):
    """Return the last state, by the formulas of a gated recurrent unit."""
    state, sigmoid = np.zeros(len(recurrent)), lambda v: 1 / (1 + np.exp(-v))
    for row in x:
        update, reset, new = np.split(row @ kernel + bias[0], 3)
        old_update, old_reset, old = np.split(state @ recurrent + bias[1], 3)
        update, reset = sigmoid(update + old_update), sigmoid(reset + old_reset)
        state = update * state + (1 - update) * np.tanh(new + reset * old)
    return state


def attended(x, query, hidden, bias, score):
    if not len(x):
        return np.zeros(len(query))
    query = np.broadcast_to(query, x.shape)
    seen = np.concatenate([x, query, x - query, x * query], axis=1)
    return softmax(np.tanh(seen @ hidden + bias) @ score[:, 0]) @ x


def by_hand(model, data):
    """Return what the model should answer."""
    (items,), (liked,) = weights(model, "item_embedding"), [weights(model, "liked_attention")]
    place = {"": None, "a": 2, "b": 3, "c": 4}  # of padding 0, of the unknown 1
    rows = [[items[place.get(x, 1)] for x in row if x] for row in data["seen"].tolist()]
    seen = [gru(np.reshape(x, (-1, 4)), *weights(model, "seen_gru")) for x in rows]
    item = np.stack([items[place.get(x, 1) or 0] for x in data["item"].ravel().tolist()])
    rows = [np.reshape([items[place.get(x, 1)] for x in row if x], (-1, 4)) for row in data["liked"].tolist()]
    liked = [attended(x, query, *liked) for x, query in zip(rows, item, strict=True)]
    genre = {0: None, MISSING: None, 3: 2, 4: 3, 5: 4}
    found = [[genre.get(x, 1) for x in row if genre.get(x, 1)] for row in data["genres"].tolist()]
    (likes,), (taste,) = weights(model, "genres_embedding"), weights(model, "taste_embedding")
    shops = data["shop"].ravel()
    shop = [x - 11 + 3 if 11 <= x <= 13 else x % 3 for x in shops.tolist()]
    return np.concatenate(
        [
            np.nan_to_num((data["age"] - 40) / np.sqrt(200)),
            weights(model, "user_embedding")[0][hashed(data["user"], 5)],
            weights(model, "user.2_embedding")[0][hashed(data["user"], 3)],
            item,
            np.stack(seen),
            np.stack(liked),
            np.stack([likes[x].sum(axis=0) / max(len(x), 1) for x in found]),
            np.stack([taste[x].sum(axis=0) for x in found]),
            weights(model, "shop_embedding")[0][shop],
        ],
        axis=1,
    )


def test_every_column_is_what_numpy_makes_of_it(model):
    assert {name: x.shape[1] for name, x in model.input.items()} == {
        **dict.fromkeys(("age", "user", "item", "shop"), 1),
        **dict.fromkeys(("seen", "liked", "genres")),
    }
    np.testing.assert_allclose(model(tensors(NEW)), by_hand(model, NEW), rtol=1e-5, atol=1e-6)
    # Of users 5 * 4 + 3 * 2, items (2 + 3) * 4, a GRU of 4, attention, genres (2 + 3) * (3 + 2), shops.
    gru_size, attention = 3 * 4 * (4 + 4 + 2), 4 * (4 * 4 + 1) + 4
    assert model.count_params() == 26 + 20 + gru_size + attention + 25 + (3 + 3) * 4


def test_a_keras_file_answers_alike(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(tensors(NEW)), model(tensors(NEW)))


def test_training_and_an_export_that_takes_raw_columns(tmp_path):
    keras.utils.set_random_seed(0)
    encoder = tabular(DATA, 4, embedding_dim=4, columns=COLUMNS)
    model = mz.architectures.hard_sharing(tabular_inputs(DATA, COLUMNS), TASKS, encoder)
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    labels = {"click": np.array([0, 1, 1]), "price": np.array([1.0, 2.0, np.nan], "float32")}
    known = NEW | {"item": np.array([["b"], ["b"], ["c"]]), "seen": np.array([["a"], [""], ["b"]])}
    known["liked"] = known["seen"]
    before = weights(model, "item_embedding")[0]
    data = tf.data.Dataset.from_tensors((tensors(known), labels))
    losses = trainer.fit(data, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    changed = np.any(weights(model, "item_embedding")[0] != before, axis=1)
    np.testing.assert_array_equal(changed, [False, False, True, True, True])  # neither padding nor unknown
    mz.exporting.saved_model(model, TASKS, tmp_path / "1")
    batches = [(tensors(NEW), {"click": np.array([0, 1, 1]), "price": np.ones(3)})]
    for agreement in mz.exporting.verify(tmp_path / "1", model, TASKS, batches):
        assert agreement.within(1e-5, 1e-5)


def test_lists_without_any_position(model):
    none = {name: NEW[name][:, :0] for name in ("seen", "liked", "genres")}
    padded = {name: np.zeros_like(NEW[name][:, :1]) for name in none}
    np.testing.assert_array_equal(model(tensors(NEW | none)), model(tensors(NEW | padded)))


def test_lists_of_single_positions_and_a_table_that_columns_name():
    data = {"a": np.array([1, 2]), "b": np.array([[2], [3]])}
    columns = {"a": Column(table="t"), "b": Column(table="t", pooling="sum")}
    inputs = tabular_inputs(data, columns)
    model = keras.Model(inputs, encode(inputs, tabular(data, embedding_dim=2, columns=columns), "s"))
    table = model.get_layer("s_1_t_embedding").get_weights()[0]
    found = model({"a": np.array([[3], [0]]), "b": np.array([[2, 0], [1, 3]])})
    np.testing.assert_allclose(found, np.stack([[*table[4], *table[3]], [*table[0], *(table[2] + table[4])]]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": 3}, r"`columns\['user'\]` must be a `Column`, a dictionary .* Received: 3"),
        ({"user": {"bucket": 3}}, r"`columns\['user'\]` must be .* Received: \{'bucket': 3\}"),
        ({"user": []}, r"`columns\['user'\]` must be at least one"),
        ({"genres": [{"pooling": "sum"}, {}]}, "all of them with `pooling` or none"),
        ({"age": {}}, r"`columns` must name columns of categories, among .*Received: \['age'\]"),
        ({"floor": {}}, r"`columns` must name columns of categories, among .*Received: \['floor'\]"),
        ({"genres": {}}, "lists of categories need `pooling` in `columns`"),
        (
            {"seen": {"table": "item", "pooling": "sum", "embedding_dim": 3}},
            "share table 'item' must have the",
        ),
        ({"genres": {"table": "item", "pooling": "sum"}}, "table 'item' must all hold strings, or integers"),
        (
            {"seen": {"pooling": "attention", "query": "item", "embedding_dim": 3}},
            r"`query` of column 'seen' .* with vectors of size 3. Received: query='item'",
        ),
        ({"seen": {"pooling": "attention", "query": "genres"}}, "must name a column of one category per row"),
    ],
)
def test_columns_that_cannot_be_meant(columns, message):
    lists = {name: {"pooling": "sum"} for name in ("seen", "liked", "genres")}
    with pytest.raises(ValueError, match=message):
        tabular(DATA, columns=lists | columns)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (tf.ragged.constant([[1, 0], [2]]), "must hold other integers than 0, which is padding"),
        (np.array([1, 2]), r"Column 'a' must have the shape \[rows, length\]. Received: \(2,\)"),
        (np.ones((2, 2)), "The lists of column 'a' must hold integers or strings. Received: floats"),
        (np.zeros((2, 2), "int64"), "Column 'a' must have a value at least, or `buckets`"),
    ],
)
def test_lists_that_are_none(values, message):
    with pytest.raises(ValueError, match=message):
        tabular({"a": values}, columns={"a": {"pooling": "mean"}})


def test_a_table_that_holds_the_padding_of_a_list_alone():
    data, shared = {"a": np.array([""]), "b": np.array([["", ""]])}, {"table": "x"}
    with pytest.raises(ValueError, match="must have a value at least, or `buckets`"):
        tabular(data, columns={"a": shared, "b": shared | {"pooling": "mean"}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"buckets": 4, "unknown": 2}, "`unknown` must be 1 where values are hashed"),
        ({"pooling": "mean", "query": "a"}, "`query` must be for pooling='attention'"),
        ({"pooling": "max"}, "`pooling` must be"),
    ],
)
def test_arguments_that_contradict(given, message):
    with pytest.raises(ValueError, match=message):
        Column(**given)


def test_names_of_tables():
    found = columns_of({"a": [{}, {}], "b": {"table": "a"}, "c": [{}, {"table": "x"}]})
    assert tables_of(found) == {"a": ["a", "a.2"], "b": ["a"], "c": ["c", "x"]}


def test_the_command_line_takes_columns():
    from mtl_zoo.experiments.choices import FAMILIES

    choice = FAMILIES["encoder"].parse("tabular:units=[4],columns={'user': {'buckets': 5}},embedding_dim=2")
    stage, *_ = choice.make({"user": DATA["user"]})
    inputs = tabular_inputs({"user": DATA["user"]})
    assert keras.Model(inputs, stage(inputs, "shared")).count_params() == 10
