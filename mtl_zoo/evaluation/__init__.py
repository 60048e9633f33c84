"""Measures by which methods are compared, and what the data say before any method is tried."""

from mtl_zoo.evaluation.compare import compare as compare
from mtl_zoo.evaluation.delta_m import delta_m as delta_m
from mtl_zoo.evaluation.gauc import gauc as gauc
from mtl_zoo.evaluation.hypervolume import hypervolume as hypervolume
from mtl_zoo.evaluation.hypervolume import pareto_front as pareto_front
from mtl_zoo.evaluation.intervals import holm as holm
from mtl_zoo.evaluation.intervals import interval as interval
from mtl_zoo.evaluation.intervals import paired_difference as paired_difference
from mtl_zoo.evaluation.ndcg import ndcg as ndcg
from mtl_zoo.evaluation.probe import Probe as Probe
from mtl_zoo.evaluation.probe import probe as probe
from mtl_zoo.evaluation.ranks import mean_rank as mean_rank
from mtl_zoo.headlines import headline_metrics as headline_metrics
