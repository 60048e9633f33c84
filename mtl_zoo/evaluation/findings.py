"""A probe in words: which tasks conflict, whose gradients are long, whose labels are rare."""

import itertools

CONFLICT = -0.1  # mean cosine below which two tasks conflict: clearly below 0, in spite of noise
LONGER = 3.0  # times as long as the shortest gradient the longest must be to count as longer
RARE = 0.2  # part of labels below which they are rare
MANY = 3  # findings of one kind that are told one by one
NO_REASON = "There is no reason to expect more from a balancer than from tuned equal weights."
WORTH = {
    "conflict": "an aggregator that settles conflicts, such as pcgrad, cagrad or upgrad",
    "longer": "weights that even out the tasks, such as famo, imtll, nashmtl or tuned static ones",
    "rare": "larger batches, or `accumulate`, for the tasks of few labels",
}


def text(probe):
    """Return what a probe found, in plain sentences.

    Two tasks conflict where the mean cosine of their gradients is below -0.1; a gradient counts as long where
    it is 3 times as long as the shortest or more; labels are rare where less than 20% are there.

    Args:
        probe: `Probe`.

    Returns:
        Text of several lines.

    Example:

    >>> probe = mz.evaluation.Probe(
    ...     ("click", "price"), 64, ((None, -0.3), (-0.3, None)), (0.5, 2.0), (1.0, 1.0)
    ... )
    >>> print(text(probe))
    In 64 updates with equal weights:
    - The gradients of click and price conflict: their mean cosine is -0.30.
    - The gradient of price is 4.0 times as long as that of click.
    - No labels are rare: every task has at least 100% of them.
    <BLANKLINE>
    Worth trying: an aggregator that settles conflicts, such as pcgrad, cagrad or upgrad; weights that ...
    """
    parts = {"conflict": _conflicts(probe), "longer": _lengths(probe), "rare": _rare(probe)}
    lines = [f"- {sentence}" for sentence, _ in parts.values()]
    worth = [WORTH[kind] for kind, (_, is_found) in parts.items() if is_found]
    verdict = f"Worth trying: {'; '.join(worth)}." if worth else NO_REASON
    return "\n".join([f"In {probe.steps} updates with equal weights:", *lines, "", verdict])


def _conflicts(probe):
    """Return a sentence of the pairs that conflict, and whether there are any."""
    pairs = itertools.combinations(range(len(probe.tasks)), 2)
    found = [(probe.cosines[i][j], probe.tasks[i], probe.tasks[j]) for i, j in pairs]
    known = sorted(pair for pair in found if pair[0] is not None)
    if not known:
        return "The tasks share nothing in which their gradients could conflict.", False
    if known[0][0] >= CONFLICT:
        return f"No gradients conflict: the lowest mean cosine of two tasks is {known[0][0]:.2f}.", False
    sentences = [
        f"The gradients of {one} and {other} conflict: their mean cosine is {cosine:.2f}"
        for cosine, one, other in known
        if cosine < CONFLICT
    ]
    return _listed(sentences), True


def _lengths(probe):
    """Return a sentence of the tasks whose gradients are longest, and whether they are much longer."""
    found = sorted((norm, name) for name, norm in zip(probe.tasks, probe.norms, strict=True) if norm)
    if len(found) < 2:
        return "There are no two gradients in what is shared, whose lengths could differ.", False
    shortest, name = found[0]
    longer = [(norm / shortest, other) for norm, other in reversed(found) if norm >= LONGER * shortest]
    if not longer:
        ratio = found[-1][0] / shortest
        return f"The gradients are of similar length: the longest is {ratio:.1f} times the shortest.", False
    return _listed(
        [f"The gradient of {other} is {ratio:.1f} times as long as that of {name}" for ratio, other in longer]
    ), True


def _rare(probe):
    """Return a sentence of the tasks whose labels are rare, and whether there are any."""
    found = sorted(zip(probe.labelled, probe.tasks, strict=True))
    rare = [f"{name} has {part:.1%} of its labels" for part, name in found if part < RARE]
    if not rare:
        return f"No labels are rare: every task has at least {found[0][0]:.0%} of them.", False
    return _listed(rare), True


def _listed(sentences):
    """Return the first of several sentences as one, and how many there are besides."""
    more = len(sentences) - MANY
    told = "; ".join(sentences[:MANY]).replace("; The ", "; the ")
    return told + (f"; and {more} more" if more > 0 else "") + "."
