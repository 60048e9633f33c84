"""Metrics that Keras lacks: for `Task(metrics=...)`, and for models of plain Keras."""

from mtl_zoo.kind_metrics import NDCG as NDCG
from mtl_zoo.kind_metrics import ClassDistance as ClassDistance
from mtl_zoo.kind_metrics import PairwiseAccuracy as PairwiseAccuracy
from mtl_zoo.kind_metrics import PoissonDeviance as PoissonDeviance
from mtl_zoo.metrics.calibration import Calibration as Calibration
from mtl_zoo.metrics.gauc import GAUC as GAUC
from mtl_zoo.metrics.log_loss import LogLoss as LogLoss
