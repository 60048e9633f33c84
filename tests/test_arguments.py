"""Every public constructor and builder: a wrong kind of value is refused there, by name, or is meant."""

import inspect
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo import aggregators, architectures, arguments, balancers, callbacks, encoders, layers, metrics
from mtl_zoo.experiments import choices

TASKS = [mz.Task.binary("click"), mz.Task.binary("buy")]
COUNTERFACTUAL = [TASKS[0], mz.conversion_task("buy_after_click"), TASKS[1]]
BATCH = (np.ones((2, 8), "float32"), {"click": np.array([0, 1]), "buy": np.array([1, 0])})
ROWS = {"age": np.array([20.0, 40.0], "float32")}
VALUES = {
    "none": None,
    "text": "x",
    "half": 1.5,
    "negative": -1,
    "zero": 0,
    "nan": float("nan"),
    "infinite": float("inf"),
    "list": [],
    "dict": {},
    "object": object(),
    "true": True,
    "billion": 10**9,
    "beyond": 10**400,
    "mixed": [1, "2"],
}

# Which of these values are accepted on purpose.
FINITE = {"half", "negative", "zero", "billion"}
NOT_NEGATIVE = {"half", "zero", "billion"}
POSITIVE = {"half", "billion"}
AT_LEAST_1 = {"half", "billion"}
FRACTION = {"zero"}  # 1 is not among the values, nor is anything between
OPEN = set()
COUNT = set()
FROM_0 = {"zero"}
INDEX = {"zero", "billion"}  # any integer from 0 of 32 bits
SEED = {"none", "zero", "billion"}
FLAG = {"true"}
OPTION = set()
ACTIVATION = {"none"}
OBJECT = set()
TEXT = {"text"}
PATH = {"text"}
MAPPING = {"none", "dict"}


FEW_UNITS = mz.architectures.hard_sharing(keras.Input((8,)), TASKS, encoders.mlp(4))


def optional(kind):
    return kind | {"none"}


def build(target):
    """Return a function that builds an architecture on a vector."""

    def make(**given):
        wanted = {"inputs": keras.Input((8,)), "tasks": TASKS, "encoder": encoders.mlp(4, 4), **given}
        return target(**wanted)

    return make


BLUEPRINT = {"inputs": OBJECT, "tasks": OBJECT, "encoder": OBJECT, "head": OBJECT}
WHERE = {"where": {"none", "text"}}
OF_CLASSES = {"class_weight": MAPPING, "label_smoothing": FRACTION, **WHERE}
STAGES = {"shared_stages": optional(FROM_0)}

