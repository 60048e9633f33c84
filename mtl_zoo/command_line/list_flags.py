"""Flags that are lists: of choices, of numbers, of methods."""

from absl import flags

from mtl_zoo.experiments import argument_text
from mtl_zoo.experiments.names import check_exported, exported


class ChoicesParser(flags.ArgumentParser):
    """Reads choices with commas between them, such as `equal,static:weights=[1, 2]`; checks their names.

    Args:
        kind: Kind of what is chosen, as `mtl_zoo.experiments.choices.FAMILIES` has it.
    """

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def parse(self, argument):
        """Return a list of texts."""
        found = argument_text.split(argument)
        for text in found:
            check_exported(self.kind, text)
        return found


class MethodsParser(flags.ArgumentParser):
    """Reads methods with commas between them: a balancer, an aggregator, or `balancer+aggregator`."""

    def parse(self, argument):
        """Return a list of pairs of a balancer and an aggregator, as texts."""
        return [pair_of(text) for text in argument_text.split(argument)]


class NumbersParser(flags.ArgumentParser):
    """Reads numbers with commas between them.

    Args:
        kind: `int` or `float`.
    """

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def parse(self, argument):
        """Return a list of numbers."""
        try:
            return [self.kind(text) for text in argument.split(",")]
        except ValueError:
            numbers = "whole numbers" if self.kind is int else "numbers"
            raise ValueError(f"must be {numbers} with commas between them") from None


def pair_of(text):
    """Return the pair of a balancer and an aggregator that a method's text tells.

    Raises:
        ValueError: If it is neither.

    Example:

    >>> pair_of("famo"), pair_of("cagrad:c=0.4"), pair_of("uncertainty+pcgrad")
    (('famo', 'none'), ('equal', 'cagrad:c=0.4'), ('uncertainty', 'pcgrad'))
    """
    left, _, right = text.rpartition("+")
    for balancer, aggregator in ((left, right), (text, "none"), ("equal", text)):
        if _is_known("balancer", balancer) and _is_known("aggregator", aggregator):
            return balancer, aggregator
    balancers, aggregators = (", ".join(exported(kind)) for kind in ("balancer", "aggregator"))
    raise ValueError(
        f"A method must be one of the balancers {balancers}, one of the aggregators {aggregators}, or "
        f"balancer+aggregator. Received: {text!r}"
    )


def _is_known(kind, text):
    try:
        check_exported(kind, text)
    except ValueError:
        return False
    return True
