"""Initial predictions of all tasks at every scale, distilled scale by scale."""

import keras
from keras import layers

from mtl_zoo.architectures._refinement import distill, initial_prediction, local
from mtl_zoo.features import current, match
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.excitation import Excitation
from mtl_zoo.layers.task_attention import TaskAttention
from mtl_zoo.validation import check_blueprint


def mti(inputs, tasks, encoder, head=default_head):
    """Build initial predictions at the scale of every stage, coarse to fine, and a distillation at each.

    From the coarsest scale on, features of all tasks are propagated to the next finer one (feature
    propagation module), where they help the initial predictions. At each scale the tasks' features are
    refined by each other's, as in `padnet`; a head sees all scales of its task together. Made for maps; on
    vectors and sequences the 3x3 convolutions are dense layers.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages with static shapes; those with as many axes as the last one are scales.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}` and `{task name}_initial_{scale}`, the
        initial logits, with scale 1 the first stage's. Train these too (deep supervision) with
        `mtl_zoo.auxiliary_tasks(model, tasks)`.

    Raises:
        ValueError: If there is no task or no stage, or two tasks share a name.

    Example:

    >>> tasks = [mz.Task.segmentation("part", 5), mz.Task.dense_regression("depth", 1)]
    >>> model = mz.architectures.mti(keras.Input((8, 8, 3)), tasks, mz.encoders.convnet(4, 4))
    >>> list(model.output)[2:]
    ['part_initial_2', 'depth_initial_2', 'part_initial_1', 'depth_initial_1']

    Reference:
        [Vandenhende et al., 2020](https://arxiv.org/abs/2001.06902)

    Note:
        The paper supervises features alone; here the initial predictions are also fed back into the features
        that are distilled, so that they train without their own labels too.
    """
    check_blueprint(tasks, encoder)
    outputs, propagated, refined = {}, {}, {task.name: [] for task in tasks}
    for scale, x in reversed(_scales(inputs, encoder)):
        features = {task.name: _see(x, propagated.get(task.name), f"{task.name}_{scale}") for task in tasks}
        predicted = {}
        for task in tasks:
            logits, outputs[f"{task.name}_initial_{scale}"] = initial_prediction(
                features[task.name], task, f"{task.name}_initial_{scale}"
            )
            back = local(logits, x.shape[-1], f"{task.name}_{scale}_back")
            predicted[task.name] = layers.Add(name=f"{task.name}_{scale}_predicted")([features[task.name], back])
        for name, result in distill(predicted, f"{scale}_distilled").items():
            refined[name].append(result)
        if scale > 1:
            propagated = _propagate(features, scale)
    finals = {task.name: head(_together(refined[task.name], task.name), task) for task in tasks}
    return keras.Model(inputs, finals | outputs, name="mti")


def _scales(inputs, encoder):
    """Return pairs of a number and the features of each stage that has the last one's rank."""
    x, stages = inputs, []
    for index, stage in enumerate(encoder, start=1):
        x = stage(x, f"shared_{index}")
        stages.append(current(x))
    alike = [x for x in stages if len(x.shape) == len(stages[-1].shape)]
    return list(enumerate(alike, start=1))


def _see(x, propagated, name):
    """Return a task's features of a scale, given the shared ones and its own of the coarser scale."""
    if propagated is not None:
        finer = match(propagated, x, f"{name}_finer")
        x = layers.Concatenate(name=f"{name}_seen")([x, finer])
    channels = x.shape[-1] if propagated is None else finer.shape[-1]
    return local(x, channels, f"{name}_features", "relu")


def _propagate(features, scale):
    """Return each task's features with what the others know: the feature propagation module."""
    if len(features) == 1:
        return features
    together = layers.Concatenate(name=f"propagation_{scale}")(list(features.values()))
    channels = next(iter(features.values())).shape[-1]
    scores = [local(together, channels, f"{name}_{scale}_score", "relu") for name in features]
    masked = TaskAttention(name=f"propagation_{scale}_attention")([*scores, *features.values()])
    shared = layers.Concatenate(name=f"propagation_{scale}_masked")(masked)
    return {name: _add_shared(x, shared, f"{name}_{scale}") for name, x in features.items()}


def _add_shared(x, shared, name):
    """Add the shared features, channels gated by squeeze and excitation."""
    shared = local(shared, x.shape[-1], f"{name}_shared")
    excited = Excitation(name=f"{name}_excitation")(shared)
    return layers.Add(name=f"{name}_propagated")([x, excited])


def _together(scales, name):
    """Return all scales of a task, brought to the finest."""
    finest = scales[-1]
    matched = [match(x, finest, f"{name}_all_{index}") for index, x in enumerate(scales)]
    return layers.Concatenate(name=f"{name}_all")(matched) if len(matched) > 1 else finest
