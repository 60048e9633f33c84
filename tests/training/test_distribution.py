"""Several replicas compute what one device computes on the joined batch."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.training import distribution

ROOT = pathlib.Path(__file__).parents[2]
# Of replicas and workers, which do the same, one recipe of each kind: nothing; state of an epoch, state per
# parameter; a second look, random orders; sub-batches, with rows of tables; state that learns, gradients of
# a representation, with rows of tables; weights that last.
OF_WORKERS = (
    "none,none,shared",
    "dwa,moco,shared",
    "famo,pcgrad,shared",
    "none,modo,shared,tables",
    "uncertainty,nashmtl,representation,tables",
    "none,mgda,shared,lasting",
)
INTERRUPTED = "famo,pcgrad,shared"  # by workers that are killed
SHARED = ("nashmtl", "gradnorm", "graddrop", "sdmgrad")
SCALES = ("static_100", "static_10000")
MAPPED = ("sdmgrad",)
REPRESENTATION = ("pcgrad", "trimmedmean", "ntkmtl")
RECIPES = [
    *OF_WORKERS,
    *(f"none,{aggregator},shared" for aggregator in SHARED),
    *(f"none,{aggregator},mapped" for aggregator in MAPPED),
    *(f"none,{aggregator},representation" for aggregator in REPRESENTATION),
    *(f"{balancer},nashmtl,shared" for balancer in SCALES),
    "autolambda,pcgrad,shared,tables",
    "moml,none,shared",
]


def start(replicas, output, recipes=RECIPES, **environment):
    command = [sys.executable, "-m", "tests.distributed", str(replicas), str(output), *recipes]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def check_agreement(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        scale = np.max(np.abs(value), initial=0.0)
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5 * scale, err_msg=name)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Weights, method state and logs of one device, by recipe and name."""
    output = tmp_path_factory.mktemp("one") / "one.npz"
    finish(start(0, output))
    with np.load(output) as arrays:
        return dict(arrays)


@pytest.mark.slow
def test_two_replicas_equal_one_device(expected, tmp_path):
    finish(start(2, tmp_path / "two.npz"))
    with np.load(tmp_path / "two.npz") as found:
        check_agreement(found, expected)
        check_the_scale_of_a_loss_changes_nothing(found)
        check_a_mapped_pass_changes_nothing(found)


def check_the_scale_of_a_loss_changes_nothing(found, method="nashmtl,shared"):
    for name in ["kind_loss", "size_loss", *map(str, range(14))]:  # the variables of the model
        plain = found[f"none,{method}|{name}"]
        for balancer in SCALES:
            scaled, scale = found[f"{balancer},{method}|{name}"], np.max(np.abs(plain))
            np.testing.assert_allclose(scaled, plain, rtol=0, atol=1e-3 * scale, err_msg=name)


def check_a_mapped_pass_changes_nothing(found):
    for method in MAPPED:
        for name in ["loss", *map(str, range(14))]:
            mapped, plain = (found[f"none,{method},{space}|{name}"] for space in ("mapped", "shared"))
            np.testing.assert_allclose(mapped, plain, rtol=1e-4, atol=1e-5, err_msg=name)


def of_recipes(expected, recipes):
    assert set(recipes) <= set(RECIPES)
    return {name: value for name, value in expected.items() if name.split("|")[0] in recipes}


def start_workers(outputs, recipes, **environment):
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{free.getsockname()[1]}" for free in (first, second)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
    return [
        start(1, output, recipes, TF_CONFIG=json.dumps(task), **environment)
        for output, task in zip(outputs, tasks, strict=True)
    ]


@pytest.mark.slow
def test_two_workers_equal_one_device(expected, tmp_path):
    outputs = [tmp_path / f"{index}.npz" for index in range(2)]
    recipes = [recipe for recipe in OF_WORKERS if recipe != INTERRUPTED]
    for worker in start_workers(outputs, recipes):
        finish(worker)
    for output in outputs:
        with np.load(output) as found:
            check_agreement(found, of_recipes(expected, recipes))


@pytest.mark.slow
def test_workers_go_on_after_one_was_killed(expected, tmp_path):
    recipe, backup = INTERRUPTED, tmp_path / "backup"
    outputs = [tmp_path / f"{index}.npz" for index in range(2)]
    workers = start_workers(outputs, [recipe], BACKUP=str(backup))
    deadline = time.monotonic() + 300
    while not any(backup.glob("checkpoint-000005-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers[1].kill()
    for worker in workers:
        worker.kill()  # the chief waits for the other one in vain, or has given up
        worker.communicate()
    assert not any(output.exists() for output in outputs)
    for worker in start_workers(outputs, [recipe], BACKUP=str(backup)):
        finish(worker)
    for output in outputs:
        with np.load(output) as found:
            check_agreement(found, of_recipes(expected, [recipe]))


def test_one_replica_has_nothing_to_add_up():
    values = [tf.constant(1.0), None, {"x": tf.constant(2.0)}]
    assert distribution.all_reduce(values) is values
    assert distribution.num_replicas() == 1


def test_one_process_leaves_the_dataset_alone():
    dataset = tf.data.Dataset.range(4)
    strategy = tf.distribute.get_strategy()
    assert not distribution.has_workers(strategy)
    assert distribution.spread(dataset, strategy) is dataset


def test_several_devices_need_a_keras_that_counts_on_them(monkeypatch):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    monkeypatch.setattr(keras, "__version__", "3.10.0")
    distribution.check_keras(strategy)
    monkeypatch.setattr(keras, "__version__", "3.9.2")
    distribution.check_keras(tf.distribute.get_strategy())
    with pytest.raises(ValueError, match=r"must be 3\.10 or newer.*MirroredStrategy\. Received: 3\.9\.2"):
        distribution.check_keras(strategy)
