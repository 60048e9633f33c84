"""A chain of conversions, each learned over all examples."""

import keras

from mtl_zoo.architectures._chains import check_binary, check_everywhere
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.encoders.encode import encode
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.chain_of_probabilities import ChainOfProbabilities
from mtl_zoo.validation import check_blueprint


def esmm(inputs, tasks, encoder, head=default_head, shared_stages=None):
    """Build towers whose probabilities multiply: impression to click to purchase, and so on.

    Tower i gives the probability of event i given all events before it. The output of task i is the logit of
    the product of the first i towers' probabilities: that all these events happen. So each tower is trained
    on all examples, also where an earlier event did not happen: label every task for every example, 1 where
    the event and all before it happened, else 0 (a purchase implies a click; no click, no purchase).

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of binary `Task`s, in the order of the events.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        shared_stages: Number of leading stages that the towers share, in the paper the embeddings. Defaults
            to `None`: none for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`. The layers `{task}_logits` hold the
        conditional logits.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, a task is not binary, or
            has a `where`.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.binary("purchase")]
    >>> model = mz.architectures.esmm(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> click, purchase = model(np.ones((1, 8))).values()
    >>> bool(purchase < click)
    True

    Reference:
        [Ma et al., 2018](https://arxiv.org/abs/1804.07931)
    """
    check_blueprint(inputs, tasks, encoder, head)
    check_binary(tasks)
    check_everywhere(tasks)
    x, stages = first_stages(inputs, encoder, shared_stages)
    logits = [head(encode(x, stages, task.name), task) for task in tasks]
    outputs = {tasks[0].name: logits[0]}
    for before, task, conditional in zip(tasks, tasks[1:], logits[1:], strict=False):
        chain = ChainOfProbabilities(name=f"{task.name}_chain")
        outputs[task.name] = chain([outputs[before.name], conditional])
    return keras.Model(inputs, outputs, name="esmm")
