"""How the trainable state of a balancer learns: by the rule of the model's optimizer, and for itself."""

import tensorflow as tf

from mtl_zoo.training.distribution import plain_optimizers

NEUTRAL = {  # what would let the model's size move the state, or pull the state towards 0
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "weight_decay": 0.0,
    "adam_weight_decay": 0.0,
    "l1_regularization_strength": 0.0,
    "l2_regularization_strength": 0.0,
    "l2_shrinkage_regularization_strength": 0.0,
    "use_ema": False,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


def make(optimizer, variables):
    """Return an optimizer for a balancer's trainable variables, or `None` if there are none.

    It has the class and the settings of the model's optimizer, but no clipping, weight decay, average,
    accumulation or loss scale.

    Args:
        optimizer: `keras.optimizers.Optimizer` of the model; of several, the last one is the example.
        variables: List of the balancer's trainable variables.
    """
    if not variables:
        return None
    optimizer = plain_optimizers(optimizer)[-1]
    config = optimizer.get_config()
    changes = {key: value for key, value in NEUTRAL.items() if config.get(key)}
    own = type(optimizer).from_config({**config, **changes, "learning_rate": 0.0})
    own.build(variables)
    return own


def update(own, optimizer, variables, given):
    """Move the state of the present tasks; that of the others, with what is remembered of it, stays.

    Args:
        own: As `make` returns it.
        optimizer: `keras.optimizers.Optimizer` of the model, whose learning rate counts.
        variables: List of the balancer's trainable variables.
        given: Tuple of their gradients, the same on all replicas, and a boolean tensor `[T]`: which tasks are
            present.
    """
    gradients, present = given
    state = [v for v in [*variables, *own.variables] if v.shape[:1] == present.shape]
    values = [tf.identity(variable.value) for variable in state]
    own.learning_rate.assign(plain_optimizers(optimizer)[-1].learning_rate)
    own.apply(gradients, variables)
    for variable, value in zip(state, values, strict=True):
        keep = tf.reshape(present, [-1] + [1] * (len(variable.shape) - 1))
        variable.assign(tf.where(keep, variable.value, value))
