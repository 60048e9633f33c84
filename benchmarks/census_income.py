"""Test AUC on Census-Income (KDD) of several architectures and of gradient boosting, over several seeds.

The rows are split once, 70/15/15. The epoch is chosen by validation loss; the test rows are used once a run.
Gradient boosting (scikit-learn, one model per task) sees the same columns and rows.

    python benchmarks/census_income.py --manual_dir=DIRECTORY_WITH_THE_FILES [--seeds=0,1,2] [--epochs=10]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OrdinalEncoder

import mtl_zoo as mz

SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
EPOCHS = flags.DEFINE_integer("epochs", 10, "Epochs.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 512, "Examples in a step.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Learning rate of Adam.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory of prepared datasets.")
MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "Directory with the files of the survey.")
ARCHITECTURES = flags.DEFINE_list(
    "architectures", ["single_task", "hard_sharing", "mmoe", "ple"], "Builders to compare."
)

DATA = mz.datasets.census_income


def load(split, seed=0):
    return DATA.load(split, BATCH_SIZE.value, DATA_DIR.value, MANUAL_DIR.value, seed=seed)


def arrays(split):
    """Return all columns and labels of a split."""
    batches = list(load(split).as_numpy_iterator())
    joined = [
        {key: np.concatenate([part[i][key] for part in batches]) for key in batches[0][i]} for i in (0, 1)
    ]
    return tuple(joined)


def run(architecture, encoder, seed, test):
    """Train once; return the test AUC of every task."""
    keras.utils.set_random_seed(seed)
    model = getattr(mz.architectures, architecture)(DATA.inputs(), DATA.TASKS, encoder)
    trainer = mz.Trainer(model, DATA.TASKS)
    trainer.compile(keras.optimizers.Adam(LEARNING_RATE.value))
    best = keras.callbacks.EarlyStopping(patience=EPOCHS.value, restore_best_weights=True)
    trainer.fit(
        load("train", seed),
        validation_data=load("validation"),
        epochs=EPOCHS.value,
        verbose=0,
        callbacks=[best],
    )
    predictions = trainer.predict(load("test"), verbose=0)
    return [roc_auc_score(test[1][task.name], predictions[task.name]) for task in DATA.TASKS]


def boosting(train, test, seed):
    """Return the test AUC of gradient boosting on every task."""
    words = [name for name in DATA.FEATURES if name not in DATA.NUMBERS]
    lookup = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    lookup.fit(np.hstack([train[0][name] for name in words]))

    def table(columns):
        numbers = np.hstack([columns[name] for name in DATA.NUMBERS])
        return np.hstack([numbers, lookup.transform(np.hstack([columns[name] for name in words]))])

    x, x_test = table(train[0]), table(test[0])
    areas = []
    for task in DATA.TASKS:
        model = HistGradientBoostingClassifier(random_state=seed).fit(x, train[1][task.name])
        areas.append(roc_auc_score(test[1][task.name], model.predict_proba(x_test)[:, 1]))
    return areas


def print_row(name, areas):
    means, spreads = np.mean(areas, axis=0), np.std(areas, axis=0, ddof=1)
    cells = [f"{mean:.4f} ± {spread:.4f}" for mean, spread in zip(means, spreads, strict=True)]
    print(f"| {name} |", " | ".join(cells), "|", flush=True)


def main(argv):
    del argv
    train, test = arrays("train"), arrays("test")
    seeds = [int(seed) for seed in SEEDS.value]
    print("| model |", " | ".join(f"{task.name}, test AUC" for task in DATA.TASKS), "|\n|---|---|---|")
    print_row("gradient boosting", [boosting(train, test, seed) for seed in seeds])
    encoder = DATA.encoder(DATA_DIR.value, MANUAL_DIR.value)
    for architecture in ARCHITECTURES.value:
        print_row(f"`{architecture}`", [run(architecture, encoder, seed, test) for seed in seeds])


if __name__ == "__main__":
    app.run(main)
