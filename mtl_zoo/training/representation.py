"""Where the shared part of a functional model ends."""

import keras


def split(model, tasks):
    """Cut a functional model where the part that several tasks share ends.

    The boundary is the tensors that more than one task depends on, next to a tensor that one task alone
    depends on, as far as trainable variables lie before them.

    Args:
        model: Functional `keras.Model` with a dict of outputs, keyed by task name.
        tasks: Sequence of `Task`.

    Returns:
        Tuple `(trunk, heads)` of functional models that share the layers of `model`: `trunk` from its inputs
        to the list of boundary tensors, `heads` from `[boundary tensors, inputs]` to its outputs.

    Raises:
        ValueError: If no trainable variable lies before the boundary.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trunk, heads = split(model, tasks)
    >>> [tensor.shape for tensor in trunk.output], [variable.path for variable in heads.variables][:1]
    ([(None, 16)], ['click_logits/kernel'])

    Reference:
        [Sener & Koltun, 2018](https://arxiv.org/abs/1810.04650)
    """
    model = _copy(model)
    outputs = {task.name: model.output[task.name] for task in tasks}
    boundary = [tensor for tensor in _boundary(outputs) if _has_trainable_past(tensor)]
    if not boundary:
        raise ValueError(
            "`space='representation'` needs trainable layers before tensors that several tasks share. "
            f"Received: model '{model.name}', which has none"
        )
    at_boundary = {id(tensor) for tensor in boundary}
    outputs = {
        name: keras.layers.Identity()(output) if id(output) in at_boundary else output
        for name, output in outputs.items()
    }  # Keras cannot make a model one of whose inputs is an output
    return keras.Model(model.input, boundary), keras.Model([boundary, model.input], outputs)


def _copy(model):
    """Return a second graph of the same layers, since Keras cannot save a model after its graph was cut."""
    plain = keras.Model(model.input, model.output, name=model.name)
    return keras.models.clone_model(plain, clone_function=lambda layer: layer)


def _boundary(outputs):
    """Return the tensors with several tasks that have a child with one."""
    tensors, children, tasks = {}, {}, {}
    for name, output in outputs.items():
        reached = [output]
        while reached:
            tensor = reached.pop()
            if name in tasks.setdefault(id(tensor), set()):
                continue
            tasks[id(tensor)].add(name)
            tensors[id(tensor)] = tensor
            for parent in _parents(tensor):
                children.setdefault(id(parent), set()).add(id(tensor))
                reached.append(parent)
    return [
        tensor
        for key, tensor in tensors.items()
        if len(tasks[key]) > 1 and any(len(tasks[child]) == 1 for child in children.get(key, ()))
    ]


def _parents(tensor):
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index].input_tensors


def _has_trainable_past(tensor):
    """Return whether a layer with trainable variables lies before `tensor`."""
    reached, seen = [tensor], set()
    while reached:
        tensor = reached.pop()
        if id(tensor) not in seen:
            seen.add(id(tensor))
            if _can_be_trained(tensor._keras_history.operation):
                return True
            reached.extend(_parents(tensor))
    return False


def _can_be_trained(operation):
    """Return whether an operation has trainable variables, or would have them if it were not frozen."""
    if getattr(operation, "trainable_variables", None):
        return True
    return not getattr(operation, "trainable", True) and bool(operation.weights)