TABLE = [
    (
        balancers.AutoLambda,
        {},
        {"primary": {"none", "list"}, "learning_rate": POSITIVE, "initial": NOT_NEGATIVE},
    ),
    (
        balancers.FORUM,
        {},
        {"learning_rate": POSITIVE, "virtual_steps": COUNT, "virtual_rate": POSITIVE, "rho": POSITIVE},
    ),
    (balancers.MOML, {}, {"learning_rate": POSITIVE}),
    (balancers.COSMOS, {}, {"strength": NOT_NEGATIVE, "alpha": POSITIVE, "seed": SEED}),
    (balancers.COSMOS, {}, {"preferences": optional(OBJECT)}),
    (balancers.DTP, {}, {"gamma": NOT_NEGATIVE, "alpha": OPEN}),
    (balancers.DWA, {}, {"temperature": POSITIVE}),
    (balancers.FAMO, {}, {"learning_rate": POSITIVE, "weight_decay": NOT_NEGATIVE, "min_losses": {"none"}}),
    (balancers.GO4Align, {}, {"num_groups": COUNT, "step_size": NOT_NEGATIVE}),
    (balancers.IGB, {}, {"base_epoch": FROM_0}),
    (balancers.LDC, {}, {"strength": NOT_NEGATIVE, "rescale": FLAG}),
    (balancers.PBI, {}, {"preferences": {"none"}, "theta": NOT_NEGATIVE, "reference": {"none"}}),
    (balancers.RLW, {}, {"seed": SEED}),
    (balancers.STCH, {}, {"mu": POSITIVE, "reference": {"none"}, "preferences": {"none"}}),
    (balancers.STCH, {}, {"nadir": {"none"}}),
    (balancers.Static, {}, {"weights": OBJECT}),
    (balancers.UWSO, {}, {"temperature": POSITIVE}),
    (
        balancers.Static.from_history,
        {"history": {"click_weight": [2.0], "buy_weight": [1.0]}, "tasks": TASKS},
        {"history": OBJECT, "tasks": OBJECT, "beta": FRACTION},
    ),
    (
        metrics.GAUC,
        {"group": "user", "num_groups": 2},
        {"group": TEXT, "num_groups": COUNT, "num_bins": COUNT},
    ),
    (metrics.LogLoss, {}, {"multi_label": optional(FLAG)}),
    (metrics.NDCG, {}, {"k": optional(COUNT)}),
    (aggregators.AlignedMTL, {}, {"scale_mode": OPTION, "preferences": {"none"}}),
    (aggregators.CAGrad, {}, {"c": NOT_NEGATIVE}),
    (aggregators.ConFIG, {}, {"preferences": {"none"}}),
    (aggregators.Constant, {}, {"weights": OBJECT}),
    (aggregators.CRMOGM, {"aggregator": aggregators.PCGrad()}, {"aggregator": OBJECT, "decay": FRACTION}),
    (aggregators.DBMTL, {}, {"beta": FRACTION, "sigma": NOT_NEGATIVE}),
    (aggregators.DualProj, {}, {"preferences": {"none"}}),
    (aggregators.ExcessMTL, {}, {"learning_rate": NOT_NEGATIVE}),
    (aggregators.FairGrad, {}, {"alpha": POSITIVE, "max_norm": optional(POSITIVE)}),
    (aggregators.GradDrop, {}, {"leak": FRACTION, "seed": SEED}),
    (aggregators.GradNorm, {}, {"alpha": NOT_NEGATIVE, "learning_rate": NOT_NEGATIVE}),
    (aggregators.GradVac, {}, {"beta": FRACTION, "seed": SEED}),
    (
        aggregators.Krum,
        {},
        {"num_byzantine": INDEX, "num_selected": {"billion"}},
    ),  # the number of tasks is not known
    (aggregators.MetaBalance, {}, {"relax": FRACTION, "beta": FRACTION, "primary": INDEX | TEXT}),
    (aggregators.MGDA, {}, {"preferences": {"none"}, "min_weights": {"none", "zero"}}),
    (
        aggregators.MoCo,
        {},
        {"beta": OPEN, **dict.fromkeys(("beta_sigma", "gamma", "gamma_sigma", "rho"), NOT_NEGATIVE)},
    ),
    (aggregators.MoDo, {}, {"gamma": NOT_NEGATIVE, "rho": NOT_NEGATIVE}),
    (aggregators.NashMTL, {}, {"max_norm": optional(POSITIVE)}),
    (aggregators.NTKMTL, {}, {"num_parts": COUNT, "power": NOT_NEGATIVE}),
    (aggregators.PCD, {}, {"primary": INDEX | TEXT, "tau": NOT_NEGATIVE}),
    (aggregators.PCD, {}, {"beta": FRACTION, "epsilon": NOT_NEGATIVE}),
    (aggregators.PCGrad, {}, {"seed": SEED}),
    (aggregators.PIVRG, {}, {"scores": {"none"}, "bound": POSITIVE, "min_temperature": POSITIVE}),
    (aggregators.PIVRG, {}, {"max_norm": optional(POSITIVE)}),
    (aggregators.Random, {}, {"seed": SEED}),
    (
        aggregators.SDMGrad,
        {},
        {"learning_rate": NOT_NEGATIVE, "momentum": FRACTION, "steps": COUNT, "regularization": NOT_NEGATIVE},
    ),
    (aggregators.TrimmedMean, {}, {"trim": INDEX}),
    (aggregators.UPGrad, {}, {"preferences": {"none"}}),
    (
        build(architectures.adatt),
        {},
        {
            **BLUEPRINT,
            **STAGES,
            "num_levels": {"none"},
            "num_task_experts": COUNT,
            "num_shared_experts": FROM_0,
        },
    ),
    (
        build(architectures.aitm),
        {},
        {**BLUEPRINT, **STAGES, "calibration": NOT_NEGATIVE, "activation": ACTIVATION},
    ),
    (
        build(architectures.branching),
        {},
        {**BLUEPRINT, "num_branches": {"none"}, "temperature": POSITIVE, "minimum_temperature": {"half"}},
    ),
    (build(architectures.branching), {}, {"warm_up": FRACTION, "settling": FRACTION}),
    (
        build(architectures.cgc),
        {},
        {**BLUEPRINT, **STAGES, "num_shared_experts": COUNT, "num_task_experts": COUNT},
    ),
    (build(architectures.cross_stitch), {}, {**BLUEPRINT, "per_channel": FLAG}),
    (
        build(architectures.dselect_k),
        {},
        {**BLUEPRINT, **STAGES, "num_experts": COUNT, "num_selected": COUNT, "gamma": POSITIVE},
    ),
    (build(architectures.dselect_k), {}, {"entropy": NOT_NEGATIVE, "per_example": FLAG}),
    (build(architectures.escm2), {"tasks": COUNTERFACTUAL}, {**BLUEPRINT, **STAGES}),
    (build(architectures.esmm), {}, {**BLUEPRINT, **STAGES}),
    (build(architectures.hard_sharing), {}, BLUEPRINT),
    (
        build(architectures.home),
        {},
        {
            **BLUEPRINT,
            **STAGES,
            "groups": {"none"},
            "num_experts": COUNT,
            "gate_rank": COUNT,
            "num_feature_gates": COUNT,
        },
    ),
    (build(architectures.mmoe), {}, {**BLUEPRINT, **STAGES, "num_experts": COUNT}),
    (build(architectures.mtan), {}, {**BLUEPRINT, "reduction": COUNT}),
    (build(architectures.mti), {}, {**BLUEPRINT, "activation": ACTIVATION}),
    (
        build(architectures.nddr),
        {},
        {**BLUEPRINT, "diagonal": FINITE, "normalization": {"none"}, "activation": ACTIVATION},
    ),
    (build(architectures.padnet), {}, {**BLUEPRINT, "activation": ACTIVATION}),
    (
        build(architectures.pepnet),
        {},
        {**BLUEPRINT, **STAGES, "domains": {"list"}, "priors": {"list"}, "gate_units": optional(COUNT)},
    ),
    (
        build(architectures.ple),
        {},
        {
            **BLUEPRINT,
            **STAGES,
            "num_levels": {"none"},
            "num_shared_experts": COUNT,
            "num_task_experts": COUNT,
        },
    ),
    (build(architectures.single_task), {}, BLUEPRINT),
    (build(architectures.sluice), {}, {**BLUEPRINT, "num_subspaces": COUNT, "orthogonality": NOT_NEGATIVE}),
    (build(architectures.soft_sharing), {}, {**BLUEPRINT, "penalty": OPTION, "strength": NOT_NEGATIVE}),
    (
        build(architectures.stem),
        {},
        {
            **BLUEPRINT,
            "num_shared_experts": COUNT,
            "num_task_experts": COUNT,
            "table_stages": optional(FROM_0),
        },
    ),
    (
        layers.Branch,
        {"num_children": 2},
        {
            "num_children": COUNT,
            "temperature": POSITIVE,
            "minimum": {"half"},
            "warm_up": FRACTION,
            "settling": FRACTION,
        },
    ),
    (layers.Calibrator, {}, {"strength": NOT_NEGATIVE}),
    (layers.CrossStitch, {}, {"per_channel": FLAG, "diagonal": FINITE}),
    (
        layers.DSelectKGate,
        {"num_experts": 4},
        {
            "num_experts": COUNT,
            "num_selected": COUNT,
            "gamma": POSITIVE,
            "entropy": NOT_NEGATIVE,
            "per_example": FLAG,
        },
    ),
    (layers.FeatureGate, {}, {"rank": COUNT, "num_gates": COUNT}),
    (layers.GateUnit, {}, {"units": optional(COUNT)}),
    (layers.Harmonization, {}, {"num_tasks": COUNT}),
    (layers.NDDR, {}, {"diagonal": FINITE}),
    (layers.PositionEmbedding, {}, {"max_length": COUNT}),
    (layers.SelfAttention, {"num_heads": 2}, {"num_heads": COUNT, "dropout": FRACTION}),
    (layers.Sluice, {}, {"num_subspaces": COUNT, "diagonal": FINITE}),
    (layers.SqueezeExcitation, {}, {"reduction": COUNT}),
    (layers.StageMixture, {}, {"last": FINITE}),
    (encoders.convnet, {"*filters": 4}, {"*filters": COUNT, "kernel_size": COUNT, "activation": ACTIVATION}),
    (encoders.mlp, {"*units": 4}, {"*units": COUNT, "activation": ACTIVATION, "dropout": FRACTION}),
    (
        encoders.backbone,
        {"keras_model": keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])},
        {"keras_model": OBJECT, "cut": {"none", "list"}, "sharing": OPTION, "output": {"none"}},
    ),
    (
        encoders.pretrained,
        {"name": "MobileNet", "input_shape": (32, 32, 3), "weights": None},
        {"name": OPTION, "input_shape": OBJECT, "weights": None, "cut": {"none", "list"}, "sharing": OPTION},
    ),
    (encoders.resnet, {"*filters": 4}, {"*filters": COUNT, "blocks": COUNT, "normalization": OPTION}),
    (
        encoders.spectrogram,
        {"*filters": 4},
        {
            **dict.fromkeys(("*filters", "num_mel_bins", "frame_length", "frame_step", "kernel_size"), COUNT),
            "sampling_rate": {"billion"},
            "activation": ACTIVATION,
        },
    ),
    (
        encoders.tabular,
        {"data": ROWS, "*units": 4},
        {"*units": COUNT, "embedding_dim": COUNT, "activation": ACTIVATION, "dropout": FRACTION},
    ),
    (encoders.tabular, {"data": ROWS, "*units": 4}, {"numbers": {"list"}, "columns": MAPPING}),
    (
        encoders.Column,
        {},
        {
            "embedding_dim": {"none"},
            "buckets": {"none", "billion"},
            "unknown": {"billion"},
            "table": optional(TEXT),
            "pooling": {"none"},
            "query": {"none"},
        },
    ),
    (layers.AttentionPooling, {}, {"units": COUNT}),
    (
        encoders.transformer,
        {"vocabulary_size": 8},
        {
            "vocabulary_size": COUNT,
            "width": COUNT,
            "depth": FROM_0,
            "num_heads": COUNT,
            "feed_forward": {"none"},
            "dropout": FRACTION,
            "max_length": {"none"},
        },
    ),
    (encoders.unet, {"*filters": 4}, {"*filters": COUNT, "kernel_size": COUNT, "normalization": {"none"}}),
    (mz.Task.binary, {"name": "kind"}, OF_CLASSES),
    (mz.Task.classification, {"name": "kind", "num_classes": 3}, {"num_classes": COUNT, **OF_CLASSES}),
    (mz.Task.multilabel, {"name": "kind", "n": 3}, {"n": COUNT, **OF_CLASSES}),
    (
        mz.Task.ordinal,
        {"name": "kind", "num_classes": 3},
        {"num_classes": COUNT, "class_weight": MAPPING, **WHERE},
    ),
    (mz.Task.regression, {"name": "kind"}, {"units": COUNT, "headline": {"none"}, **WHERE}),
    (mz.Task.count, {"name": "kind"}, {"units": COUNT}),
    (mz.Task.ranking, {"name": "kind", "n": 3}, {"n": COUNT}),
    (mz.Task.segmentation, {"name": "kind", "num_classes": 3}, {"num_classes": COUNT, "size": {"none"}}),
    (mz.Task.segmentation, {"name": "kind", "num_classes": 3}, OF_CLASSES),
    (mz.Task.dense_regression, {"name": "kind", "channels": 3}, {"channels": COUNT, "size": {"none"}}),
    (mz.Task.tagging, {"name": "kind", "num_tags": 3}, {"num_tags": COUNT, **OF_CLASSES}),
    (
        mz.Task,
        {name: getattr(TASKS[0], name) for name in inspect.signature(mz.Task).parameters},
        {
            **dict.fromkeys(("loss", "activation", "missing"), OBJECT),
            "output_shape": OBJECT,
            "label_shape": {"list"},
            "item_size": COUNT,
            "metrics": {"list"},
            "max_label": optional(INDEX),
            "class_weight": MAPPING,
            "headline": {"none"},
            **WHERE,
        },
    ),
    (
        mz.Trainer,
        {"model": build(architectures.hard_sharing)(), "tasks": TASKS},
        {
            "model": OBJECT,
            "tasks": OBJECT,
            "balancer": {"none"},
            "aggregator": {"none"},
            "space": OPTION,
            "accumulate": COUNT,
            "non_finite": OPTION,
            "refresh_every": COUNT,
        },
    ),
    (
        lambda **given: mz.Trainer(build(architectures.hard_sharing)(), TASKS).compile(**given),
        {},
        {
            "run_eagerly": FLAG,
            "steps_per_execution": COUNT,
            "jit_compile": FLAG,
            "shared_rate": POSITIVE,
            "loss": {"none"},
            "loss_weights": {"none"},
            "metrics": {"none"},
            "weighted_metrics": {"none"},
        },
    ),
    (
        callbacks.GradientMonitor,
        {"directory": "monitor", "data": BATCH},
        {
            "directory": PATH,
            "data": OBJECT,
            "every": optional({"billion"}),
            "vanishing_ratio": NOT_NEGATIVE,
            "vanishing_norm": {"zero", "half"},
            "exploding_norm": POSITIVE,
        },
    ),
    (
        callbacks.Resume,
        {"directory": "backup"},
        {"directory": PATH, "every": {"billion", "beyond"}, "recipe": MAPPING, "delete_checkpoint": FLAG},
    ),
    (mz.relations.Affinity, {}, {"every": {"billion"}}),
    (mz.relations.group, {"affinity": np.eye(3), "budget": 2}, {"affinity": OBJECT, "budget": OBJECT}),
    (
        mz.relations.gains,
        {"results": np.eye(2), "names": ("a", "b")},
        {"results": OBJECT, "names": OBJECT, "signs": {"none"}},
    ),
    (mz.relations.cosines, {"source": None}, {"source": OBJECT}),
    (
        mz.relations.TaskMatrix,
        {"names": ("a", "b"), "values": np.eye(2)},
        {"names": OBJECT, "values": OBJECT, "quantity": TEXT},
    ),
    (
        mz.relations.recommend,
        {"recipe": mz.experiments.Recipe(), "run_dir": "groups"},
        {"recipe": OBJECT, "budget": OBJECT},
    ),
    (
        mz.transfer.add_task,
        {"model": build(architectures.hard_sharing)(), "task": mz.Task.binary("late")},
        {"model": OBJECT, "task": OBJECT, "stages": {"list"}, "head": OBJECT, "at": {"none"}},
    ),
    (
        mz.transfer.freeze,
        {"model": build(architectures.hard_sharing)(), "shared": True},
        {"model": OBJECT, "tasks": {"list"}, "shared": FLAG, "layers": {"list"}},
    ),
    (
        mz.transfer.Teacher,
        {"model": build(architectures.hard_sharing)(), "tasks": TASKS},
        {"model": OBJECT, "tasks": OBJECT, "temperature": POSITIVE},
    ),
    (
        mz.transfer.ewc,
        {
            "model": build(architectures.hard_sharing)(),
            "tasks": TASKS,
            "dataset": tf.data.Dataset.from_tensors(BATCH),
            "strength": 1.0,
        },
        {
            "model": OBJECT,
            "tasks": OBJECT,
            "dataset": OBJECT,
            "strength": NOT_NEGATIVE,
            "labels": OPTION,
            "examples": COUNT,
            "seed": SEED,
        },
    ),
    (
        mz.transfer.initialize,
        {"model": build(architectures.cross_stitch)(), "from_model": build(architectures.hard_sharing)()},
        {"model": OBJECT, "from_model": OBJECT},
    ),
    (
        mz.transfer.merge,
        {"base": FEW_UNITS, "models": [FEW_UNITS]},
        {
            "base": OBJECT,
            "models": OBJECT,
            "method": OPTION,
            "scale": optional(FINITE),
            "data": {"none"},
        },
    ),
    (
        mz.transfer.tune,
        {"base": FEW_UNITS, "models": [FEW_UNITS], "tasks": TASKS, "validation": None},
        {"base": OBJECT, "models": OBJECT, "tasks": OBJECT, "method": OPTION, "validation": OBJECT},
    ),
    (
        mz.transfer.tune,
        {"base": FEW_UNITS, "models": [FEW_UNITS], "tasks": TASKS, "validation": None},
        {"scales": OBJECT},
    ),
    (mz.exporting.Pixels, {}, {"scale": FINITE, "offset": FINITE}),
    (
        mz.transfer.lora,
        {"model": build(architectures.hard_sharing)(), "tasks": TASKS},
        {
            "model": OBJECT,
            "tasks": OBJECT,
            "rank": COUNT,
            "where": {"none"},
            "shared": {"none"},
            "scale": FINITE,
            "features": {"none"},
            "head": OBJECT,
        },
    ),
    (
        mz.transfer.palora,
        {"model": build(architectures.hard_sharing)(), "tasks": TASKS},
        {
            "model": OBJECT,
            "tasks": OBJECT,
            "rank": COUNT,
            "alpha": FINITE,
            "where": {"none"},
            "steps": {"billion"},
            "concentration": POSITIVE,
            "seed": SEED,
        },
    ),
    (
        mz.transfer.merge_lora,
        {"model": build(architectures.hard_sharing)()},
        {"model": OBJECT, "preferences": {"none"}},
    ),
    (
        mz.transfer.with_preferences,
        {
            "dataset": tf.data.Dataset.from_tensors(BATCH),
            "model": mz.transfer.palora(build(architectures.hard_sharing)(), TASKS),
        },
        {"dataset": OBJECT, "model": OBJECT, "preferences": {"none"}},
    ),
    (mz.evaluation.interval, {"values": [1.0, 2.0]}, {"values": OBJECT, "level": OBJECT}),
    (mz.evaluation.probe, {"recipe": mz.experiments.Recipe()}, {"recipe": OBJECT, "steps": OBJECT}),
    (
        mz.datasets.augment,
        {"dataset": tf.data.Dataset.from_tensors((np.ones((1, 4, 4, 3)), {"part": np.ones((1, 4, 4))}))},
        {
            "dataset": OBJECT,
            "seed": SEED,
            "flip": FLAG,
            "zoom": AT_LEAST_1,
            "masks": {"list"},
            "depths": {"list"},
            "normals": {"list"},
        },
    ),
    (
        mz.datasets.correlated_regression.load,
        {"split": "test", "batch_size": 8},
        {
            "split": OPTION,
            "batch_size": COUNT,
            "data_dir": optional(PATH),
            "seed": INDEX,
            "drop_remainder": FLAG,
            "correlation": {"zero", "negative"},
            "draw": INDEX,
        },
    ),
    (
        mz.datasets.interleave,
        {
            "datasets": {"click": tf.data.Dataset.from_tensors((np.ones((4, 2)), np.ones(4, int)))},
            "batch_size": 2,
        },
        {
            "datasets": OBJECT,
            "batch_size": COUNT,
            "weights": OBJECT,
            "temperature": POSITIVE,
            "steps": {"none"},
            "mixed": FLAG,
            "seed": INDEX,
        },
    ),
]
CASES = [
    pytest.param(target, given, name, kind, id=f"{getattr(target, '__qualname__', target)}-{index}-{name}")
    for index, (target, given, kinds) in enumerate(TABLE)
    for name, kind in kinds.items()
    if kind is not None
]


