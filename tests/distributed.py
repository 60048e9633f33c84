"""Trains two tasks on one device, on several replicas or as one of several workers; the weights go to a file.

    python -m tests.distributed REPLICAS OUTPUT RECIPE...

REPLICAS is the number of logical devices of this process; 0 stands for training without a strategy. With
`TF_CONFIG` in the environment the process is one of several workers. A recipe is
`balancer,aggregator,space`, with `none` for nothing, and words after it: `tables` for a model that looks up
rows of tables, `lasting` for weights that are renewed in every third step; the space `mapped` is the shared
one with a backward pass that is mapped over the tasks. With a directory in the environment variable `BACKUP`
training is slow, saves every step there, and goes on from there.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import time

import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training import mapping

TASKS = (mz.Task.classification("kind", 3), mz.Task.regression("size", where="kind"))
UNROLLED = mapping.MOST_UNROLLED, mapping.MOST_GRADIENTS
STEPS, BATCH, EPOCHS = 4, 16, 3  # the epochs that DWA needs to change its weights
METHODS = {
    "autolambda": lambda: mz.balancers.AutoLambda(learning_rate=0.01),
    "forum": mz.balancers.FORUM,
    "moml": mz.balancers.MOML,
    "uncertainty": mz.balancers.Uncertainty,
    "dwa": mz.balancers.DWA,
    "famo": mz.balancers.FAMO,
    "pcgrad": lambda: mz.aggregators.PCGrad(seed=0),
    "graddrop": lambda: mz.aggregators.GradDrop(seed=0),
    "mgda": mz.aggregators.MGDA,
    "nashmtl": mz.aggregators.NashMTL,
    "gradnorm": mz.aggregators.GradNorm,
    "moco": mz.aggregators.MoCo,
    "excessmtl": mz.aggregators.ExcessMTL,
    "modo": lambda: mz.aggregators.MoDo(gamma=0.1),
    "sdmgrad": mz.aggregators.SDMGrad,
    "ntkmtl": mz.aggregators.NTKMTL,
    "trimmedmean": mz.aggregators.TrimmedMean,
    "static_100": lambda: mz.balancers.Static([1.0, 1e2]),
    "static_10000": lambda: mz.balancers.Static([1.0, 1e4]),
    "none": lambda: None,
}


def main():
    replicas, output, *recipes = sys.argv[1:]
    strategy = make_strategy(int(replicas))
    found = {}
    for recipe in recipes:
        with strategy.scope():
            trainer = make_trainer(*recipe.split(","))
        logs, weights = train(trainer)
        found |= {f"{recipe}|{name}": values for name, values in {**logs, **weights}.items()}
    np.savez(output, **found)


def make_strategy(replicas):
    if "TF_CONFIG" in os.environ:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if not replicas:
        return tf.distribute.get_strategy()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)])


def make_trainer(balancer="none", aggregator="none", space="shared", *words, **options):
    """Return a trainer, with an optimizer that clips.

    The model regularizes kernels and activities, and has a layer that both tasks use after they part; with
    the word `tables`, it looks up rows of one before that, and of another one after it.
    """
    keras.utils.set_random_seed(0)

    def stage(x, name):
        penalties = {"kernel_regularizer": "l2", "activity_regularizer": keras.regularizers.L2(0.1)}
        return keras.layers.Dense(8, "tanh", name=f"{name}_dense", **penalties)(x)

    inputs, reused = keras.Input((6,)), keras.layers.Dense(4, "tanh", name="reused")
    bins = keras.layers.Discretization([-1.5, -0.7, 0.0, 0.7])(inputs)
    early, late = keras.layers.Embedding(9, 2), keras.layers.Embedding(9, 2)
    shared = stage(stage(looked_up(inputs, early, bins) if "tables" in words else inputs, "first"), "second")
    own = {}
    for column, task in enumerate(TASKS):
        x = looked_up(shared, late, bins[:, column]) if "tables" in words else shared
        own[task.name] = keras.layers.Dense(5, "tanh", name=f"{task.name}_dense")(x)
    model = keras.Model(inputs, {task.name: mz.heads.head(reused(own[task.name]), task) for task in TASKS})
    mapping.MOST_UNROLLED, mapping.MOST_GRADIENTS = (1, 0) if space == "mapped" else UNROLLED
    space = "shared" if space == "mapped" else space
    methods, every = (METHODS[balancer](), METHODS[aggregator]()), 3 if "lasting" in words else 1
    trainer = mz.Trainer(model, TASKS, *methods, space, refresh_every=every, **options)
    trainer.compile(keras.optimizers.SGD(0.1, global_clipnorm=5.0))
    return trainer


def looked_up(x, embedding, indices):
    """Return features, and after them rows of a table."""
    return keras.layers.Concatenate()([x, keras.layers.Flatten()(embedding(indices))])


def make_data():
    """Return inputs and labels, of which the second half of each batch misses most; the last batch is odd."""
    random = np.random.default_rng(0)
    x = random.normal(size=(STEPS * BATCH - 3, 6)).astype("float32")
    late = np.arange(len(x)) % BATCH >= BATCH // 2
    missing = random.random((2, len(x))) < np.where(late, 0.8, 0.1)
    kind = np.where(missing[0], -1, x[:, :3].argmax(axis=1))
    size = np.where(missing[1], np.nan, x.sum(axis=1)).astype("float32")
    return x, {"kind": kind, "size": size}


def train(trainer):
    """Return the logs, and all weights of model and methods."""
    dataset = tf.data.Dataset.from_tensor_slices(make_data()).batch(BATCH)
    callbacks = []
    if "BACKUP" in os.environ:
        slow = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.2))
        callbacks = [slow, mz.callbacks.Resume(os.environ["BACKUP"], every=1)]
    options = {"validation_data": dataset.take(1), "epochs": EPOCHS, "callbacks": callbacks, "verbose": 0}
    if trainer.balancer is not None and trainer.balancer.needs_meta:
        options["meta_data"] = dataset.unbatch().batch(BATCH - 5)  # of another size than the batches
    history = trainer.fit(dataset, **options).history
    parts = [part for part in (trainer.model, trainer.balancer, trainer.aggregator) if part is not None]
    weights = [variable.numpy() for part in parts for variable in part.variables]
    return history, {str(index): weight for index, weight in enumerate(weights)}


if __name__ == "__main__":
    main()
