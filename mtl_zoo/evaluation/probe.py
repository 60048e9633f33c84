"""What the data say of balancing, before any method is tried."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a short training with equal weights measured."""

    tasks: tuple

    def text(self):
        """Return the findings in plain sentences."""

    def get_config(self):
        """Return plain values, out of which `from_config` makes the same probe."""

    @classmethod
    def from_config(cls, config):
        """Return the probe that `get_config` described."""

    def plot(self, title=None):
        """Return the picture of the findings."""


def probe(recipe, steps=64):
    """Train a recipe's model a short time with equal weights, and measure the tasks' gradients."""
