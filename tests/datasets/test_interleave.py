import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.datasets import interleave


def source(number, value, label=None, batch_size=10):
    """Return batches whose inputs are `value` and a counter."""
    x = np.stack([np.full(number, value), np.arange(number)], axis=1).astype("float32")
    labels = np.arange(number) % 2 if label is None else label
    return tf.data.Dataset.from_tensor_slices((x, labels)).batch(batch_size)


def sources():
    """Return a classification with 300 examples and a regression with 100."""
    return {"kind": source(300, 1.0), "price": source(100, 2.0, np.arange(100.0))}


def read(dataset):
    batches = list(dataset.as_numpy_iterator())
    x = np.concatenate([x for x, _ in batches])
    return x, {name: np.concatenate([labels[name] for _, labels in batches]) for name in batches[0][1]}


def shares(dataset):
    """Return the realised share of the first dataset."""
    return np.mean(read(dataset)[0][:, 0] == 1.0)


def test_every_example_has_the_label_of_its_dataset_alone():
    x, labels = read(interleave(sources(), 16))
    kinds = x[:, 0] == 1.0
    np.testing.assert_array_equal(labels["kind"], np.where(kinds, x[:, 1] % 2, -1))
    np.testing.assert_array_equal(labels["price"], np.where(kinds, np.nan, x[:, 1]))


def test_an_epoch_holds_everything_once_by_default():
    dataset = interleave(sources(), 16)
    assert dataset.cardinality() == 25
    x, _ = read(dataset)
    assert len(np.unique(x, axis=0)) == len(x) == 400


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({}, 0.75),
        ({"weights": "uniform"}, 0.5),
        ({"weights": {"kind": 1, "price": 9}}, 0.1),
        ({"weights": {"kind": 0, "price": 1}}, 0.0),
        ({"temperature": 2.0}, np.sqrt(3) / (1 + np.sqrt(3))),
        ({"temperature": 1e9}, 0.5),
    ],
)
@pytest.mark.parametrize("mixed", [True, False])
def test_realised_mixing_is_what_was_asked(options, share, mixed):
    dataset = interleave(sources(), 8, steps=200, mixed=mixed, **options)
    assert dataset.cardinality() == 200
    assert shares(dataset) == pytest.approx(share, abs=0.005)


def test_one_task_per_batch():
    for x, labels in interleave(sources(), 16, weights="uniform", steps=40, mixed=False).as_numpy_iterator():
        assert x.shape == (16, 2)
        assert len(set(x[:, 0])) == 1
        assert np.isnan(labels["price"]).all() == (x[0, 0] == 1.0)


def test_batches_are_mixed():
    counts = [np.sum(x[:, 0] == 1.0) for x, _ in interleave(sources(), 16).as_numpy_iterator()]
    assert 0 < min(counts) < max(counts) < 16


def test_a_schedule_by_epoch():
    def schedule(epoch):
        return {"kind": 1.0, "price": epoch} if epoch < 2 else "uniform"

    dataset = interleave(sources(), 10, schedule, steps=100)
    assert [shares(dataset) for _ in range(4)] == [1.0, 0.5, 0.5, 0.5]
    focused = interleave(sources(), 10, lambda epoch: {"kind": 3 - epoch, "price": epoch}, steps=90)
    assert [round(3 * shares(focused)) for _ in range(4)] == [3, 2, 1, 0]


def test_order_follows_from_the_seed():
    def order(dataset):
        return read(dataset)[0][:, 0].tolist()

    first, second = interleave(sources(), 16, seed=1), interleave(sources(), 16, seed=1)
    epochs = order(first), order(first)
    assert epochs == (order(second), order(second))
    assert epochs[0] != epochs[1]
    assert order(interleave(sources(), 16, seed=2)) not in epochs


