"""A tree of stages, learned with the weights."""

import keras

from mtl_zoo import arguments
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.branch import Branch
from mtl_zoo.validation import check_blueprint


def branching(
    inputs,
    tasks,
    encoder,
    head=default_head,
    num_branches=None,
    temperature=5.0,
    minimum_temperature=0.5,
    decay=1e-3,
):
    """Build several nodes per stage, each of which learns on which node of the stage before it grows.

    In training a node sees a mixture of its possible parents; at inference, as in what is exported, only the
    likeliest one, which makes a tree. `mtl_zoo.branches.harden` returns that tree without the other nodes.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_branches: Number of nodes per stage. Defaults to `None`: the number of tasks.
        temperature: Temperature of the choices at the first step of training. Defaults to 5.
        minimum_temperature: Least temperature. Defaults to 0.5.
        decay: Rate of the temperature's exponential fall per step. Defaults to 1e-3.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.branching(keras.Input((8,)), tasks, mz.encoders.mlp(16, 8))
    >>> model.get_layer("branch_1").choices()
    array([0, 0])

    Reference:
        [Guo et al., 2020](https://arxiv.org/abs/2006.01895)

    Note:
        The paper retrains the tree it found from scratch; here the weights found on the way stay, and
        `harden` is what to retrain or to fine-tune. The paper's layers are stages here.
    """
    check_blueprint(inputs, tasks, encoder, head)
    num_branches = len(tasks) if num_branches is None else num_branches
    num_branches = arguments.integer("num_branches", num_branches, 1, arguments.COPIES)
    temperature = arguments.number("temperature", temperature, above=0)
    minimum_temperature = arguments.number(
        "minimum_temperature", minimum_temperature, above=0, most=temperature
    )
    decay = arguments.number("decay", decay, least=0)
    widths = [num_branches] * (len(encoder) - 1) + [len(tasks)]
    features = [inputs] * num_branches
    for index, (stage, width) in enumerate(zip(encoder, widths, strict=True), start=1):
        features = [stage(x, f"node_{node}_{index}") for node, x in enumerate(features, start=1)]
        unit = Branch(width, temperature, minimum_temperature, decay, name=f"branch_{index}")
        features = unit(features)
    outputs = {task.name: head(x, task) for x, task in zip(features, tasks, strict=True)}
    return keras.Model(inputs, outputs, name="branching")
