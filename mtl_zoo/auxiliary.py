"""Tasks for the initial predictions of a model."""

import dataclasses
import re


def auxiliary_tasks(model, tasks):
    """Return the tasks of a model's initial predictions, to be trained beside the tasks themselves.

    Args:
        model: Functional `keras.Model` with outputs `{task name}_initial` or `{task name}_initial_{number}`,
            such as those of `architectures.padnet` and `architectures.mti`.
        tasks: Sequence of `Task`.

    Returns:
        List of copies of the tasks, one per initial output, without metrics, that share the tasks' labels.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.padnet(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trainer = mz.Trainer(model, [*tasks, *auxiliary_tasks(model, tasks)])
    >>> [(task.name, task.label_name) for task in trainer.tasks][2:]
    [('click_initial', 'click'), ('price_initial', 'price')]
    """
    names = {task.name for task in tasks}
    return [
        dataclasses.replace(task, name=name, metrics=(), headline=None)
        for task in tasks
        for name in model.output
        if name not in names and re.fullmatch(rf"{task.name}_initial(_\d+)?", name)
    ]
