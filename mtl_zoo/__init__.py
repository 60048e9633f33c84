"""Multi-task learning for Keras and TensorFlow.

Any dataset, any sharing architecture, any loss balancer and any gradient aggregator, trained by one
`tf.GradientTape` step and exported as one SavedModel.
"""

from mtl_zoo import program

if not program.answers_first():
    from mtl_zoo import aggregators as aggregators
    from mtl_zoo import architectures as architectures
    from mtl_zoo import balancers as balancers
    from mtl_zoo import callbacks as callbacks
    from mtl_zoo import datasets as datasets
    from mtl_zoo import encoders as encoders
    from mtl_zoo import evaluation as evaluation
    from mtl_zoo import experiments as experiments
    from mtl_zoo import exporting as exporting
    from mtl_zoo import introspection as introspection
    from mtl_zoo import layers as layers
    from mtl_zoo import metrics as metrics
    from mtl_zoo import optimizers as optimizers
    from mtl_zoo import plots as plots
    from mtl_zoo import relations as relations
    from mtl_zoo import transfer as transfer
    from mtl_zoo.auxiliary import auxiliary_tasks as auxiliary_tasks
    from mtl_zoo.conversion import conversion_task as conversion_task
    from mtl_zoo.experiments import schedule as _schedule  # noqa: F401  # registered for Keras files
    from mtl_zoo.experiments import training as _training  # noqa: F401
    from mtl_zoo.introspection import branches as branches
    from mtl_zoo.spaces import with_spaces as with_spaces
    from mtl_zoo.task import Task as Task
    from mtl_zoo.training import gradients as gradients
    from mtl_zoo.training.compiled import tasks_of as tasks_of
    from mtl_zoo.training.trainer import Trainer as Trainer
