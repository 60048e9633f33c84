import numpy as np
from sklearn.datasets import load_breast_cancer

import mtl_zoo as mz
from mtl_zoo.datasets import breast_cancer
from tests.datasets.harness import SPLITS, check_dataset, only_batch


def test_contract(no_network, tmp_path, capsys):
    check_dataset(breast_cancer, tmp_path, capsys, batch_size=64)


def test_splits_hold_every_tumour_once():
    found = [only_batch(breast_cancer, split, batch_size=600) for split in SPLITS]
    assert [len(x) for x, _ in found] == list(breast_cancer.SIZES.values())
    malignant = np.concatenate([labels["malignant"] for _, labels in found])
    assert (len(malignant), malignant.sum()) == (569, 212)
    rates = [labels["malignant"].mean() for _, labels in found]
    np.testing.assert_allclose(rates, 212 / 569, atol=0.01)


def test_measurements_are_standardized_by_the_training_split_and_none_is_a_label():
    x, labels = only_batch(breast_cancer, batch_size=600)
    for values in (x, labels["worst"]):
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)
    names = load_breast_cancer().feature_names
    assert [name for name in names[20:] if not name.startswith("worst")] == []
    assert [name for name in names[:20] if name.startswith("worst")] == []


def test_learns_both_tasks():
    mz_trainer = trained()
    logs = mz_trainer.evaluate(breast_cancer.load("test", 86), return_dict=True, verbose=0)
    assert logs["malignant_auc"] > 0.97
    assert logs["worst_loss"] < 0.25  # of the variance


def trained():
    import keras

    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(
        breast_cancer.inputs(), breast_cancer.TASKS, breast_cancer.encoder()
    )
    trainer = mz.Trainer(model, breast_cancer.TASKS)
    trainer.compile(keras.optimizers.Adam(3e-3))
    trainer.fit(breast_cancer.load("train", 32), epochs=30, verbose=0)
    return trainer
