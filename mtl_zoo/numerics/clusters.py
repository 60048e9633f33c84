"""Groups of numbers that are close to one another."""

from keras import ops

INFINITY = float("inf")


def group_means(values, present, num_groups):
    """Return every number's group mean, with groups of the smallest sum of squared distances to their means.

    This is k-means of numbers, whose best groups are intervals: they are found exactly, by dynamic
    programming over the numbers in order (Fisher, 1958).

    Args:
        values: Tensor `[T]` of numbers that are not negative.
        present: Tensor `[T]`, 1 for the numbers that count and 0 for the others, whose answer is 0.
        num_groups: Largest number of groups. There are fewer if there are fewer different numbers.

    Returns:
        Tensor `[T]`.

    Example:

    >>> group_means(np.float32([9.0, 1.0, 3.0, 10.0]), np.ones(4, "float32"), 2).numpy()
    array([9.5, 2. , 2. , 9.5], dtype=float32)
    """
    values = present * values
    order = ops.argsort(ops.where(present > 0, values, INFINITY))
    values, present = ops.take(values, order), ops.take(present, order)
    scale = ops.max(values)
    costs = _costs(ops.divide_no_nan(values, scale), present)
    means = ops.zeros_like(values)
    for group in _intervals(costs, min(num_groups, values.shape[0])):
        group = group * present
        means = means + group * ops.divide_no_nan(ops.sum(group * values), ops.sum(group))
    return ops.take(means, ops.argsort(order))


def _costs(values, present):
    """Return the sums of squared distances of sorted values from `start` to before `end`, `[T + 1, T + 1]`.

    They are sums of what each value adds to the one before (Welford, 1962), none of which is negative.
    """
    count, total = (ops.pad(ops.cumsum(x), [[1, 0]]) for x in (present, present * values))
    size = count[None, :-1] - count[:, None]  # of the values from `start` to before the next one
    mean = ops.divide_no_nan(total[None, :-1] - total[:, None], size)
    added = present * ops.square(values - mean) * ops.divide_no_nan(size, size + present)
    place = ops.arange(values.shape[0] + 1)
    added = ops.where(place[None, :-1] > place[:, None], added, 0.0)
    costs = ops.pad(ops.cumsum(added, axis=1), [[0, 0], [1, 0]])
    return ops.where(place[None, :] < place[:, None], INFINITY, costs)


def _intervals(costs, num_groups):
    """Yield the places of the sorted values that are in each of the best groups, `[T]` of 1 and 0."""
    size = costs.shape[0]
    best, starts = costs[0], []
    for _ in range(num_groups - 1):
        sums = best[:, None] + costs
        starts.append(ops.argmin(sums, axis=0))
        best = ops.min(sums, axis=0)
    place, end = ops.arange(size - 1), size - 1
    for chosen in reversed(starts):
        start = ops.cast(ops.take(chosen, end), place.dtype)
        yield ops.cast(ops.logical_and(place >= start, place < end), costs.dtype)
        end = start
    yield ops.cast(place < end, costs.dtype)