def call(target, given):
    """Call a target; the argument with a star is one of many without a name."""
    named = {name: value for name, value in given.items() if not name.startswith("*")}
    many = [value for name, value in given.items() if name.startswith("*")]
    first = [named.pop("data")] if many and "data" in named else []
    return target(*first, *many, **named)


@pytest.mark.parametrize(("target", "given", "name", "accepted"), CASES)
def test_a_wrong_kind_of_value_is_refused_by_name(tmp_path, monkeypatch, target, given, name, accepted):
    monkeypatch.chdir(tmp_path)
    for label, value in VALUES.items():
        wrong = {**given, name: value}
        if label in accepted:
            call(target, wrong)
            continue
        started = time.process_time()
        with pytest.raises((TypeError, ValueError)) as caught:
            call(target, wrong)
        message = str(caught.value)
        assert name.strip("*") in message or "output_shape" in message, (label, message)
        assert "Received" in message, (label, message)
        assert "\n" not in message, (label, message)
        assert time.process_time() - started < 5.0, label  # a second, on a machine that is not busy


def test_every_method_architecture_encoder_and_layer_is_in_the_table():
    """A new one must come with its arguments; those without any are left out."""
    known = {name for target, _, kinds in TABLE for name in kinds if not name.startswith("*")}
    seen = {getattr(target, "__name__", "") for target, _, _ in TABLE}
    for module in (balancers, aggregators, layers):
        for name, member in vars(module).items():
            bases = {"Balancer", "Aggregator", "GramianAggregator", "PreferenceAggregator"}
            if inspect.isclass(member) and name not in bases and not _is_made_by_keras(member):
                parameters = set(inspect.signature(member).parameters) - {"dtype", "kwargs"}
                assert not parameters or name in seen, f"Add {name} to the table, with {sorted(parameters)}."
                assert parameters <= known, f"Add to {name}: {sorted(parameters - known)}."
    for name, member in vars(encoders).items():
        if inspect.isfunction(member) and name not in ("encode", "tabular_inputs"):
            assert name in seen, f"Add {name} to the table."


