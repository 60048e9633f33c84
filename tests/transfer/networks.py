"""Small networks that share a starting point."""

import keras
import numpy as np
from keras import layers


def network(**heads):
    """Return a convolutional network with a trunk of fixed names and a dense head of a size per task."""
    inputs = keras.Input((4, 4, 2), name="image")
    x = layers.Conv2D(3, 3, padding="same", name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Dense(6, activation="relu", name="dense")(layers.Flatten()(x))
    if not heads:
        return keras.Model(inputs, x)
    return keras.Model(inputs, {name: layers.Dense(n, name=f"{name}_logits")(x) for name, n in heads.items()})


def tuned(base, seed, **heads):
    """Return a network whose trunk is that of a base and something that a training might have added."""
    model, random = network(**heads), np.random.default_rng(seed)
    for name in ("conv", "norm", "dense"):
        weights = base.get_layer(name).get_weights()
        model.get_layer(name).set_weights([x + 0.1 * random.uniform(size=x.shape) for x in weights])
    return model
