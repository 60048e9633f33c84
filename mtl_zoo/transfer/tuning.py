"""The scale of a merged trunk, chosen on validation data."""

from typing import NamedTuple

import keras

from mtl_zoo import arguments
from mtl_zoo.evaluation.delta_m import delta_m
from mtl_zoo.outputs import named
from mtl_zoo.training.trainer import Trainer
from mtl_zoo.transfer import batch_statistics
from mtl_zoo.transfer.merging import check, merge
from mtl_zoo.validation import check_names

SCALES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)


class Tuned(NamedTuple):
    """A merged model with the best of several scales.

    Args:
        model: `keras.Model` as `merge` returns it.
        scale: The best scale.
        scores: Dict from every scale to its score.
    """

    model: keras.Model
    scale: float
    scores: dict


def tune(base, models, tasks, validation, method="task_arithmetic", scales=SCALES, data=None):
    """Merge models with the scale that is best on validation data.

    A scale is judged by `mz.evaluation.delta_m` against the models themselves: the mean relative change of
    the headline metrics of all tasks in percent, 0 if nothing is lost.

    Args:
        base: As for `merge`.
        models: As for `merge`.
        tasks: Sequence of `Task`, of all models.
        validation: `tf.data.Dataset` of batches `(inputs, {task: label})`, as for `Trainer.evaluate`.
        method: As for `merge`. Defaults to `"task_arithmetic"`.
        scales: Numbers to choose from. Defaults to twelve from 0.1 to 1.5.
        data: As for `merge`.

    Returns:
        `Tuned`.

    Raises:
        ValueError: As `merge` and `delta_m`, or if a task has no output.
    """
    check_names(tasks)
    scales = arguments.numbers("scales", scales)
    base, models, _ = check(base, models, method, None, data)
    batch_statistics.check_dataset("validation", validation)
    none, whole = (merge(base, models, method, scale) for scale in (0.0, 1.0))
    start, changes = none.get_weights(), _changes(none, whole)
    trainer = _trainer(whole, tasks)
    single = _single(models, tasks, validation)

    def score(scale):
        _set(whole, start, changes, scale, data)
        return delta_m(trainer.evaluate(validation, verbose=0, return_dict=True), single, tasks)

    scores = {scale: score(scale) for scale in scales}
    best = max(scores, key=scores.get)
    _set(whole, start, changes, best, data)
    return Tuned(whole, best, scores)


def _set(model, start, changes, scale, data):
    """Give a merged model another scale: its weights are linear in it."""
    model.set_weights([x + scale * change for x, change in zip(start, changes, strict=True)])
    if data is not None:
        batch_statistics.estimate(model, data)


def _changes(none, whole):
    return [y - x for x, y in zip(none.get_weights(), whole.get_weights(), strict=True)]


def _single(models, tasks, validation):
    """Return the metrics of all tasks, each from its own model."""
    found = {}
    for model in models:
        own = [task for task in tasks if task.name in named(model.output, model)]
        if own:
            found |= _trainer(model, own).evaluate(validation, verbose=0, return_dict=True)
    return found


def _trainer(model, tasks):
    trainer = Trainer(model, tasks)
    trainer.compile()
    return trainer
