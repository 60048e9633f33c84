"""The constructors of `Task`: one for every kind."""

from mtl_zoo import arguments, kinds


def classification(
    cls,
    name,
    num_classes,
    *,
    loss=None,
    metrics=None,
    from_logits=None,
    headline=None,
    class_weight=None,
    label_smoothing=0,
    where=None,
):
    """One class of `num_classes` per example; labels `[batch]`, logits `[batch, num_classes]`."""
    fields = kinds.classification(_entries("num_classes", num_classes))
    return _make(
        cls, name, fields, loss, metrics, from_logits, headline, class_weight, label_smoothing, where
    )


def binary(
    cls,
    name,
    *,
    loss=None,
    metrics=None,
    from_logits=None,
    headline=None,
    class_weight=None,
    label_smoothing=0,
    where=None,
):
    """Yes or no; labels `[batch]` or `[batch, 1]` of 0 and 1, logits `[batch, 1]`."""
    fields = kinds.sigmoid(1)
    return _make(
        cls, name, fields, loss, metrics, from_logits, headline, class_weight, label_smoothing, where
    )


def multilabel(
    cls,
    name,
    n,
    *,
    loss=None,
    metrics=None,
    from_logits=None,
    headline=None,
    class_weight=None,
    label_smoothing=0,
    where=None,
):
    """`n` independent yes-or-no labels; labels and logits `[batch, n]`; each may be missing alone.

    `class_weight` is a dict for all labels, or a list of one for each; `"balanced"` is counted per label.
    """
    fields = kinds.sigmoid(_entries("n", n, 1))
    return _make(
        cls, name, fields, loss, metrics, from_logits, headline, class_weight, label_smoothing, where
    )


def regression(cls, name, units=1, *, loss=None, metrics=None, from_logits=None, headline=None, where=None):
    """`units` numbers by squared error; labels and outputs `[batch, units]` (`[batch]` for one unit)."""
    fields = kinds.regression(_entries("units", units, 1))
    return _make(cls, name, fields, loss, metrics, from_logits, headline, where=where)


def count(cls, name, units=1, *, loss=None, metrics=None, from_logits=None, headline=None, where=None):
    """`units` counts by Poisson regression; labels `[batch, units]` (`[batch]` for one unit) of at least 0.

    The model outputs logarithms `z` of rates and the prediction is `exp(z)`. The loss is `exp(z) - y z`, the
    negative log-likelihood of the label `y` but for what does not depend on the model. Labels below 0 are
    missing, as NaN is, since integers have no NaN.

    Reference:
        [McCullagh and Nelder, 1989](https://doi.org/10.1201/9780203753736), chapter 6

    Note:
        Beyond `z = 80`, just before float32 overflows, the loss goes on along its tangent.

    Example:

    >>> task = mz.Task.count("visits")
    >>> float(task.compute_loss([2, -1], [[1.0], [0.0]]))  # exp(1) - 2
    0.71828...
    """
    fields = kinds.count(_entries("units", units, 1))
    return _make(cls, name, fields, loss, metrics, from_logits, headline, where=where)


def ordinal(
    cls,
    name,
    num_classes,
    *,
    loss=None,
    metrics=None,
    from_logits=None,
    headline=None,
    class_weight=None,
    where=None,
):
    """One of `num_classes` ordered classes per example, by cumulative logits; labels `[batch]`.

    Of the logits `[batch, num_classes]` the first is a score and the others make thresholds in order,
    `t_1 = z_1` and `t_k = t_{k-1} + softplus(z_k)`. Then `P(label >= k) = sigmoid(z_0 - t_k)`; predictions
    are the probabilities of the classes, and the loss is the negative logarithm of that of the label.

    Reference:
        [McCullagh, 1980](https://doi.org/10.1111/j.2517-6161.1980.tb01109.x)

    Note:
        McCullagh's thresholds are the same for all examples. Here they come out of the head, as the score
        does, so that any head will do; one that makes them of a bias alone gives proportional odds.

    Example:

    >>> task = mz.Task.ordinal("stars", 3)
    >>> np.round(task.activation(keras.ops.zeros((1, 3))), 3)  # thresholds 0 and log(2)
    array([[0.5  , 0.167, 0.333]], dtype=float32)
    """
    fields = kinds.ordinal(arguments.integer("num_classes", num_classes, 2, arguments.ENTRIES))
    return _make(cls, name, fields, loss, metrics, from_logits, headline, class_weight, where=where)


