"""Learning without forgetting: what a model answered before is a label of what it learns now."""

import dataclasses
import functools

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.outputs import graph_of, named, place
from mtl_zoo.training import inputs
from mtl_zoo.transfer.families import FAMILIES, OF_ACTIVATIONS
from mtl_zoo.validation import check_tasks

HEATED = ("categorical", "ordinal", "bernoulli")  # whose probabilities a temperature evens out


class Teacher:
    """A copy of a trained model, whose answers to new data are labels for the model that learns on.

    The copy is made here and stays what it is, whatever happens to the model. `tasks` are trained beside the
    new ones, on a dataset out of `label`: they are called `{task}_distilled`, are about the same outputs, and
    have no metrics. Their loss is, of classes and of yes or no, the crossentropy with the probabilities of
    the copy, both at a temperature; of numbers the squared difference; of counts the Poisson loss with the
    copy's rates as labels.

    After an interruption, make the teacher again out of the file of the old model.

    Args:
        model: Functional or sequential `keras.Model`, as it was before new data.
        tasks: Sequence of those of its tasks that shall not be forgotten.
        temperature: What logits are divided by; above 1, small probabilities count more. Defaults to 2.

    Attributes:
        tasks: List of `Task`, one for each of `tasks`.

    Raises:
        ValueError: If the model is not functional, it and the tasks do not match, a task's activation is none
            of softmax, sigmoid, exponential, linear and that of `Task.ordinal`, or the temperature is not
            positive.

    Example:

    >>> price, sold = mz.Task.regression("price"), mz.Task.binary("sold")
    >>> old = mz.architectures.hard_sharing(keras.Input((8,)), [price], mz.encoders.mlp(16))
    >>> teacher = Teacher(old, [price])
    >>> new = mz.transfer.add_task(old, sold)
    >>> data = tf.data.Dataset.from_tensors((np.ones((2, 8)), {"sold": np.array([0, 1])}))
    >>> trainer = mz.Trainer(new, [sold, *teacher.tasks])
    >>> trainer.compile("adam")
    >>> history = trainer.fit(teacher.label(data), verbose=0)
    >>> [key for key in history.history if key.endswith("loss")]
    ['loss', 'price_distilled_loss', 'sold_loss']

    Reference:
        [Li & Hoiem, 2016](https://arxiv.org/abs/1606.09282)

    Note:
        The paper trains the new layers alone at first ("warm-up", `freeze` does it), and computes the
        copy's answers once; here they are computed batch by batch, so that augmented examples have theirs. As
        in the paper, the loss is not multiplied by the temperature's square.
    """

    def __init__(self, model, tasks, temperature=2.0):
        temperature = arguments.number("temperature", temperature, above=0)
        self.model = _copy(check_tasks(model, tasks, graph=True), tasks)
        self.tasks = [_distilled(model, task, temperature) for task in tasks]

    def label(self, dataset):
        """Return a dataset whose labels are joined by the answers of the copy.

        Args:
            dataset: `tf.data.Dataset` of batches `(inputs, labels)` or `(inputs, labels, sample weights)`,
                where labels are a dict.

        Raises:
            ValueError: If it is something else, or has a label with the name of one of `tasks`.
        """
        slots = inputs.slots(self.model)
        _check_dataset(dataset, list(self.model.output))

        @tf.autograph.experimental.do_not_convert
        def labelled(x, y, *rest):
            answers = self.model(inputs.matched(slots, x), training=False)
            return (x, y | {name: tf.cast(answer, tf.float32) for name, answer in answers.items()}, *rest)

        return dataset.map(labelled, name="label").prefetch(1)


def _copy(view, tasks):
    """Return a model with weights of its own that answers the logits of a view, named as labels."""
    found = keras.Model(view.input, {_name(task): view.output[task.name] for task in tasks})
    copy = keras.models.clone_model(found)
    copy.set_weights(found.get_weights())
    return copy


def _name(task):
    return f"{task.name}_distilled"


def _distilled(model, task, temperature):
    """Return the task to answer what the copy does."""
    family = OF_ACTIVATIONS.get(task.activation)
    if family is None:
        raise ValueError(
            "A task that is distilled must have logits of softmax, sigmoid, exponential, linear or "
            f"`Task.ordinal`. Received: task '{task.name}' with activation={task.activation!r}"
        )
    graph = graph_of(model)
    output = place(task, named(graph.output, graph), isinstance(graph.output, dict))
    heat = temperature if family in HEATED else 1.0
    return dataclasses.replace(
        task,
        name=_name(task),
        label_name=_name(task),
        output=str(output),
        label_shape=task.output_shape,
        item_size=task.output_shape[-1],
        loss=functools.partial(_difference, family=family, temperature=heat),
        per="item",
        reduction="mean_with_sample_weight",
        missing=ops.isnan,
        max_label=None,
        metrics=(),
        unweighted=(),
        class_weight=None,
        headline=None,
        where=None,  # the copy answers on every row
    )


@keras.saving.register_keras_serializable("mtl_zoo")
def _difference(labels, logits, family, temperature):
    """Return how far logits are from those of the copy, `[items]`."""
    parameters, mean, log_likelihood, _ = FAMILIES[family]
    target, found = (parameters(x) / temperature for x in (labels, logits))
    if family == "gaussian":
        return ops.mean(ops.square(target - found), axis=-1)
    crossentropies = -log_likelihood(mean(target), found)
    of_class = family in ("categorical", "ordinal")
    return (ops.sum if of_class else ops.mean)(crossentropies, axis=-1)


def _check_dataset(dataset, names):
    arguments.instance("dataset", dataset, tf.data.Dataset)
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3) or not isinstance(spec[1], dict):
        raise ValueError(f"`dataset` must yield `(inputs, {{task name: label}})`. Received: {spec}")
    taken = [name for name in names if name in spec[1]]
    if taken:
        raise ValueError(f"Labels of `dataset` must not be named as those of the copy. Received: {taken}")
