"""Steps that use the task weights of an earlier one: a backward pass for all tasks instead of T."""

import dataclasses

import tensorflow as tf

from mtl_zoo.aggregators.base import shortening
from mtl_zoo.training import distribution, finite, gradients, sparse, step
from mtl_zoo.training.aggregation import Joined
from mtl_zoo.training.refresh import Refresh


@dataclasses.dataclass(frozen=True)
class Weights:
    """Stands for an aggregator where its weights are known before the gradients.

    Args:
        refresh: `Refresh` that keeps them.
        sources: List of booleans: which sources of gradients the aggregator joins.
        tasks: List of T booleans: which tasks' gradients it joins.
    """

    refresh: Refresh
    sources: list
    tasks: list
    sub_batches = 1

    def pull(self, pull, losses, sources, derivatives):
        """Return the weighted gradients of what is joined, and the plain ones of the rest.

        These are two passes, of which each computes what the other has no use for.

        Args:
            pull: As `gradients.puller` returns it.
            losses: List of T scalar tensors.
            sources: List of variables or tensors.
            derivatives: List of T scalars, the derivatives by the losses.
        """
        of_losses = self.refresh.loss_weights if self.refresh.weighs_losses else 1.0
        own = tf.where(self.tasks, of_losses, 1.0)
        passes = {True: self.refresh.kept, False: own}
        found = {}
        for joined, weights in passes.items():
            seeds = tf.unstack(tf.stack(derivatives) * weights)
            chosen = [x for x, is_joined in zip(sources, self.sources, strict=True) if is_joined == joined]
            found[joined] = iter(pull(losses, chosen, seeds))
        return [next(found[is_joined]) for is_joined in self.sources]

    def joined(self, found, num_local=0):
        """Return what `pull` returned as `Joined`, shortened to the norm that the aggregator allows.

        Args:
            found: List of one gradient per source, those of all replicas.
            num_local: Number of leading sources of which this replica has some elements only.
        """
        factor, squares = 1.0, tf.zeros(len(self.tasks))
        if self.refresh.max_norm is not None:
            found = list(map(sparse.without_duplicates, found))
            parts = [
                finite.sum_of_squares(gradient) if is_joined else tf.zeros(())
                for gradient, is_joined in zip(found, self.sources, strict=True)
            ]
            local = distribution.all_reduce(tf.add_n([tf.zeros(()), *parts[:num_local]]))
            squared_norm = tf.add_n([local, *parts[num_local:]])
            factor = shortening(squared_norm, self.refresh.max_norm)
            squares += squared_norm
            scaled = gradients.scaled(found, factor)
            found = [s if joined else g for g, s, joined in zip(found, scaled, self.sources, strict=True)]
        self.refresh.task_weights.assign(factor * self.refresh.kept)
        return Joined(found, self.tasks, squares, self.sources)


def compute(problem, batch, scale=1.0):
    """Return the `Step` of one batch, as `step.compute`; in one backward pass where weights last.

    With both a balancer and several portions, what the balancer makes of the losses is known last, so T
    passes are made all the same; likewise without a graph, where it is not known what is shared before T
    passes were made.
    """
    if problem.refresh is None or tf.executing_eagerly():
        return step.compute(problem, batch, scale)
    if problem.balancer is not None and len(batch.portions) > 1:
        return step.compute(problem, batch, scale)
    return _one_or_many(problem, batch, scale)


def _one_or_many(problem, batch, scale):
    refresh, present, known = problem.refresh, batch.counts > 0, []

    def many():
        known.append(step.compute(problem, batch, scale))
        refresh.known.assign(tf.cast(present, refresh.known.dtype))
        return _tensors(known[0])

    def one():
        refresh.count()
        weights = Weights(refresh, known[0].sources, known[0].joined)
        cut = problem.trunk_and_heads if problem.space == "representation" else ()
        posed = dataclasses.replace(problem, aggregator=weights, trunk_and_heads=cut)
        return _tensors(step.compute(posed, batch, scale))

    found = distribution.branch(refresh.is_due(present), many, one)  # traced in this order
    return _with_tensors(known[0], found)


FIELDS = ("losses", "seeds", "items", "penalties", "squares")


def _tensors(found):
    """Return the tensors of a `Step`, as a branch of a graph returns them."""
    there = [g for g in found.gradients if g is not None]
    squares = tf.zeros_like(found.losses) if found.squares is None else found.squares
    found = dataclasses.replace(found, squares=squares)
    return there, list(found.balancer_gradients.values()), [getattr(found, name) for name in FIELDS]


def _with_tensors(found, tensors):
    """Return a `Step` with other tensors; which of its gradients are there stays."""
    there, of_balancer, rest = tensors
    there = iter(there)
    return dataclasses.replace(
        found,
        gradients=[None if g is None else next(there) for g in found.gradients],
        balancer_gradients=dict(zip(found.balancer_gradients, of_balancer, strict=True)),
        columns=None,
        **dict(zip(FIELDS, rest, strict=True)),
    )
