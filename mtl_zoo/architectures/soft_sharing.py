"""One encoder per task, held together by a penalty."""

import keras

from mtl_zoo import arguments
from mtl_zoo.architectures._penalties import PENALTIES
from mtl_zoo.encoders.encode import encode
from mtl_zoo.heads import head as default_head
from mtl_zoo.validation import check_blueprint


def soft_sharing(inputs, tasks, encoder, head=default_head, penalty="l2", strength=1e-3):
    """Build a tower per task whose corresponding weights are drawn together by a penalty.

    The penalty appears in `model.losses`, outside any balancing of the tasks.

    Args:
        inputs: `keras.Input`, or the structure of inputs that the first stage takes.
        tasks: Sequence of `Task`.
        encoder: Sequence of stages.
        head: Function `(features, task) -> logits`. Defaults to `mtl_zoo.heads.head`.
        penalty: `"l2"` for squared distances between towers, or a trace norm of the towers' stacked
            weights: `"last_axis"`, `"tucker"` or `"tensor_train"` (see `mtl_zoo.architectures._penalties`).
            Defaults to `"l2"`.
        strength: Factor of the penalty. Defaults to 1e-3.

    Returns:
        Functional `keras.Model` from `inputs` to `{task name: logits}`.

    Raises:
        ValueError: If there is no task or no stage, two tasks share a name, the penalty is unknown or its
            strength is negative.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.soft_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> len(model.losses)
    1

    Reference:
        [Duong et al., 2015](https://aclanthology.org/P15-2139),
        [Yang & Hospedales, 2017](https://arxiv.org/abs/1606.04038)
    """
    check_blueprint(inputs, tasks, encoder, head)
    arguments.option("penalty", penalty, sorted(PENALTIES))
    strength = arguments.number("strength", strength, least=0)
    features = [encode(inputs, encoder, task.name) for task in tasks]
    outputs = {task.name: head(x, task) for x, task in zip(features, tasks, strict=True)}
    model = SoftSharing(inputs, outputs, name="soft_sharing")
    model.towers = [_weight_keys(inputs, x) for x in features]
    model.penalty = penalty
    model.strength = strength
    return model


@keras.saving.register_keras_serializable("mtl_zoo")
class SoftSharing(keras.Model):
    """Functional model with a penalty between its towers, made by `soft_sharing`.

    Attributes:
        towers: List of the towers' weights, in corresponding order, each a pair of its layer's name and its
            index there.
        penalty: Name of the penalty.
        strength: Factor of the penalty.
    """

    @property
    def losses(self):
        towers = [[self.get_layer(name).weights[index].value for name, index in keys] for keys in self.towers]
        penalty = sum(PENALTIES[self.penalty](list(weights)) for weights in zip(*towers, strict=True))
        return [*super().losses, self.strength * penalty]

    def get_config(self):
        coupling = {"towers": self.towers, "penalty": self.penalty, "strength": self.strength}
        return {**super().get_config(), "coupling": coupling}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        coupling = config.pop("coupling")
        model = super().from_config(config, custom_objects)
        model.towers, model.penalty, model.strength = (
            coupling["towers"],
            coupling["penalty"],
            coupling["strength"],
        )
        return model


def _weight_keys(inputs, features):
    layers = keras.Model(inputs, features).layers
    return [[x.name, index] for x in layers for index, weight in enumerate(x.weights) if weight.trainable]