def _is_made_by_keras(layer):
    """Return whether all arguments are those of a layer of Keras."""
    return inspect.unwrap(layer.__init__).__module__.startswith("keras.")


def refusal(family, text):
    """Return what the command line prints for a choice; nothing if it is accepted."""
    first = (keras.Input((8,)), TASKS, encoders.mlp(4, 4)) if family == "architecture" else ()
    try:
        choices.FAMILIES[family].parse(text).make(*first)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("family", ["architecture", "balancer", "aggregator"])
def test_what_the_command_line_can_choose_refuses_wrong_kinds_by_name(family):
    texts = ["1.5x", "{}", "nan", "1e999", "10**9", "(" * 300, "[" * 9000, "{[]: 1}"]
    for name, member in choices.FAMILIES[family].members().items():
        for parameter in choices.FAMILIES[family].parameters(member):
            names = parameter.name == "primary"  # a task may be called nan
            for text in [text for text in texts if not (names and text == "nan")]:
                message = refusal(family, f"{name}:{parameter.name}={text}")
                assert parameter.name in (message or ""), (name, parameter.name, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crmogm:aggregator=1", r"The aggregator must be chosen by name\. Received: 1"),
        ("crmogm:aggregator=none", r"`aggregator` must be an instance of `GramianAggregator`"),
        (
            "krum:num_byzantine=1.5",
            r"`num_byzantine` must be an integer of at least 0\. Received: num_byzantine=1\.5",
        ),
        ("sdmgrad:steps=1e30", r"`steps` must be an integer of at least 1\. Received: steps=1e\+30"),
        ("sdmgrad:steps=1e3", r"Received: steps=1000\.0"),
        ("sdmgrad:steps=1000000", r"`steps` must be at most 10,000\. Received: steps=1000000"),
    ],
)
def test_the_command_line_names_the_argument(text, message):
    with pytest.raises(ValueError, match=message):
        choices.FAMILIES["aggregator"].parse(text).make()


