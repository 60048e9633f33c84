"""An embedding table for all tasks and one per task, whose experts learn from their own task alone."""

import keras
from keras import layers, ops

from mtl_zoo import arguments
from mtl_zoo.architectures._experts import make_experts, mix, softmax_gate
from mtl_zoo.architectures._first_stages import divide
from mtl_zoo.encoders.encode import encode
from mtl_zoo.features import current
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def stem(
    inputs,
    tasks,
    encoder,
    head=default_head,
    num_shared_experts=1,
    num_task_experts=1,
    table_stages=None,
):
    """Build T + 1 copies of the embeddings, experts on each, and a gate per task over all experts.

    All experts lie before every task, but a task's loss changes its own experts and table and the shared
    ones alone: what comes from other tasks' experts passes no gradient back ("all forward, task-specific
    backward"). So one table cannot be pulled where tasks disagree about who is like whom.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of T `Task`s.
        encoder: Sequence of stages: the tables, then the experts.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        num_shared_experts: Number of experts on the shared table. Defaults to 1.
        num_task_experts: Number of experts on each task's table. Defaults to 1.
        table_stages: Number of leading stages that make the embeddings. Defaults to `None`: one where there
            are several stages, else none. Without any, all experts see the input.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or a number is out of range.

    Example:

    >>> data = {"user": np.array([7, 8]), "page": np.array(["home", "cart"])}
    >>> encoder = mz.encoders.tabular(data, 16)
    >>> inputs, tasks = mz.encoders.tabular_inputs(data), [mz.Task.binary("click"), mz.Task.binary("like")]
    >>> model = mz.architectures.stem(inputs, tasks, encoder)
    >>> sorted(layer.name for layer in model.layers if "user_embedding" in layer.name)
    ['click_1_user_embedding', 'like_1_user_embedding', 'shared_1_user_embedding']

    Reference:
        [Su et al., 2024](https://arxiv.org/abs/2308.13537)

    Note:
        As in the authors' code, a task's gate sees the sum of its own and the shared embeddings. There it is
        a network of two hidden layers by default, here one linear layer, as for `mmoe`. Sequences and maps
        are averaged over positions before a gate sees them. Lookups of words and normalized numbers have no
        weights: their copies cost time alone.
    """
    check_blueprint(inputs, tasks, encoder, head)
    num_shared_experts = arguments.integer("num_shared_experts", num_shared_experts, 1, arguments.COPIES)
    num_task_experts = arguments.integer("num_task_experts", num_task_experts, 1, arguments.COPIES)
    table_stages = min(1, len(encoder) - 1) if table_stages is None else table_stages
    first, rest = divide(inputs, encoder, table_stages, "table_stages")
    names = [task.name for task in tasks]
    tables = {name: encode(inputs, first, name) for name in ("shared", *names)}
    experts = {
        name: make_experts(
            x, rest, f"{name}_expert", num_shared_experts if name == "shared" else num_task_experts
        )
        for name, x in tables.items()
    }
    outputs = {task.name: head(_gated(tables, experts, task.name), task) for task in tasks}
    return keras.Model(inputs, outputs, name="stem")


def _gated(tables, experts, name):
    """Mix all experts for a task: its own first, whose masks count, then the shared ones and the others'."""
    others = [x for other, found in experts.items() if other not in (name, "shared") for x in found]
    everyone = [*experts[name], *experts["shared"], *map(_stopped, others)]
    own, shared = current(tables[name]), current(tables["shared"])
    seen = own if own is shared else layers.Add(name=f"{name}_seen")([own, shared])
    return mix(softmax_gate(seen, len(everyone), name), everyone, name)


def _stopped(x):
    """Return features, one tensor or a list, without a way back for gradients."""
    return keras.tree.map_structure(ops.stop_gradient, x)
