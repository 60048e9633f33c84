"""Callbacks of `Trainer.fit`."""

from mtl_zoo.callbacks.gradient_monitor import GradientMonitor as GradientMonitor
from mtl_zoo.callbacks.resume import Resume as Resume
from mtl_zoo.training.progress import TrainingProgress as TrainingProgress
