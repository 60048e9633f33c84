"""What a balancer adds to the update from a second batch; more is in tests/balancers/test_forum.py."""

import keras
import numpy as np

import mtl_zoo as mz

WEIGHTS = [2.0, -0.5]
RATE = 0.25


class Adding(mz.balancers.Equal):
    """Adds gradients of meta losses with fixed weights, and keeps what it is shown."""

    needs_meta = True
    adds_meta_gradients = True
    virtual_steps, virtual_rate = 1, RATE

    def virtual_weights(self, present):
        return keras.ops.ones_like(keras.ops.cast(present, "float32"))

    def weigh_meta(self, gramian, falls, present, meta_present):
        self.shown = [np.array(x) for x in (gramian, falls, present, meta_present)]
        return keras.ops.convert_to_tensor(WEIGHTS)


def squares(x, y, kernels):
    """Return the mean squared errors of two linear tasks and their gradients by both kernels."""
    errors = [x @ kernel - y[name][:, None] for name, kernel in zip("ab", kernels, strict=True)]
    rows = np.zeros((2, 2 * x.shape[1]))
    for index, error in enumerate(errors):
        rows[index, index * x.shape[1] : (index + 1) * x.shape[1]] = 2 * (x.T @ error)[:, 0] / len(x)
    return np.array([np.mean(error**2) for error in errors]), rows


def test_the_update_is_the_training_gradient_and_those_of_the_meta_losses():
    random = np.random.default_rng(0)
    (x, y), (meta_x, meta_y) = (
        (random.normal(size=(4, 3)), {name: random.normal(size=4) for name in "ab"}) for _ in range(2)
    )
    inputs, tasks = keras.Input((3,)), [mz.Task.regression("a"), mz.Task.regression("b")]
    layers = [keras.layers.Dense(1, use_bias=False) for _ in tasks]
    model = keras.Model(inputs, {name: layer(inputs) for name, layer in zip("ab", layers, strict=True)})
    kernels = [np.array(layer.kernel, "float64") for layer in layers]
    balancer = Adding()
    trainer = mz.Trainer(model, tasks, balancer)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    trainer.fit(x, y, batch_size=4, meta_data=(meta_x, meta_y), verbose=0)

    losses, rows = squares(x, y, kernels)
    _, meta_rows = squares(meta_x, meta_y, kernels)
    step = 0.1 * (rows.sum(axis=0) + WEIGHTS @ meta_rows)
    moved = np.concatenate([np.array(layer.kernel)[:, 0] for layer in layers])
    np.testing.assert_allclose(moved, np.concatenate(kernels)[:, 0] - step, rtol=1e-4, atol=1e-5)

    gramian, falls, present, meta_present = balancer.shown
    shown = np.vstack([meta_rows, rows.sum(axis=0)])
    np.testing.assert_allclose(gramian, shown @ shown.T, rtol=1e-4, atol=1e-4)
    ahead = np.concatenate(kernels)[:, 0] - RATE * rows.sum(axis=0)
    after, _ = squares(x, y, np.split(ahead[:, None], 2))
    np.testing.assert_allclose(falls, losses - after, rtol=1e-4, atol=1e-4)
    assert present.all()
    assert meta_present.all()
