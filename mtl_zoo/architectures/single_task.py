"""One network per task: the baseline that sharing must beat."""

import keras

from mtl_zoo.encoders.encode import encode
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def single_task(inputs, tasks, encoder, head=default_head):
    """Build a separate encoder and head per task, with nothing in common but the inputs.

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
    >>> model = mz.architectures.single_task(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> [layer.name for layer in model.layers if "dense" in layer.name]
    ['click_1_dense', 'price_1_dense']
    """
    check_blueprint(inputs, tasks, encoder, head)
    outputs = {task.name: head(encode(inputs, encoder, task.name), task) for task in tasks}
    return keras.Model(inputs, outputs, name="single_task")
