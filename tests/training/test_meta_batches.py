import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.balancers import AutoLambda
from mtl_zoo.training.meta_batches import Pair, admitted, beside, parted
from tests.callbacks.test_resume import At, assert_same, fail
from tests.training.test_meta import EAGER, META_X, META_Y, TASKS, X, Y, as_float32, dataset, model

META = as_float32(META_X, META_Y)


def trainer_with(balancer, **arguments):
    trainer = mz.Trainer(model(), TASKS, balancer, **arguments)
    trainer.compile(keras.optimizers.SGD(0.05, momentum=0.9), **EAGER)
    return trainer


def shuffled(x, y, seed):
    return tf.data.Dataset.from_tensor_slices(as_float32(x, y)).shuffle(24, seed=seed).batch(8)


def fit(*callbacks, meta=None, x=None):
    keras.utils.set_random_seed(0)
    trainer = trainer_with(AutoLambda(learning_rate=0.03))
    data = dict(zip("xy", as_float32(X, Y), strict=True)) if x is None else {"x": x}
    history = trainer.fit(
        **data,
        batch_size=8 if x is None else None,
        epochs=2,
        meta_data=meta,
        callbacks=[*callbacks],
        verbose=0,
    )
    return [np.array(v) for v in (*trainer.variables, *trainer.optimizer.variables)], history.history


@pytest.mark.parametrize("kind", ["arrays", "datasets"])
def test_a_training_goes_on_with_the_same_bits(tmp_path, kind):
    def data():
        if kind == "arrays":
            return {"meta": META}
        return {"x": shuffled(X, Y, 1), "meta": shuffled(META_X, META_Y, 2)}

    expected = fit(**data())
    with pytest.raises(ZeroDivisionError):
        fit(mz.callbacks.Resume(tmp_path, every=1), At(5, fail), **data())  # two steps into the second epoch
    assert_same(fit(mz.callbacks.Resume(tmp_path, every=1), **data()), expected)


def test_meta_data_without_a_seed_cannot_go_on(tmp_path):
    random = dataset(META_X, META_Y, 5).shuffle(2)
    random._seed = random._seed2 = tf.constant(0, tf.int64)  # as without a global seed
    with pytest.raises(ValueError, match="order of the training data must be the same each time"):
        fit(mz.callbacks.Resume(tmp_path), x=dataset(X, Y, 4), meta=random)


def test_weights_and_moments_are_saved(tmp_path):
    trained, restored = (trainer_with(AutoLambda(learning_rate=0.03)) for _ in range(2))
    trained.fit(dataset(X, Y, 8), meta_data=META, verbose=0)
    trained.save_weights(tmp_path / "all.weights.h5")
    restored.load_weights(tmp_path / "all.weights.h5")
    assert len(restored.balancer.variables) == 4
    for one, other in zip(trained.balancer.variables, restored.balancer.variables, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.any(np.array(one) != 0)


def test_a_sample_weight_of_0_is_no_label():
    keep = np.arange(10) != 3
    labels = {name: np.where(keep, y, np.nan) for name, y in META[1].items()}
    found = []
    for data in ((META[0], labels), (*META, dict.fromkeys("abc", keep.astype("float32"))), META):
        trainer = trainer_with(AutoLambda(learning_rate=0.03))
        trainer.model.set_weights([np.full(v.shape, 0.5) for v in trainer.model.weights])
        meta = tf.data.Dataset.from_tensors(data)
        trainer.fit(dataset(X, Y, 24), epochs=3, meta_data=meta, verbose=0)
        found.append(np.array(trainer.balancer.task_weights))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    assert np.abs(found[2] - found[0]).max() > 1e-6


def test_evaluation_is_without_meta_data():
    trainer = trainer_with(AutoLambda())
    trainer.fit(dataset(X, Y, 8), validation_data=META, meta_data=META, verbose=0)
    before = [np.array(v) for v in trainer.balancer.variables]
    plain = trainer_with(None)
    plain.model.set_weights(trainer.model.get_weights())
    found = [t.evaluate(*META, verbose=0, return_dict=True) for t in (trainer, plain)]
    assert found[0] == found[1]
    for one, other in zip(trainer.balancer.variables, before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("balancer", "meta", "message"),
    [
        (
            AutoLambda,
            None,
            r"AutoLambda needs `meta_data`, which `fit` must be given\. Received: `fit` without",
        ),
        (mz.balancers.DWA, META, r"must go with a balancer that learns from them\. Received: balancer=DWA"),
        (lambda: None, META, r"must go with a balancer .* Received: balancer=None"),
        (AutoLambda, list(META), r"`meta_data` must be a `tf.data.Dataset`, or arrays .* Received: list"),
        (AutoLambda, (META[0],), r"`meta_data` must be .* Received: tuple"),
        (
            AutoLambda,
            (META[0], {"a": META[1]["a"]}),
            r"Every task must have labels\. Received tasks .* but labels \['a'\]",
        ),
        (AutoLambda, (META[0][:4], META[1]), r"must have one number of examples"),
        (AutoLambda, dataset(META_X, META_Y, 5).repeat(), r"`meta_data` must end: .* an infinite dataset"),
        (
            AutoLambda,
            dataset(META_X, {"a": META_Y["a"]}, 5),
            r"Every task must have labels\. Received tasks .* but labels \['a'\]",
        ),
        (AutoLambda, dataset(META_X[:0], {k: v[:0] for k, v in META_Y.items()}, 5), r"at least one batch"),
        (
            AutoLambda,
            dataset(META_X, {**META_Y, "b": np.full(10, np.inf)}, 5),
            r"Labels of task 'b' must be finite",
        ),
    ],
)
def test_what_meta_data_must_be(balancer, meta, message):
    with pytest.raises(ValueError, match=message):
        trainer_with(balancer()).fit(dataset(X, Y, 8), meta_data=meta, verbose=0)


def test_data_that_a_function_distributed_have_no_pairs():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        trainer = trainer_with(AutoLambda())
    data = strategy.distribute_datasets_from_function(lambda context: dataset(X, Y, 4))
    with pytest.raises(ValueError, match=r"which `fit` distributes itself. Received: a DistributedDatasets"):
        trainer.fit(data, steps_per_epoch=2, shuffle=False, meta_data=META, verbose=0)


def test_single_batches_have_no_meta_data():
    with pytest.raises(
        ValueError, match=r"AutoLambda needs `meta_data`, .* Received: `train_on_batch` without"
    ):
        trainer_with(AutoLambda()).train_on_batch(*META)


def test_only_the_epochs_of_a_training_read_pairs():
    trainer = trainer_with(AutoLambda())
    meta = admitted(trainer.border, trainer.balancer, META, 5)
    with beside(trainer, meta):
        assert trainer.prepare_epochs is not None
    assert trainer.prepare_epochs is None
    assert len(next(iter(meta))[0]) == 5


def test_pairs_are_parted():
    batch = (np.arange(4), {"a": np.arange(4)})
    assert parted(batch, 1)[1] is None
    portions, meta = parted(Pair(batch, batch), 2)
    assert [len(x) for x, *_ in portions] == [2, 2]
    assert len(meta) == 3
    assert meta[2] is None
