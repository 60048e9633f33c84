"""Pictures of a run."""

from mtl_zoo.plots.curves import curves as curves
from mtl_zoo.plots.delta_m import delta_m as delta_m
from mtl_zoo.plots.dense import dense as dense
from mtl_zoo.plots.gradient_health import gradient_health as gradient_health
from mtl_zoo.plots.heat_maps import heat_maps as heat_maps
from mtl_zoo.plots.task_gradients import task_gradients as task_gradients
from mtl_zoo.plots.task_matrix import task_matrix as task_matrix
from mtl_zoo.plots.trade_off import trade_off as trade_off
from mtl_zoo.plots.tree import tree as tree