def test_numbers_of_numpy_are_numbers():
    assert aggregators.CAGrad(np.float32(0.5)).c == 0.5
    assert aggregators.Krum(np.int64(1), np.int8(2)).num_selected == 2
    assert balancers.Static(np.array([1, 2])).start == [1.0, 2.0]
    assert balancers.RLW(seed=np.int64(3)).random.state is not None
    model = build(architectures.dselect_k)(
        encoder=encoders.mlp(np.int64(4), dropout=np.float32(0.5)),
        num_experts=np.int64(3),
        gamma=np.float32(1.0),
        per_example=np.bool_(True),
    )
    assert keras.models.clone_model(model).count_params() == model.count_params()


@pytest.mark.parametrize("value", [np.bool_(True), True, "1", b"1", 1j, np.float64("nan"), 1e39, 10**40])
def test_what_is_not_a_finite_number(value):
    with pytest.raises(ValueError, match=r"`x` must be a finite number\. Received: x="):
        arguments.number("x", value)


@pytest.mark.parametrize("values", ["12", b"12", {1: 2}, {1, 2}, 1, np.ones((2, 2)), [1, None], [True], []])
def test_what_is_not_a_sequence_of_numbers(values):
    with pytest.raises(ValueError, match=r"`x` must hold finite numbers\. Received: x="):
        arguments.numbers("x", values)


