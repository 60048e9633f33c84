"""Pictures of a run."""

from mtl_zoo.plots.gradient_health import curves as curves
from mtl_zoo.plots.gradient_health import dense as dense
from mtl_zoo.plots.gradient_health import gradient_health as gradient_health
from mtl_zoo.plots.gradient_health import heat_maps as heat_maps
from mtl_zoo.plots.gradient_health import tree as tree
