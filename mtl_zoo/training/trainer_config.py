"""What a trainer is made of as plain values, as Keras saves them, and back."""

import dataclasses

import keras

PARTS = ("model", "balancer", "aggregator")
OPTIONS = ("space", "accumulate", "non_finite", "refresh_every")
COMPILE = ("optimizer", "run_eagerly", "steps_per_execution", "jit_compile")


def of(trainer):
    """Return the configuration of a `Trainer`: model, tasks, methods and options."""
    save = keras.saving.serialize_keras_object
    return {
        "tasks": [save(task) for task in trainer.tasks],
        **{name: save(getattr(trainer, name)) for name in PARTS},
        **{name: getattr(trainer, name) for name in OPTIONS},
        "as_keras": trainer.problem.as_keras,
    }


def made(cls, config, custom_objects=None):
    """Return the trainer that `of` described.

    Args:
        cls: `Trainer`, or a class of one.
        config: What `of` returned.
        custom_objects: Optional dict of what is not registered, by name.
    """
    load = keras.saving.deserialize_keras_object
    given = {name: load(config[name], custom_objects) for name in PARTS} | {
        name: config[name] for name in OPTIONS
    }
    trainer = cls(tasks=[load(task, custom_objects) for task in config["tasks"]], **given)
    trainer.problem = dataclasses.replace(trainer.problem, as_keras=config["as_keras"])
    return trainer


def of_compile(trainer):
    """Return the arguments with which a `Trainer` was compiled; `None` if it was not."""
    if not trainer.compiled:
        return None
    given = trainer._compile_config.config
    return {name: keras.saving.serialize_keras_object(given[name]) for name in COMPILE}