def ranking(cls, name, n, *, loss=None, metrics=None, from_logits=None, headline=None, where=None):
    """An order of up to `n` candidates per example, by a logistic loss of pairs; labels `[batch, n]`.

    An example is a group (a query, a user) and its list of candidates. Labels are relevances of at least 0,
    NaN or below 0 where a list has no further candidate; outputs `[batch, n]` are scores. The loss of a list
    is the mean of `log(1 + exp(s_j - s_i))` over its pairs in which candidate `i` is more relevant than `j`.
    A list without such a pair is missing. Another `loss` must give one number per list, and gets labels as
    they are, NaN included.

    The default head scores every position of a sequence `[batch, n, features]` by the same layer; of other
    features it makes one score for each of `n` candidates that are the same for all examples.

    Reference:
        [Burges et al., 2005](https://doi.org/10.1145/1102351.1102363)

    Example:

    >>> task = mz.Task.ranking("hits", 3)
    >>> float(task.compute_loss([[2.0, 0.0, np.nan]], [[1.0, 1.0, 9.0]]))  # one pair, of equal scores: log(2)
    0.69314...
    """
    fields = kinds.ranking(arguments.integer("n", n, 2, arguments.ENTRIES))
    task = _make(cls, name, fields, loss, metrics, from_logits, headline, where=where)
    if task.per != "item" or task.item_size != n:
        raise ValueError(
            f"`loss` of `Task.ranking` must give one number per list of {n} scores. Received: loss={loss!r}, "
            f"which gives one per {'value' if task.per == 'item' else task.per}"
        )
    return task


def segmentation(
    cls,
    name,
    num_classes,
    size=None,
    *,
    loss=None,
    metrics=None,
    from_logits=None,
    headline=None,
    class_weight=None,
    label_smoothing=0,
    where=None,
):
    """One class per pixel; labels `[batch, height, width]`, logits with `num_classes` channels.

    The default head interpolates to `size`, a pair of height and width, if there is one.
    """
    fields = kinds.segmentation(_entries("num_classes", num_classes), size)
    return _make(
        cls, name, fields, loss, metrics, from_logits, headline, class_weight, label_smoothing, where
    )


def dense_regression(
    cls, name, channels, size=None, *, loss=None, metrics=None, from_logits=None, headline=None, where=None
):
    """`channels` numbers per pixel by squared error, on maps `[batch, height, width, channels]`.

    A pixel is missing where any of its channels is NaN. The default head interpolates to `size`, a pair
    of height and width, if there is one.
    """
    fields = kinds.dense_regression(_entries("channels", channels), size)
    return _make(cls, name, fields, loss, metrics, from_logits, headline, where=where)


def tagging(
    cls,
    name,
    num_tags,
    *,
    loss=None,
    metrics=None,
    from_logits=None,
    headline=None,
    class_weight=None,
    label_smoothing=0,
    where=None,
):
    """One tag per token; labels `[batch, length]`, negative for padding, `num_tags` logits each."""
    fields = kinds.tagging(_entries("num_tags", num_tags))
    return _make(
        cls, name, fields, loss, metrics, from_logits, headline, class_weight, label_smoothing, where
    )


def _entries(name, value, least=None):
    return arguments.integer(name, value, least, most=arguments.ENTRIES)


def _make(
    cls,
    name,
    fields,
    loss,
    metrics,
    from_logits,
    headline,
    class_weight=None,
    label_smoothing=0,
    where=None,
):
    fields = kinds.adjusted(fields, loss, metrics, from_logits, label_smoothing)
    return cls(name=name, class_weight=class_weight, headline=headline, where=where, **fields)