def test_datasets_with_several_tasks_and_structured_inputs():
    def of(number, labels):
        x = {"a": np.ones((number, 1)), "b": np.array(["word"] * number)}
        return tf.data.Dataset.from_tensor_slices((x, labels)).batch(4)

    pair = of(8, {"left": np.ones((8, 2), "uint8"), "right": np.ones(8, "float32"), "other": np.ones(8)})
    single = of(4, {"third": np.ones((4, 3), "float32")})
    x, labels = next(interleave({("left", "right"): pair, "third": single}, 12).as_numpy_iterator())
    assert set(x) == {"a", "b"}
    assert {name: (y.dtype.name, y.shape) for name, y in labels.items()} == {
        "left": ("int64", (12, 2)),
        "right": ("float32", (12,)),
        "third": ("float32", (12, 3)),
    }
    assert sorted(labels["left"].sum(axis=1)) == [-2] * 4 + [2] * 8
    assert np.isnan(labels["right"]).sum() == 4
    assert np.isnan(labels["third"]).all(axis=1).sum() == 8


@pytest.mark.parametrize("mixed", [True, False])
def test_trains_both_tasks(mixed):
    tasks = [mz.Task.classification("kind", 2), mz.Task.regression("price")]
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 400, 2)).astype("float32")
    datasets = {
        "kind": tf.data.Dataset.from_tensor_slices((x[0], (x[0, :, 0] > 0).astype(int))).batch(50),
        "price": tf.data.Dataset.from_tensor_slices((x[1], x[1].sum(axis=1))).batch(50),
    }
    model = mz.architectures.hard_sharing(keras.Input((2,)), tasks, mz.encoders.mlp(16))
    trainer = mz.Trainer(model, tasks, aggregator=mz.aggregators.PCGrad())
    trainer.compile(keras.optimizers.Adam(0.02))
    history = trainer.fit(interleave(datasets, 20, mixed=mixed), epochs=8, verbose=0).history
    assert history["kind_accuracy"][-1] > 0.9
    assert history["price_loss"][-1] < 0.2 * history["price_loss"][0]


@pytest.mark.parametrize(
    ("datasets", "options", "message"),
    [
        ({}, {}, "at least one dataset"),
        (sources(), {"batch_size": 0}, "`batch_size` must be an integer of at least 1"),
        (sources(), {"steps": 0}, "`steps` must be an integer of at least 1"),
        (sources(), {"temperature": -1.0}, "`temperature` must be positive"),
        (sources(), {"weights": "equal"}, "'proportional', 'uniform' or a dict.*Received: weights='equal'"),
        (sources(), {"weights": {"kind": 1}}, "a dict with the keys"),
        (sources(), {"weights": {"kind": 1, "price": -1}}, "at least 0"),
        (sources(), {"weights": {"kind": 0, "price": 0}}, "at least 0, and one above"),
        (
            {"a": source(4, 1.0), ("a", "b"): source(4, 1.0, {"a": [0] * 4, "b": [0] * 4})},
            {},
            "in one dataset",
        ),
        ({"a": source(4, 1.0), "b": source(4, 1.0, {"c": [0] * 4})}, {}, "'b'. Received: .'c'"),
        ({"a": source(4, 1.0), "b": source(4, 1.0).map(lambda x, y: (x[:, :1], y))}, {}, "the same inputs"),
        ({"a": source(4, 1.0), "b": source(4, 1.0).map(lambda x, y: ({"x": x}, y))}, {}, "the same inputs"),
        (
            {
                "a": source(4, 1.0, tf.ragged.constant([[0], [1, 2], [3], []])).map(
                    lambda x, y: (x, y.to_tensor())
                )
            },
            {},
            "known shape",
        ),
    ],
)
def test_mistakes(datasets, options, message):
    with pytest.raises(ValueError, match=message):
        interleave(datasets, **{"batch_size": 4, **options})


@pytest.mark.parametrize("arguments", [{}, {"steps": 2, "weights": {"kind": 1, "price": 1}}])
def test_an_empty_dataset_is_named(arguments):
    empty = sources() | {"price": source(10, 2.0, np.arange(10.0)).filter(lambda x, y: False)}
    with pytest.raises(ValueError, match=r"at least one example. Received none in \['price'\]"):
        interleave(empty, 4, **arguments)
