"""Optimizers that large embeddings need and Keras does not have."""

from mtl_zoo.optimizers.lazy_adam import LazyAdam as LazyAdam
from mtl_zoo.optimizers.sparse_adagrad import SparseAdagrad as SparseAdagrad
