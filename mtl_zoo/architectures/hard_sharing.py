"""One encoder for all tasks."""

import keras

from mtl_zoo.encoders.encode import encode
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def hard_sharing(inputs, tasks, encoder, head=default_head):
    """Build one shared encoder with a head per task.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, or two tasks share a name.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> model.output["price"].shape
    (None, 1)

    Reference:
        [Caruana, 1997](https://doi.org/10.1023/A:1007379606734)
    """
    check_blueprint(inputs, tasks, encoder, head)
    features = encode(inputs, encoder, "shared")
    return keras.Model(inputs, {task.name: head(features, task) for task in tasks}, name="hard_sharing")
