"""Which differences between methods are larger than chance."""

from typing import NamedTuple

from mtl_zoo.evaluation.intervals import holm, paired_difference

LEVEL = 0.95


class Comparison(NamedTuple):
    """The difference in δm between a method and what it is compared with, paired by seed.

    Args:
        method: `Method`.
        reference: `Method`: equal weighting of the same architecture, or single-task models for that.
        seeds: Tuple of the seeds that both have.
        difference: Mean difference, in points of δm; positive is better.
        low: Lower bound of its interval; `None` with one seed.
        high: Upper bound, likewise.
        p_value: Of the paired t test, corrected for the number of comparisons; likewise.
    """

    method: object
    reference: object
    seeds: tuple
    difference: float
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def is_beyond_chance(self):
        """Whether it is larger than chance, however many comparisons there are."""
        return self.p_value is not None and self.p_value < 1 - LEVEL


def comparisons(methods, reference, deltas):
    """Return what the methods of a study gain over what they are compared with.

    All comparisons of a study count as one family in Holm's correction.

    Args:
        methods: Sequence of `Method`.
        reference: Function from a method to the one that it is compared with, or `None`.
        deltas: Function from a method to a dictionary from seeds to δm.

    Returns:
        List of `Comparison`, without those that have no seed in common.
    """
    found = [
        _compared(method, reference(method), deltas(method), deltas(reference(method)))
        for method in methods
        if reference(method) is not None
    ]
    found = [comparison for comparison in found if comparison]
    corrected = holm([comparison.p_value for comparison in found])
    return [x._replace(p_value=p) for x, p in zip(found, corrected, strict=True)]


def verdict(found):
    """Return what comparisons say, in plain words.

    Args:
        found: List of `Comparison`.

    Returns:
        Lines of Markdown.
    """
    tested = [comparison for comparison in found if comparison.p_value is not None]
    if not tested:
        return [
            "There are no intervals with one seed, so none of these differences can be told from chance: "
            "give several `--seeds`."
            if found
            else "There is nothing to compare: no method and its reference have a seed in common."
        ]
    beyond = [comparison for comparison in tested if comparison.is_beyond_chance]
    if not beyond:
        return [_none_beyond(tested)]
    some = f"{len(beyond)} of {len(tested)} differences" if len(tested) > 1 else "The only difference"
    verb = "is" if len(beyond) == 1 else "are"
    lines = [f"{some} {verb} larger than chance, corrected for their number (Holm):", ""]
    return lines + [f"- {_sentence(comparison)}" for comparison in beyond]


def _compared(method, reference, values, others):
    seeds = tuple(seed for seed in values if seed in others)
    if not seeds:
        return None
    found = paired_difference([values[x] for x in seeds], [others[x] for x in seeds], LEVEL)
    return Comparison(method, reference, seeds, *found)


def _none_beyond(tested):
    largest = max(tested, key=lambda comparison: abs(comparison.difference))
    seeds = min(len(comparison.seeds) for comparison in tested)
    first = f"None of {len(tested)} differences is larger than chance, corrected for their number (Holm)."
    first = first if len(tested) > 1 else "The only difference is not larger than chance."
    return (
        f"{first} The largest: {_sentence(largest)} With {seeds} seeds only large differences can be told "
        "from chance; what is not proven different is not proven equal."
    )


def _sentence(comparison):
    size = f"{abs(comparison.difference):.2f}"
    place = "above" if comparison.difference > 0 else "below"
    bounds = f"95% interval {comparison.low:+.2f} to {comparison.high:+.2f}"
    return (
        f"{comparison.method.name} is {size} points of δm {place} {comparison.reference.name} "
        f"({bounds}; corrected p = {comparison.p_value:.3f})."
    )
