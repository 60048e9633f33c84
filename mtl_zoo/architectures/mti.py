"""Initial predictions of all tasks at every scale, distilled scale by scale."""

import math

import keras
from keras import layers

from mtl_zoo import arguments
from mtl_zoo.architectures._refinement import all_outputs, local, predict
from mtl_zoo.features import current, match
from mtl_zoo.heads import head as default_head
from mtl_zoo.layers.harmonization import Harmonization
from mtl_zoo.layers.squeeze_excitation import SqueezeExcitation
from mtl_zoo.validation import check_blueprint


def mti(inputs, tasks, encoder, head=default_head, activation="relu"):
    """Build initial predictions at every scale, coarse to fine, and a distillation at each.

    From the coarsest scale to the finest, features of all tasks are propagated to the next scale (feature
    propagation module), where they help the initial predictions. At each scale the tasks' features and
    initial logits are refined by each other's. A head sees all scales of its task together, brought to the
    positions of the finest. Made for maps; on vectors and sequences the 3x3 convolutions are dense layers.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages with static shapes. Those with as many axes as the last one are scales: of
            a convolutional network that ends in dense stages, these alone. Of a way down and up again, as in
            `encoders.unet`, the bottom and the stages up are. Among stages of one size, the first counts as
            the finest.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        activation: Activation after the convolutions that make or propagate features. Defaults to `"relu"`.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}` and `{task name}_initial_{scale}`, the
        initial logits, in the shape of the final ones, with scale 1 the finest. Train these too (deep
        supervision) with `mtl_zoo.auxiliary_tasks(model, tasks)`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, or one has the name of another's
            initial prediction.

    Example:

    >>> tasks = [mz.Task.segmentation("part", 5), mz.Task.dense_regression("depth", 1)]
    >>> model = mz.architectures.mti(keras.Input((8, 8, 3)), tasks, mz.encoders.convnet(4, 4))
    >>> list(model.output)[2:]
    ['part_initial_2', 'depth_initial_2', 'part_initial_1', 'depth_initial_1']
    >>> trainer = mz.Trainer(model, [*tasks, *mz.auxiliary_tasks(model, tasks)])

    Reference:
        [Vandenhende et al., 2020](https://arxiv.org/abs/2001.06902)

    Note:
        The paper distils features alone; here the initial logits are added to them by another layer, as in
        `padnet`, so that they train without labels of their own too. One convolution stands for the paper's
        residual blocks. Before the scales are concatenated, they are projected to the channels of the finest.
    """
    check_blueprint(inputs, tasks, encoder, head)
    arguments.activation("activation", activation)
    initial, propagated, distilled = {}, {}, {task.name: [] for task in tasks}
    for scale, x in reversed(_scales(inputs, encoder)):
        seen = {
            task.name: _see(x, propagated.get(task.name), f"{task.name}_{scale}", activation)
            for task in tasks
        }
        features = {}
        for task in tasks:
            name = f"{task.name}_initial_{scale}"
            features[task.name], initial[name] = predict(seen[task.name], task, name)
        for task in tasks:
            distilled[task.name].append(_distill(features, task.name, f"{task.name}_{scale}"))
        propagated = _propagate(seen, scale, activation) if scale > 1 else {}
    finals = {task.name: head(_together(distilled[task.name], task.name), task) for task in tasks}
    return keras.Model(inputs, all_outputs(finals, initial), name="mti")


def _scales(inputs, encoder):
    """Return pairs of a number and the features of a scale, from the finest to the coarsest."""
    x, stages = inputs, []
    for index, stage in enumerate(encoder, start=1):
        x = stage(x, f"shared_{index}")
        stages.append(current(x))
    alike = [x for x in stages if len(x.shape) == len(stages[-1].shape)]
    sizes = [_num_positions(x) for x in alike]
    last = [x for index, x in enumerate(alike) if not _comes_again(sizes, index)]
    return list(enumerate(sorted(last, key=_num_positions, reverse=True), start=1))


def _num_positions(x):
    """Return the number of positions; what is not known counts as alike."""
    return math.prod(side or 1 for side in x.shape[1:-1])


def _comes_again(sizes, index):
    """Return whether a size, or a larger one, comes again after a smaller one."""
    later = sizes[index + 1 :]
    low = next((i for i, size in enumerate(later) if size < sizes[index]), len(later))
    return any(size >= sizes[index] for size in later[low:])


def _see(x, propagated, name, activation):
    """Return a task's features of a scale, given the shared ones and its own of the coarser scale."""
    channels = x.shape[-1]
    if propagated is not None:
        x = layers.Concatenate(name=f"{name}_seen")([x, match(propagated, x, f"{name}_coarser")])
    return local(x, channels, f"{name}_features", activation)


def _distill(features, name, prefix):
    """Return `x_k + sum_i sigmoid(G_ki x_i) * (W_ki x_i)` of task k, over the other tasks i."""
    messages = [features[name]]
    for source, x in features.items():
        if source != name:
            gate = local(x, x.shape[-1], f"{prefix}_gate_{source}", "sigmoid")
            message = local(x, x.shape[-1], f"{prefix}_from_{source}")
            messages.append(layers.Multiply(name=f"{prefix}_gated_{source}")([gate, message]))
    return layers.Add(name=f"{prefix}_distilled")(messages) if len(messages) > 1 else messages[0]


def _propagate(features, scale, activation):
    """Return each task's features with what all know together: the feature propagation module."""
    if len(features) == 1:
        return features
    name = f"shared_{scale}_propagation"
    together = layers.Concatenate(name=f"{name}_together")(list(features.values()))
    channels = together.shape[-1]
    hidden = local(together, max(channels // 4, 1), f"{name}_hidden", activation)
    scores = layers.Dense(channels, name=f"{name}_scores")(hidden)
    chosen = Harmonization(len(features), name=f"{name}_chosen")([scores, together])
    shared = local(chosen, channels // len(features), f"{name}_reduced", activation)
    return {task: _receive(x, shared, f"{task}_{scale}") for task, x in features.items()}


def _receive(x, shared, name):
    """Add to a task's features the shared ones, gated by channel."""
    excited = SqueezeExcitation(name=f"{name}_excited")(shared)
    return layers.Add(name=f"{name}_propagated")([x, excited])


def _together(scales, name):
    """Return all scales of a task, brought to the finest."""
    finest = scales[-1]
    matched = [match(x, finest, f"{name}_all_{index}") for index, x in enumerate(scales)]
    return layers.Concatenate(name=f"{name}_all")(matched) if len(matched) > 1 else finest
