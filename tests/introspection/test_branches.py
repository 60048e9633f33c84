import subprocess
import sys

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import branching, hard_sharing
from mtl_zoo.introspection.branches import harden, tree
from tests.architectures.harness import TASKS, batch, build, step


@pytest.fixture
def model():
    model = build(branching)
    model.get_layer("branch_1").logits.assign([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    model.get_layer("branch_2").logits.assign([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    return model


def test_tree(model):
    assert {name: choice.tolist() for name, choice in tree(model).items()} == {
        "branch_1": [1, 0, 1],
        "branch_2": [0, 2, 2],
    }


def test_a_hardened_model_has_one_path_per_task_and_no_other_node(model):
    # Tasks grow on nodes 1, 3, 3 of stage 2, which both grow on node 2 of stage 1.
    names = {layer.name for layer in harden(model).layers if "dense" in layer.name}
    assert names == {"node_2_1_dense", "node_1_2_dense", "node_3_2_dense"}
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert harden(model).count_params() == (5 * 4 + 4) + 2 * (4 * 3 + 3) + heads


def test_a_hardened_model_gives_the_same_values_and_trains(model):
    x, _ = batch()
    tree_alone = harden(model)
    for name, logits in model(x).items():
        np.testing.assert_array_equal(tree_alone(x)[name], logits)
    before = [variable.numpy() for variable in tree_alone.trainable_variables]
    step(tree_alone, aggregator=mz.aggregators.PCGrad(seed=0))
    after = tree_alone.trainable_variables
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_hardened_model_saves_and_exports_without_the_other_nodes(model, tmp_path):
    x, _ = batch()
    alone = harden(model)
    alone.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x)["odd"], model(x)["odd"])
    mz.exporting.saved_model(alone, TASKS, tmp_path / "1")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1] + '/1')\n"
        "x = np.load(sys.argv[1] + '/x.npy')\n"
        "np.save(sys.argv[1] + '/y.npy', model.signatures['size'](x=tf.constant(x))['size'])\n"
        "print(len(model.variables_of_model))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == len(alone.variables) == 12
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(x)["size"], rtol=1e-5)


@pytest.mark.parametrize("function", [tree, harden])
def test_errors(function):
    with pytest.raises(
        ValueError, match=r"must have branching units. Received: model 'hard_sharing', without"
    ):
        function(build(hard_sharing))
