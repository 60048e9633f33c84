"""Clicks, conversions after a click, and both, without the bias of learning from clicks alone."""

import keras
from keras import layers, ops

from mtl_zoo.architectures._chains import check_everywhere
from mtl_zoo.architectures._first_stages import first_stages
from mtl_zoo.conversion import SIZES
from mtl_zoo.encoders.encode import encode
from mtl_zoo.heads import head as default_head
from mtl_zoo.kinds import kind_of
from mtl_zoo.layers.chain_of_probabilities import ChainOfProbabilities
from mtl_zoo.task import Task
from mtl_zoo.validation import check_blueprint


def escm2(inputs, tasks, encoder, head=default_head, shared_stages=None):
    """Build a tower for clicks and one for conversions after a click, learned by inverse propensities.

    As in `esmm`, the probability of both is the product of the towers'. But here conversions after a click
    are a task as well, whose loss estimates from the clicked examples what it would be on all: see
    `mtl_zoo.conversion_task`, which makes the task and chooses the estimator. The doubly robust one has a
    third tower, which guesses the error of the second.

    Label the first task for every example, the second where there was a click, and the third for every
    example (1 where there were a click and a conversion, else 0). The paper's weights of the three losses are
    those of a `balancers.Static`.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Three `Task`s: binary, of `mtl_zoo.conversion_task`, binary; of clicks, of conversions after a
            click, and of both.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`, called for binary tasks and for the guess with a
            regression. Defaults to `mtl_zoo.heads.head`.
        shared_stages: Number of leading stages that the towers share, in the paper the embeddings. Defaults
            to `None`: none for one vector of floats, else one where there are several.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`; those of the second task are what
        its loss takes: logits of a conversion and of a click, and the guess.

    Raises:
        ValueError: If the tasks are not these three, there is no stage, two tasks share a name, or the first
            or the third has a `where`.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.conversion_task("bought_if_click"), mz.Task.binary("bought")]
    >>> model = mz.architectures.escm2(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trainer = mz.Trainer(model, tasks, balancer=mz.balancers.Static([1.0, 0.1, 0.1]))
    >>> trainer.compile("adam")
    >>> labels = {"click": [0, 1, 1], "bought_if_click": [-1, 0, 1], "bought": [0, 0, 1]}
    >>> trainer.predict(np.ones((3, 8)), verbose=0)["bought_if_click"].shape
    (3, 1)

    Reference:
        [Wang et al., 2022](https://arxiv.org/abs/2204.05125)

    Note:
        The guess is positive by a softplus. As in the authors' code, the squared difference of error and
        guess, which trains the guess, also changes the tower of conversions.
    """
    check_blueprint(inputs, tasks, encoder, head)
    x, stages = first_stages(inputs, encoder, shared_stages)
    _check(tasks)
    check_everywhere([tasks[0], tasks[2]])
    click, after, both = tasks
    clicked = head(encode(x, stages, click.name), click)
    bought = head(encode(x, stages, after.name), Task.binary(after.name))
    columns = [bought, ops.stop_gradient(clicked)]  # so that the tower of clicks is no part of this task
    if after.output_shape == (SIZES["dr"],):
        guess = f"{after.name}_guess"
        columns.append(head(encode(x, stages, guess), Task.regression(guess)))
    outputs = {
        click.name: clicked,
        after.name: layers.Concatenate(name=f"{after.name}_columns", dtype="float32")(columns),
        both.name: ChainOfProbabilities(name=f"{both.name}_chain")([clicked, bought]),
    }
    return keras.Model(inputs, outputs, name="escm2")


def _check(tasks):
    kinds = [kind_of(task) for task in tasks]
    if kinds != ["binary", "conversion", "binary"]:
        found = ", ".join(f"{task.name} ({kind})" for task, kind in zip(tasks, kinds, strict=True))
        raise ValueError(
            "`tasks` must be three: binary of clicks, of `mtl_zoo.conversion_task`, and binary of both. "
            f"Received: {found}"
        )
