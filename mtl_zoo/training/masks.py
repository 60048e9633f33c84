"""What a model masks in its outputs: the places that are padding, of which no label counts."""

import dataclasses

import keras

from mtl_zoo import graphs
from mtl_zoo.items import check_marker, hidden, mask_of


@dataclasses.dataclass(frozen=True)
class Masks:
    """The masks of the outputs for one batch.

    Args:
        of_tasks: Dict from names of tasks to boolean tensors, as Keras keeps them with outputs.
    """

    of_tasks: dict

    def hide(self, task, labels):
        """Return the labels of a task, out of those of all, without what is masked."""
        return hidden(task, task.labels_of(labels), self.of_tasks.get(task.name))

    def hide_all(self, tasks, labels):
        """Return the same for every task, in a list."""
        return [self.hide(task, labels) for task in tasks]


def model_of(model, tasks):
    """Return the part of a model that computes the masks of its outputs.

    Args:
        model: `keras.Model` that answers a dict of logits.
        tasks: Sequence of `Task`.

    Returns:
        Functional model; `None` if nothing is masked; `model` itself if it has no graph.
    """
    if not isinstance(model, keras.Function):
        return model
    found = {task.name: mask_of(model.output[task.name]) for task in tasks}
    found = {name: mask for name, mask in found.items() if mask is not None}
    for task in tasks:
        if task.name in found:
            check_marker(task)
    return graphs.extension(model, found) if found else None


def of_batch(problem, x):
    """Return the `Masks` for inputs, before the model has answered.

    A model without a graph is run; of that, a compiled step keeps what the masks need.

    Args:
        problem: `Problem`.
        x: Inputs of a batch.
    """
    if problem.mask_model is None:
        return Masks({})
    found = problem.mask_model(x, training=False)
    return of_answers(found) if problem.mask_model is problem.model else Masks(found)


def of_answers(outputs):
    """Return the `Masks` that come with what a model answers, a dict by task name."""
    found = {name: mask_of(output) for name, output in outputs.items()}
    return Masks({name: mask for name, mask in found.items() if mask is not None})


def keep(before, after):
    """Let copies of tensors have the masks of these."""
    for source, copy in zip(before, after, strict=True):
        if mask_of(source) is not None:
            copy._keras_mask = mask_of(source)
