import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.transfer.merging_methods import METHODS, ties
from tests.transfer.networks import network, tuned

X = np.random.default_rng(0).uniform(size=(5, 4, 4, 2)).astype("float32")


@pytest.fixture(scope="module")
def base():
    return network(any=4)


@pytest.fixture(scope="module")
def models(base):
    return tuned(base, 1, left=2), tuned(base, 2, right=3)


def weights(model, name):
    return [x.astype("float64") for x in model.get_layer(name).get_weights()]


@pytest.mark.parametrize("name", ["conv", "dense"])
def test_arithmetic_and_average_of_trunks(base, models, name):
    merged = mz.transfer.merge(base, models)
    mean = mz.transfer.merge(base, list(models), "average")
    found = (weights(x, name) for x in (base, *models, merged, mean))
    for start, left, right, total, average in zip(*found, strict=True):
        np.testing.assert_allclose(total, start + 0.3 * (left - start + right - start), atol=1e-6)
        np.testing.assert_allclose(average, (left + right) / 2, atol=1e-6)


def test_singular_values_of_kernels_as_matrices(base, models):
    merged = mz.transfer.merge(base, models, "iso_c", scale=2.0)
    start, left, right, found = (weights(x, "conv") for x in (base, *models, merged))
    change = (found[0] - start[0]).reshape(18, 3)
    total = (left[0] + right[0] - 2 * start[0]).reshape(18, 3)
    np.testing.assert_allclose(
        np.linalg.svd(change)[1], 2 * np.mean(np.linalg.svd(total)[1]) * np.ones(3), rtol=1e-4
    )
    np.testing.assert_allclose(
        found[1] - start[1], left[1] + right[1] - 2 * start[1], atol=1e-6
    )  # means, twice


def test_ties_trims_over_the_whole_trunk(base, models):
    names = ("conv", "norm", "dense")  # without the statistics of the normalization

    def flat(model):
        return np.concatenate([x.ravel() for name in names for x in weights(model, name)[:2]])

    wanted = ties(np.stack([flat(model) - flat(base) for model in models]))
    merged = mz.transfer.merge(base, models, "ties")
    np.testing.assert_allclose(flat(merged) - flat(base), wanted, atol=1e-6)
    assert 0 < np.count_nonzero(wanted) <= 2 * 0.2 * len(wanted)


@pytest.mark.parametrize("method", METHODS)
def test_one_model_alone_comes_back_and_statistics_are_averaged(base, models, method):
    if method not in ("iso_c", "ties"):
        merged = mz.transfer.merge(base, models[:1], method, scale=1.0)
        np.testing.assert_allclose(merged(X)["left"], models[0](X)["left"], rtol=1e-4, atol=1e-5)
    merged = mz.transfer.merge(base, models, method, scale=0.0)
    *trained, mean, variance = weights(merged, "norm")
    for found, wanted in zip(trained, weights(base, "norm"), strict=False):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(mean, (weights(models[0], "norm")[2] + weights(models[1], "norm")[2]) / 2)
    np.testing.assert_allclose(variance, (weights(models[0], "norm")[3] + weights(models[1], "norm")[3]) / 2)


def test_frozen_layers_are_merged_and_stay_frozen(base, models):
    frozen = keras.models.clone_model(base)
    frozen.set_weights(base.get_weights())
    frozen.get_layer("dense").trainable = False
    merged = mz.transfer.merge(frozen, models, "tsv_m")
    np.testing.assert_array_equal(merged(X)["left"], mz.transfer.merge(base, models, "tsv_m")(X)["left"])
    assert [layer.name for layer in merged.layers if not layer.trainable] == ["dense"]


def test_files_trainers_and_exports(base, models, tmp_path):
    for name, model in zip(("base", "left", "right"), (base, *models), strict=True):
        model.save(tmp_path / f"{name}.keras")
    paths = [str(tmp_path / "left.keras"), tmp_path / "right.keras"]
    merged = mz.transfer.merge(tmp_path / "base.keras", paths, "wudi")
    wanted = mz.transfer.merge(base, models, "wudi")(X)
    merged.save(tmp_path / "merged.keras")
    again = keras.saving.load_model(tmp_path / "merged.keras")
    for name in ("left", "right"):
        np.testing.assert_allclose(again(X)[name], wanted[name], atol=1e-6)
    tasks = [mz.Task.classification("left", 2), mz.Task.classification("right", 3)]
    trainer = mz.Trainer(again, tasks)
    trainer.compile("adam")
    trainer.fit(X, {"left": np.zeros(5, int), "right": np.ones(5, int)}, verbose=0)


def test_statistics_from_data(base, models):
    data = tf.data.Dataset.from_tensor_slices(X[:4]).batch(4)
    merged = mz.transfer.merge(base, models, "average", data=data)
    before = keras.Model(merged.input, merged.get_layer("conv").output)(X[:4])
    np.testing.assert_allclose(weights(merged, "norm")[2], np.mean(before, axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(weights(merged, "norm")[3], np.var(before, axis=(0, 1, 2)), rtol=1e-4)


def test_integers_are_those_of_the_base():
    class Counted(keras.layers.Dense):
        def build(self, shape):
            super().build(shape)
            self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def chain(count, name):
        inputs = keras.Input((4,))
        layer = Counted(3, name="a")
        model = keras.Model(inputs, keras.layers.Dense(1, name=name)(layer(inputs)))
        layer.count.assign(count)
        return model

    merged = mz.transfer.merge(chain(7, "any"), [chain(8, "left"), chain(9, "right")])
    assert merged.get_layer("a").count == 7


def test_what_is_refused(base, models):
    for wrong in ([], None, models[0]):
        with pytest.raises(ValueError, match=r"`models` must be a sequence of at least one model. Received"):
            mz.transfer.merge(base, wrong)
    with pytest.raises(ValueError, match=r"`method` must be one of \['average', .* Received: method='mean'"):
        mz.transfer.merge(base, models, "mean")
    with pytest.raises(ValueError, match=r"`data` must be a `tf.data.Dataset`. Received: data=\[\]"):
        mz.transfer.merge(base, models, data=[])
    broken = keras.models.clone_model(models[0])
    broken.get_layer("conv").bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match=r"Weights must be finite. Received: NaN or infinity in layers"):
        mz.transfer.merge(base, [broken, models[1]])
