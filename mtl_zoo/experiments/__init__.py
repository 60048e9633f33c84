"""What was chosen for a training, the training, and the directory that it leaves behind."""

from mtl_zoo.experiments.recipe import Recipe as Recipe
from mtl_zoo.experiments.run import Run as Run
from mtl_zoo.experiments.training import train as train
