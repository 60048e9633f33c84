"""Random shares that sum to 1: of Dirichlet distributions, by way of gamma variates."""

import keras
from keras import ops

CANDIDATES = 8  # at least 95% of them are accepted
TINY = 1e-30


def dirichlet(shape, alpha, dtype, seed):
    """Sample shares along the last axis.

    Args:
        shape: Shape of the result, which may hold scalar tensors.
        alpha: Concentration, a positive number: below 1 mostly one share is large, 1 is uniform, and large
            values give nearly equal shares.
        dtype: Dtype of the result.
        seed: `keras.random.SeedGenerator`.

    Example:

    >>> shares = dirichlet((4, 3), 1.0, "float32", keras.random.SeedGenerator(0))
    >>> np.sum(shares, axis=1).round(4)
    array([1., 1., 1., 1.], dtype=float32)
    """
    return ops.softmax(log_gamma(shape, alpha, dtype, seed), axis=-1)


def log_gamma(shape, alpha, dtype, seed):
    """Sample logarithms of gamma variates, by Marsaglia and Tsang's method: XLA has no operation for them.

    A sample for `alpha + 1` times `uniform ** (1 / alpha)` is one for `alpha`. The softmax of such samples
    has a Dirichlet distribution. Arguments are those of `dirichlet`.

    Reference:
        [Marsaglia and Tsang, 2000](https://doi.org/10.1145/358407.358414)
    """
    shift = alpha + 2.0 / 3.0
    normal = keras.random.normal((CANDIDATES, *shape), dtype=dtype, seed=seed)
    uniform = keras.random.uniform((CANDIDATES + 1, *shape), minval=TINY, dtype=dtype, seed=seed)
    cube = ops.maximum(1.0 + normal / (9.0 * shift) ** 0.5, 1e-6) ** 3
    score = 0.5 * ops.square(normal) + shift * (1.0 - cube + ops.log(cube))
    first = ops.argmax(ops.log(uniform[:-1]) < score, axis=0)
    accepted = ops.take_along_axis(ops.log(cube), first[None], axis=0)[0]
    return accepted + ops.log(uniform[-1]) / alpha
