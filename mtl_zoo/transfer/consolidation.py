"""Elastic weight consolidation: weights that matter to old tasks are held where they were."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.outputs import graph_of
from mtl_zoo.transfer.fisher import diagonal
from mtl_zoo.validation import check_layers_alone


def ewc(model, tasks, dataset, strength, labels="drawn", examples=1000, seed=None):
    """Return a model with the same layers and a penalty on leaving the weights it has now.

    The penalty is `strength / 2 * sum_i F_i (w_i - w*_i)^2` over the trainable weights that the old tasks
    reach, where `F` is what `fisher` returns and `w*` are the weights now. It is one of `model.losses`, which
    `Trainer` adds outside any balancing; `F` and `w*` are weights of the model, saved and loaded with it.
    `keras.Model(model.input, model.output)` is the model without it.

    Args:
        model: Functional or sequential `keras.Model`, its weights those that the old tasks were learned with,
            new tasks already added.
        tasks: Sequence of the old tasks.
        dataset: As for `fisher`, of the old tasks' data.
        strength: Factor of the penalty. `F` is of one example, so what suits may be large; plain gradient
            descent diverges where it, the learning rate and an entry of `F` multiply to more than 2.
        labels: As for `fisher`.
        examples: As for `fisher`.
        seed: As for `fisher`.

    Returns:
        Functional `keras.Model`.

    Raises:
        ValueError: As for `fisher`; or if the strength is negative or the model has losses of its own class,
            a penalty of this kind among them.

    Example:

    >>> price, sold = mz.Task.regression("price"), mz.Task.binary("sold")
    >>> old = mz.architectures.hard_sharing(keras.Input((8,)), [price], mz.encoders.mlp(16))
    >>> data = tf.data.Dataset.from_tensors((np.ones((2, 8)), {"price": np.zeros(2)}))
    >>> new = ewc(mz.transfer.add_task(old, sold), [price], data, strength=100.0)
    >>> [float(loss) for loss in new.losses]
    [0.0]

    Reference:
        [Kirkpatrick et al., 2017](https://arxiv.org/abs/1612.00796)

    Note:
        For a third task, add it to the model without the penalty, and call this with the data of both old
        ones: one penalty around the weights that serve both, rather than one for each of the former optima.
    """
    strength = arguments.number("strength", strength, least=0)
    check_layers_alone(model)
    found = diagonal(model, tasks, dataset, labels, examples, seed)
    graph = graph_of(model)
    consolidated = Consolidated(graph.input, graph.output, name=graph.name)
    importance = {id(variable): value for variable, value in found}
    consolidated.hold(_places(graph, importance), strength)
    for variable, held in zip(consolidated.held, consolidated.memory, strict=True):
        held[0].assign(importance[id(variable)])
        held[1].assign(variable)
    return consolidated


@keras.saving.register_keras_serializable("mtl_zoo")
class Consolidated(keras.Model):
    """Functional model with a penalty on leaving weights, made by `ewc`.

    Attributes:
        places: List of the held weights, each a pair of its layer's name and its index there.
        strength: Factor of the penalty.
        memory: List of pairs of variables: how much a weight matters, and where it was.
    """

    def hold(self, places, strength):
        """Make room for the memory of weights, at first without any importance."""
        self.places, self.strength = places, strength
        self.memory = [self._pair(index, variable) for index, variable in enumerate(self.held)]

    @property
    def held(self):
        """The weights that are held, a list of variables."""
        return [self.get_layer(name).weights[index] for name, index in self.places]

    @property
    def losses(self):
        pairs = zip(self.held, self.memory, strict=True)
        parts = [ops.sum(f * ops.square(variable - start)) for variable, (f, start) in pairs]
        return [*super().losses, 0.5 * self.strength * sum(parts)]

    def get_config(self):
        return {**super().get_config(), "consolidation": {"places": self.places, "strength": self.strength}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        consolidation = config.pop("consolidation")
        model = super().from_config(config, custom_objects)
        model.hold(**consolidation)
        return model

    def _pair(self, index, variable):
        return [
            self.add_weight(
                shape=variable.shape,
                initializer="zeros",
                dtype=variable.dtype,
                trainable=False,
                autocast=False,
                name=f"{name}_{index}",
            )
            for name in ("importance", "start")
        ]


def _places(graph, importance):
    """Return where the layers of a graph have the variables that matter, each once."""
    found = {
        id(weight): [layer.name, index]
        for layer in graph.layers
        for index, weight in enumerate(layer.weights)
        if id(weight) in importance
    }
    return list(found.values())
