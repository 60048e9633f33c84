"""What a training is about: the model and its tasks, what is trained, and by which methods."""

import dataclasses

import keras
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator
from mtl_zoo.aggregators.sum import Sum
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.options import SPACES as SPACES
from mtl_zoo.outputs import check_graph
from mtl_zoo.training import gradients, mapping, masks, representation
from mtl_zoo.training.refresh import Refresh, refreshing


@dataclasses.dataclass(frozen=True)
class Problem:
    """What every step of a training needs, but for the data.

    Args:
        model: `keras.Model` that answers a dict of logits, keyed by task name.
        tasks: Tuple of T `Task`.
        balancer: `Balancer` of the losses. Defaults to `None`: their sum.
        aggregator: `Aggregator` of the task gradients. Defaults to `None`: their sum.
        space: What the aggregator sees, `"shared"` or `"representation"`, as in `Trainer`.
        variables: Tuple of what is trained.
        trunk_and_heads: What `representation.split` returns, if the aggregator works between them, or many
            tasks share the trunk's backward pass, as in `rows`; else `()`.
        mask_model: What `masks.model_of` returns.
        as_keras: Whether an embedding's gradient goes to the optimizer in as many slices as there are tokens,
            as Keras leaves it, if there is no aggregator. Optimizers that square gradients, as Adam, then
            square the parts of a sum. Defaults to `False`: one slice per row.
        observers: Tuple of functions of the optimizer and the portions of a batch, called before every
            update; they change nothing of the training. Defaults to none.
        penalized: Whether the model's own losses count. Defaults to `True`.
        ahead: What `looking_ahead` returns, if the balancer needs meta data; else `None`.
    """

    model: keras.Model
    tasks: tuple
    balancer: Balancer | None = None
    aggregator: Aggregator | None = None
    space: str = "shared"
    variables: tuple = ()
    trunk_and_heads: tuple = ()
    mask_model: keras.Model | None = None
    as_keras: bool = False
    observers: tuple = ()
    penalized: bool = True
    ahead: "Problem | None" = None

    @property
    def num_parts(self):
        """Into how many independent parts the aggregator needs the batch split."""
        return 1 if self.aggregator is None else self.aggregator.sub_batches

    @property
    def by_seeds(self):
        """Whether one backward pass may be mapped over the tasks though the model cannot be cut."""
        return not isinstance(self.model, keras.Function) and not _is_joint(self.model)

    @property
    def refresh(self):
        """The aggregator, if it does not find new weights in every step; else `None`."""
        return self.aggregator if isinstance(self.aggregator, Refresh) else None

    @property
    def methods(self):
        """The balancer and the aggregator, as far as there are any."""
        return [method for method in (self.balancer, self.aggregator) if method is not None]

    def weight_of(self, task, sample_weight):
        """Return the sample weight of one task, out of that for all or a dict."""
        return sample_weight.get(task.label_name) if isinstance(sample_weight, dict) else sample_weight

    def items(self, labels, logits, sample_weight=None):
        """Return what `Task.items` returns, for every task.

        Args:
            labels: Dict of labels.
            logits: Dict of logits, as the model returns them.
            sample_weight: As in `fit`.
        """
        return [
            task.items(task.labels_of(labels), logits[task.name], self.weight_of(task, sample_weight))
            for task in self.tasks
        ]

    def item_counts(self, labels, sample_weight, masks):
        """Return what the tasks' items count in the divisors of their losses, by labels and `Masks`."""
        return [
            task.item_counts(masks.hide(task, labels), self.weight_of(task, sample_weight))
            for task in self.tasks
        ]

    def divisors(self, counts):
        """Return what the sums of the losses are divided by.

        Args:
            counts: Tensor `[..., T]`, what is counted of the tasks in a batch or its parts.
        """
        columns = zip(self.tasks, tf.unstack(counts, len(self.tasks), axis=-1), strict=True)
        return tf.stack([task.divisor(column) for task, column in columns], axis=-1)

    def extents(self, labels, counts):
        """Return how much a batch counts in the means of the logs, `[T]`.

        Args:
            labels: Dict of labels.
            counts: Tensor `[T]`, what is counted of the tasks in the batch.
        """
        columns = zip(self.tasks, tf.unstack(counts, len(self.tasks)), strict=True)
        return tf.stack([task.extent(task.labels_of(labels), count) for task, count in columns])


