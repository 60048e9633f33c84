"""How sure a mean over seeds is."""

import math

import numpy as np

from mtl_zoo import arguments


def interval(values, level=0.95):
    """Return the mean of values of several seeds and a confidence interval for it, by Student's t.

    It holds for values that are independent draws of about a normal distribution: one per seed, each relative
    to the baseline of its own seed. Differences from one baseline for all would share its error.

    Args:
        values: Finite numbers, one per seed.
        level: Probability that the interval covers the expected value. Defaults to 0.95.

    Returns:
        Tuple of the mean and the bounds below and above it; these are `None` where there is one seed.

    Raises:
        ValueError: If there are no values, or one is not finite.

    Reference:
        [Student, 1908](https://doi.org/10.1093/biomet/6.1.1)

    Example:

    >>> mean, low, high = interval([1.0, 2.0, 3.0])  # 2 -+ 4.303 / sqrt(3)
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (2.0, -0.484, 4.484)
    >>> interval([1.5])
    (1.5, None, None)
    """
    level = arguments.number("level", level, above=0, below=1)
    values = arguments.numbers("values", values)
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean, None, None
    from scipy.stats import t

    half = float(t.ppf(0.5 + level / 2, len(values) - 1)) * _standard_error(values)
    return mean, mean - half, mean + half


def paired_difference(values, reference, level=0.95):
    """Return the mean difference between two methods over the same seeds, and how sure it is.

    What the seeds do to both methods alike (the split, the order of the data) cancels.

    Args:
        values: Finite numbers, one per seed.
        reference: Numbers of the other method, of the same seeds in the same order.
        level: As for `interval`.

    Returns:
        Tuple of the mean of `values - reference`, the bounds as of `interval`, and the two-sided p value of
        Student's paired t test; bounds and p value are `None` where there is one seed.

    Raises:
        ValueError: If there are no values, one is not finite, or they are not of as many seeds.

    Example:

    >>> difference, low, high, p = paired_difference([2.0, 3.0, 5.0], [1.0, 1.0, 2.0])
    >>> difference, round(p, 3)  # t = 2 sqrt(3), with 2 degrees of freedom
    (2.0, 0.074)
    """
    values, reference = (
        arguments.numbers(*given) for given in (("values", values), ("reference", reference))
    )
    if len(values) != len(reference):
        raise ValueError(
            "`values` and `reference` must be of the same seeds. "
            f"Received: {len(values)} and {len(reference)} of them"
        )
    differences = np.subtract(values, reference).tolist()
    return *interval(differences, level), _p_value(differences)


def holm(p_values):
    """Return p values adjusted for their number: the chance of one false alarm among all stays below each.

    Args:
        p_values: Numbers from 0 to 1; `None` where there was no test, which stays and does not count.

    Returns:
        List of numbers in the same order.

    Raises:
        ValueError: If one is not between 0 and 1.

    Reference:
        [Holm, 1979](https://www.jstor.org/stable/4615733)

    Example:

    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    tests = [index for index, p in enumerate(p_values) if p is not None]
    tests.sort(key=lambda index: arguments.number("p_values", p_values[index], least=0, most=1))
    adjusted, largest = list(p_values), 0.0
    for rank, index in enumerate(tests):
        largest = max(largest, min(1.0, (len(tests) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _standard_error(values):
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def _p_value(differences):
    """Return the p value of the t test that the mean is 0; 1 where there is no difference at all."""
    if len(differences) == 1:
        return None
    from scipy.stats import t

    mean, error = float(np.mean(differences)), _standard_error(differences)
    if not mean:
        return 1.0
    return 2.0 * float(t.sf(abs(mean) / error, len(differences) - 1)) if error else 0.0