@pytest.mark.parametrize(
    ("bounds", "right", "wrong", "words"),
    [
        ({"least": 0}, 0, -0.5, "not be negative"),
        ({"above": 0}, 1e-9, 0, "be positive and finite"),
        ({"least": 0, "most": 1}, 1, 1.5, "be between 0 and 1"),
        ({"least": 0, "below": 1}, 0, 1, "be at least 0 and below 1"),
        ({"above": 0, "most": 1}, 1, 0, "be above 0 and at most 1"),
        ({"least": 1}, 1, 0.5, "be at least 1"),
    ],
)
def test_bounds(bounds, right, wrong, words):
    assert arguments.number("x", right, **bounds) == right
    with pytest.raises(ValueError, match=f"`x` must {words}. Received: x={wrong}"):
        arguments.number("x", wrong, **bounds)


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (arguments.text, "a", ["", 1, None, b"a"]),
        (arguments.texts, ("a", "b"), ["ab", None, [1], {"a": 1}]),
        (arguments.path, "a", ["", b"a", 1, None]),
        (arguments.function, len, [None, "len", 1]),
        (arguments.size, (2, 3), [(2,), (2, 0), (2, 3.0), "ab", 7, (2, 10**9), (True, 3)]),
        (arguments.integers, (1, 2), ["12", 1, (1, 2.0), (1, True)]),
        (arguments.activation, "relu", ["x", 1, b"relu", []]),
        (arguments.seed, 2**32 - 1, [2**32, -1, 1.0, True, "1"]),
        (arguments.flag, False, [0, 1, None, "False"]),
        (arguments.mapping, {"a": 1}, [[], "a", 1]),
    ],
)
def test_kinds(check, right, wrong):
    assert check("x", right) == right
    for value in wrong:
        with pytest.raises(ValueError, match=r"`x` must be .*Received: x="):
            check("x", value)