def pose(model, tasks, balancer=None, aggregator=None, space="shared", refresh_every=1):
    """Return the `Problem` of training what is trainable now, with all state of the methods.

    State is created now, so that it can be loaded before the first step.

    Args:
        model: As in `Problem`.
        tasks: Likewise; any sequence.
        balancer: Likewise.
        aggregator: Likewise.
        space: Likewise.
        refresh_every: As in `Trainer`.

    Raises:
        ValueError: If `space` is unknown, or `"representation"` and the aggregator needs more or nothing
            trainable lies before what tasks share; or the aggregator does not suit `refresh_every` or the
            balancer.
        TypeError: If `balancer` or `aggregator` is not an instance of its base class.
    """
    arguments.option("space", space, SPACES)
    for name, method, kind in (("balancer", balancer, Balancer), ("aggregator", aggregator, Aggregator)):
        if method is not None:
            arguments.instance(name, method, kind)
    if balancer is not None and balancer.adds_meta_gradients and aggregator is not None:
        raise ValueError(
            f"`aggregator` must be `None` with {type(balancer).__name__}, which finds the direction of the "
            f"update by itself. Received: aggregator={type(aggregator).__name__}"
        )
    problem = _posed(model, tuple(tasks), balancer, aggregator, space)
    if balancer is not None and not balancer.built:
        balancer.for_tasks([task.name for task in problem.tasks])
        balancer.build((len(problem.tasks),))
    if aggregator is not None and not aggregator.built:
        aggregator.for_tasks([task.name for task in problem.tasks])
        aggregator.build(_jacobian_shape(problem))
    return dataclasses.replace(problem, aggregator=refreshing(aggregator, refresh_every))


def looking_ahead(model, tasks):
    """Return the `Problem` of the tasks' own gradients, for a step that is looked at and not made.

    That happens in a `keras.StatelessScope`, in which a model has no losses of its own.
    """
    return dataclasses.replace(pose(model, tasks, aggregator=Sum()), penalized=False)


def renewed(problem):
    """Return the problem of training what is trainable now, and give the aggregator state that fits it."""
    if list(map(id, problem.variables)) == list(map(id, problem.model.trainable_variables)):
        return problem
    new = _posed(problem.model, problem.tasks, problem.balancer, problem.aggregator, problem.space)
    new = dataclasses.replace(new, as_keras=problem.as_keras)
    if new.aggregator is not None and _remembers(new.aggregator):
        new.aggregator.rebuild(_jacobian_shape(new))
    return new


def _posed(model, tasks, balancer, aggregator, space):
    trunk_and_heads = () if aggregator is None else _split_for(model, tasks, aggregator, space)
    variables, mask_model = tuple(model.trainable_variables), masks.model_of(model, tasks)
    problem = Problem(model, tasks, balancer, aggregator, space, variables, trunk_and_heads, mask_model)
    if balancer is None or not balancer.needs_meta:
        return problem
    return dataclasses.replace(problem, ahead=looking_ahead(model, tasks))


def _split_for(model, tasks, aggregator, space):
    if space == "representation":
        return _split(model, tasks, aggregator)
    return _split_for_many(model, tasks)


def _split(model, tasks, aggregator):
    """Return trunk and heads for an aggregator that can work on the representation between them."""
    check_graph(model, "`space='representation'`")
    name = type(aggregator).__name__
    needs = "`space` must be 'shared'. Received: space='representation'"
    if _remembers(aggregator):
        what = "parameter" if aggregator.state_per_parameter else "variable"
        raise ValueError(
            f"{name} remembers something about every {what}, which a representation does not have: {needs}"
        )
    if aggregator.sub_batches > 1 and not aggregator.parts_in_representation:
        raise ValueError(
            f"{name} compares the gradients of different examples, which in a representation have no element "
            f"in common: {needs}"
        )
    return representation.split(model, tasks)


def _split_for_many(model, tasks):
    """Return trunk and heads if a pass through the trunk that is mapped over the tasks pays, else `()`."""
    if _is_joint(model) or len(tasks) <= mapping.MOST_UNROLLED or not isinstance(model, keras.Function):
        return ()
    found = representation.split_if_possible(model, tasks)
    return found if found and mapping.pays(len(tasks), len(found[0].trainable_variables)) else ()


def _is_joint(model):
    """Return whether replicas make statistics together, which are differentiated together, pass by pass."""
    return any(getattr(layer, "synchronized", False) for layer in model._flatten_layers())


def _remembers(aggregator):
    """Return whether a method has state that belongs to the variables."""
    return aggregator.state_per_parameter or aggregator.state_per_block


def _jacobian_shape(problem):
    sizes = [None]
    if _remembers(problem.aggregator):
        what = "parameter" if problem.aggregator.state_per_parameter else "variable"
        check_graph(problem.model, f"{type(problem.aggregator).__name__}, which remembers every {what},")
        sizes = gradients.shared_sizes(problem.model, problem.tasks) or [0]
    return [(len(problem.tasks), size) for size in sizes]
