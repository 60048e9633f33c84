import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.training import frames
from mtl_zoo.training.inputs import Slot

TASKS = [mz.Task.classification("kind", 3), mz.Task.regression("size")]
X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
Y = {"kind": np.array([0, 1, 2, 0, 1, 2]), "size": X[:, 0]}


class Column:
    """What the library looks at in a column of pandas."""

    iloc = None

    def __init__(self, values, dtype=None):
        self.values = values if dtype else np.asarray(values)
        self.dtype = dtype or self.values.dtype

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def to_numpy(self, dtype, na_value):
        return np.array([na_value if value is None else value for value in self.values], dtype)


class Nullable:
    """What it looks at in a type of pandas' own."""

    kind = "i"
    na_value = None


class Table:
    """What it looks at in a table."""

    iloc = None

    def __init__(self, columns):
        self.found = {name: x if hasattr(x, "iloc") else Column(x) for name, x in columns.items()}
        self.columns = list(self.found)

    def __getitem__(self, name):
        return self.found[name]


def features(**more):
    return Table({"a": X[:, 0], "b": X[:, 1], **more})


def make_trainer(named):
    inputs = [keras.Input((1,), name=name) for name in "ba"] if named else keras.Input((2,), name="x")
    x = keras.layers.Dense(3)(keras.layers.Concatenate()(inputs) if named else inputs)
    model = keras.Model(inputs, {"kind": keras.layers.Dense(3)(x), "size": keras.layers.Dense(1)(x)})
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return trainer


@pytest.mark.parametrize("named", [False, True])
def test_tables_are_what_their_arrays_are(named):
    trainer = make_trainer(named)
    arrays = {"a": X[:, 0], "b": X[:, 1]} if named else X
    expected = trainer.evaluate(arrays, Y, verbose=0)
    np.testing.assert_array_equal(trainer.evaluate(features(), Table(Y), verbose=0), expected)
    np.testing.assert_array_equal(trainer.test_on_batch(features(), Table(Y)), expected)
    validation = (features(), Table(Y), {"kind": Column(np.ones(6))})
    history = trainer.fit(features(), Table(Y), validation_data=validation, verbose=0).history
    np.testing.assert_allclose([history["loss"][0], history["val_loss"][0]], expected[0], rtol=1e-6)
    for predict in (trainer.predict, trainer.predict_logits):
        answers, wanted = predict(features(), verbose=0), predict(arrays, verbose=0)
        np.testing.assert_array_equal(answers["kind"], wanted["kind"])


def test_a_missing_number_is_a_missing_label():
    labels = Table({"kind": Column([0, None, 2, None, 1, 2], Nullable()), "size": Y["size"]})
    trainer = make_trainer(named=False)
    expected = trainer.evaluate(X, {"kind": np.array([0, -1, 2, -1, 1, 2]), "size": Y["size"]}, verbose=0)
    np.testing.assert_array_equal(trainer.evaluate(X, labels, verbose=0), expected)


def test_one_input_takes_all_columns_as_numbers():
    found = frames.inputs(features(c=np.array([True] * 6)), Slot("x"))
    assert (found.shape, found.dtype) == ((6, 3), "float32")
    assert frames.inputs(Table({"a": np.array(["u", "v"], object)}), None).tolist() == [["u"], ["v"]]
    with pytest.raises(ValueError, match=r"numbers alone or text alone.*of \['<U1', 'float32'\]"):
        frames.inputs(features(c=np.array(list("uvwxyz"))), Slot("x"))


def test_several_inputs_take_columns_by_name():
    for slots in ({"a": Slot("a")}, [Slot("a"), Slot("b")]):
        assert list(frames.inputs(features(), slots)) == ["a", "b"]
    assert frames.inputs(features(), [Slot("x")]).shape == (6, 2)
    assert frames.inputs(X, [Slot("x")]) is X
