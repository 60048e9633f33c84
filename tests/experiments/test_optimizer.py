import keras
import numpy as np
import pytest

from mtl_zoo.experiments.choices import FAMILIES
from mtl_zoo.experiments.optimizer import make_optimizer

FAMILY = FAMILIES["optimizer"]
CLASSES = {
    name
    for name, x in vars(keras.optimizers).items()
    if isinstance(x, type) and issubclass(x, keras.optimizers.Optimizer)
}


def make(text, learning_rate=0.1):
    return make_optimizer(FAMILY.parse(text), learning_rate)


def moved(optimizer):
    """Return where three steps lead."""
    x = keras.Variable([[1.0, -2.0], [3.0, 0.5]])
    optimizer.build([x])
    for _ in range(3):
        optimizer.apply([keras.ops.square(x) * 0.1], [x])
    return np.array(x)


def test_all_of_keras_and_ours_are_there_but_those_around_others():
    wanted = CLASSES - {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"} | {"SparseAdagrad", "LazyAdam"}
    assert set(FAMILY.members()) == {name.lower() for name in wanted}


@pytest.mark.parametrize("name", FAMILY.members())
def test_each_steps_as_in_keras(name):
    plain = FAMILY.members()[name](0.1)
    np.testing.assert_array_equal(moved(make(name)), moved(plain))


def test_arguments_are_those_of_keras():
    np.testing.assert_array_equal(
        moved(make("sgd:momentum=0.9,nesterov=True")),
        moved(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)),
    )
    assert make("AdamW:weight_decay=0.1,clipnorm=1").weight_decay == 0.1
    assert make("muon:exclude_layers=['head'],rms_rate=None").rms_rate is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adam:beta_1=hot", "`beta_1` must be a finite number"),
        ("adam:beta_1=None", "`beta_1` must be a finite number"),
        ("adam:clipnorm=x", "`clipnorm` must be a finite number"),
        ("adam:amsgrad=1", "`amsgrad` must be `True` or `False`"),
        ("sgd:momentum=2", "momentum"),
        ("adam:clipnorm=1,clipvalue=1", "Only one of"),
        ("muon:exclude_layers=1", "`exclude_layers` must be a sequence of strings"),
    ],
)
def test_wrong_values_are_refused_by_name(text, message):
    with pytest.raises(ValueError, match=f"'{text}': .*{message}".replace("[", r"\[")):
        make(text)


@pytest.mark.parametrize("name", ["learning_rate", "name", "use_ema", "gradient_accumulation_steps"])
def test_what_is_chosen_elsewhere_is_no_argument(name):
    with pytest.raises(ValueError, match=r"This optimizer takes momentum=0\.0"):
        make(f"sgd:{name}=1")
