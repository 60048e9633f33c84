"""Names that docstring examples use, and a quiet TensorFlow."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault(  # tests compile much and run little
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

tf.config.threading.set_intra_op_parallelism_threads(1)  # networks are tiny, processes share processors

gc.collect()
gc.freeze()  # what was imported stays: to look through it again and again takes a seventh of all the time
gc.set_threshold(50_000, 20, 50)


def pytest_collection_modifyitems(items):
    """Put files with tests that take minutes first, so that no process ends with one alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    doctest_namespace.update(keras=keras, mz=mz, np=np, tf=tf)


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _clear_session():
    yield
    keras.backend.clear_session()  # which collects what is left
    gc.freeze()  # what a module leaves behind stays, too
