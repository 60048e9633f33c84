"""What is chosen for a training, as one value."""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json

from mtl_zoo import arguments, files
from mtl_zoo.experiments import _fields
from mtl_zoo.options import NON_FINITE, SCHEDULES, SPACES, STRATEGIES
from mtl_zoo.versions import versions

LOCATIONS = ("data_dir", "manual_dir")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
OF_TRAINER = ("space", "accumulate", "non_finite", "refresh_every")
ADAPTED_ON = 4096  # examples in a batch


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What determines a training; its fields are the flags of `mtl-zoo train`.

    A choice is a text, `"name"` or `"name:key=value,key=value"`, as on the command line. Values are checked,
    and recipes of equal values are equal.

    Args:
        dataset: Choice among `mz.datasets`, with arguments of `load` and `encoder`, `csv_file` and
            `image_folder`. Defaults to `"multi_digits"`.
        architecture: Choice among `mz.architectures`. Defaults to `"hard_sharing"`.
        balancer: Choice among `mz.balancers`. Defaults to `"equal"`.
        aggregator: Choice among `mz.aggregators`, or `"none"`, the default.
        task_names: Names of the dataset's tasks to train; `tasks` in files and flags. Defaults to all.
        space: As for `mz.Trainer`. Defaults to `"shared"`.
        epochs: Number of epochs. Defaults to 10.
        batch_size: Number of examples in a batch. Defaults to 256.
        accumulate: Number of batches that make one update. Defaults to 1.
        learning_rate: The highest learning rate. Defaults to 0.001.
        seed: Seed of all that is random. Defaults to 0.
        strategy: `"none"`, the default, `"mirrored"` or `"multi_worker"`.
        precision: Keras' dtype policy of the layers. Defaults to `"float32"`.
        jit_compile: Whether XLA compiles steps on a CPU too. Defaults to `False`.
        non_finite: As for `mz.Trainer`. Defaults to `"skip"`.
        data_dir: Directory of prepared datasets. Defaults to that of TFDS.
        manual_dir: Directory with files that a user downloads by hand. Defaults to `None`.
        encoder: Choice among `mz.encoders`; of `tabular` and `pretrained` what belongs to the data is given.
            Defaults to `None`: the dataset's.
        optimizer: Choice among `keras.optimizers`. Defaults to `"adam"`.
        schedule: `"constant"`, the default, `"cosine"` (to 0 at the end) or `"exponential"` (to a hundredth).
        warmup_steps: Number of updates in which the learning rate rises from 0. Defaults to 0.
        refresh_every: As for `mz.Trainer`. Defaults to 1.

    Raises:
        ValueError: If a value is not right.

    Example:

    >>> recipe = Recipe(architecture="mmoe:num_experts=4", epochs=3)
    >>> recipe.balancer, [task.name for task in recipe.tasks()], recipe.hash[:8]
    ('equal', ['left', 'right'], 'ffaee8b9')
    """

    dataset: str = _fields.choice("dataset", "multi_digits")
    architecture: str = _fields.choice("architecture", "hard_sharing")
    balancer: str = _fields.choice("balancer", "equal")
    aggregator: str = _fields.choice("aggregator", "none")
    task_names: tuple | None = _fields.field(
        None,
        "Tasks to train, of the dataset's. Default: all.",
        lambda name, value: arguments.texts(name, value) or None,
        key="tasks",
    )
    space: str = _fields.option(
        SPACES, "What the aggregator sees: gradients of shared variables or of the shared representation."
    )
    epochs: int = _fields.count(10, "Number of epochs.", arguments.EPOCHS)
    batch_size: int = _fields.count(256, "Number of examples in a batch.", arguments.EXAMPLES)
    accumulate: int = _fields.count(1, "Number of batches that make one update.", arguments.COPIES)
    learning_rate: float = _fields.field(
        1e-3, "Highest learning rate.", functools.partial(arguments.number, above=0)
    )
    seed: int = _fields.count(0, "Seed of all that is random.", arguments.SEED, least=0)
    strategy: str = _fields.option(
        STRATEGIES, "mirrored: all devices of this machine; multi_worker: the machines of TF_CONFIG."
    )
    precision: str = _fields.option(PRECISIONS, "Of the layers.")
    jit_compile: bool = _fields.field(False, "Whether XLA compiles steps on a CPU too.", arguments.flag)
    non_finite: str = _fields.option(NON_FINITE, "What to do at a loss or gradient that is not finite.")
    data_dir: str | None = _fields.field(None, "Prepared datasets. Default: TFDS's own.", _fields.place)
    manual_dir: str | None = _fields.field(None, "Files that you downloaded by hand.", _fields.place)
    encoder: str | None = _fields.choice(
        "encoder",
        None,
        "The encoder: name or name:key=value,...; `mtl-zoo list` shows all. Default: the dataset's.",
        added=True,
    )
    optimizer: str = _fields.choice("optimizer", "adam", added=True)
    schedule: str = _fields.option(
        SCHEDULES,
        "How the learning rate falls: not; to 0, as a cosine; to a hundredth, by a factor per step.",
        added=True,
    )
    warmup_steps: int = _fields.count(
        0, "Updates in which the learning rate rises from 0.", arguments.BATCHES, least=0, added=True
    )
    refresh_every: int = _fields.count(
        1, "Updates after which the aggregator finds new weights.", arguments.BATCHES, added=True
    )

    def __post_init__(self):
        for key, field in FIELDS.items():
            value = getattr(self, field.name)
            if not (value is None and field.default is None):
                object.__setattr__(self, field.name, field.metadata["check"](key, value))
        self.tasks()
        data = self._chosen("dataset")
        if self.manual_dir and not data.takes("manual_dir"):
            raise ValueError(f"Dataset '{data.text}' takes no --manual_dir: it needs no files of the user's.")
        loaded = _wanted(self.data.load, self._given())
        if self.encoder and loaded != self._given():
            its_own = "arguments for its own encoder"
            raise ValueError(f"With --encoder a dataset must have no {its_own}. Received: '{data.text}'")

    @classmethod
    def from_config(cls, config):
        """Make a recipe from a dictionary as `get_config` returns it; what is missing has its default.

        Raises:
            ValueError: If a value is not right, or there is another key than those and `versions`.
        """
        unknown = sorted(config.keys() - FIELDS.keys() - {"versions"})
        if unknown:
            raise ValueError(
                f"A recipe must have no other keys than {', '.join(FIELDS)}. Received: {unknown}"
            )
        return cls(**{field.name: config[key] for key, field in FIELDS.items() if key in config})

    @classmethod
    def read(cls, path):
        """Read a recipe from a JSON file."""
        return cls.from_config(files.read_json(path))

    def write(self, path):
        """Write a recipe to a JSON file, with the versions of what it is for."""
        files.write_json(path, self.get_config() | {"versions": versions()})

    def get_config(self):
        """Return a dictionary of all values, as JSON has them."""
        values = {key: getattr(self, field.name) for key, field in FIELDS.items()}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    def essence(self):
        """Return what determines the result, as JSON has it: places of files do not.

        Fields that came later are there if they are not at their defaults, so that it stays the same.
        """
        return {
            key: value
            for key, value in self.get_config().items()
            if key not in LOCATIONS and (key not in ADDED or value != FIELDS[key].default)
        }

    @property
    def hash(self):
        """SHA-256 of the essence in canonical JSON, in hexadecimal digits; the same in every process.

        Recipes with the same hash train the same model. Choices count as they are written: `"dwa"` and
        `"dwa:temperature=2.0"` have different ones.
        """
        text = json.dumps(self.essence(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def places(self):
        """Return the directories of the data, by name."""
        return {name: getattr(self, name) for name in LOCATIONS}

    @functools.cached_property
    def data(self):
        """The module of the dataset, or files of a user's own, used like one."""
        from mtl_zoo.experiments.own_data import data_of

        return data_of(self._chosen("dataset"))

    def tasks(self):
        """Return the tasks of the dataset, or the chosen ones, in the dataset's order."""
        from mtl_zoo.spaces import with_spaces

        known = {task.name: task for task in with_spaces(self.data.TASKS)}
        names = self.task_names or list(known)
        if not set(names) <= set(known):
            raise ValueError(f"Tasks must be among {', '.join(known)}. Received: {', '.join(names)}")
        return tuple(task for name, task in known.items() if name in names)

    def inputs(self):
        """Return fresh inputs of the dataset."""
        return self.data.inputs()

    def load(self, split):
        """Return a split of the dataset in batches, `"train"`, `"validation"` or `"test"`."""
        manual = {"manual_dir": self.manual_dir} if self.manual_dir else {}
        given = _wanted(self.data.load, self._given())
        options = {"data_dir": self.data_dir, "seed": self.seed, **given, **manual}
        return self.data.load(split, self.batch_size, **options)

    def load_meta(self):
        """Return the training split once more, in another order, as meta data; `None` if they have no use."""
        if not self._chosen("balancer").target.needs_meta:
            return None
        return dataclasses.replace(self, seed=self.seed ^ 1).load("train")

    def _given(self):
        """Return the arguments that were chosen with a dataset of the zoo."""
        return self._chosen("dataset").arguments if inspect.ismodule(self.data) else {}

    def model(self):
        """Return a fresh model; sets the seed of all that is random first."""
        import keras

        keras.utils.set_random_seed(self.seed)
        with self._computing():
            return self._chosen("architecture").make(self.inputs(), self.tasks(), self._encoder())

    def trainer(self, train=None):
        """Return a compiled trainer of a fresh model; call it in the scope of the strategy, if there is one.

        Args:
            train: Training split, whose size a schedule needs. Defaults to `None`: `load("train")`.

        Returns:
            `Trainer`.
        """
        from mtl_zoo.experiments.optimizer import make_optimizer
        from mtl_zoo.training.trainer import Trainer

        model = self.model()
        with self._computing():
            trainer = Trainer(
                model,
                self.tasks(),
                self._chosen("balancer").make(),
                self._chosen("aggregator").make(),
                **{name: getattr(self, name) for name in OF_TRAINER},
            )
            optimizer = make_optimizer(self._chosen("optimizer"), self._rate(train))
            trainer.compile(optimizer, jit_compile=True if self.jit_compile else "auto")
        return trainer

    def _chosen(self, kind):
        return _fields.parsed(kind, getattr(self, kind))

    def _encoder(self):
        """Return the chosen stages or the dataset's; those adapted on data take the places of its files."""
        if self.encoder is None:
            return self.data.encoder(**_wanted(self.data.encoder, self.places() | self._given()))
        from mtl_zoo.experiments.encoder import make_encoder

        reader = dataclasses.replace(self, batch_size=ADAPTED_ON)
        return make_encoder(self._chosen("encoder"), self.inputs(), lambda: reader.load("train"))

    def _rate(self, train):
        """Return the learning rate, or its schedule over all updates."""
        if self.schedule == "constant" and not self.warmup_steps:
            return self.learning_rate
        from mtl_zoo.experiments.schedule import make_schedule

        batches = int((self.load("train") if train is None else train).cardinality())
        steps = self.epochs * -(-batches // self.accumulate) if batches > 0 else None
        return make_schedule(self.schedule, self.learning_rate, self.warmup_steps, steps)

    @contextlib.contextmanager
    def _computing(self):
        """Let layers that are made in this context compute in the chosen precision."""
        import keras

        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)


def _wanted(function, given):
    """Return those of a dictionary of arguments that a function takes."""
    return {name: given[name] for name in inspect.signature(function).parameters if name in given}


# By their names in files and flags; those that came later may be missing in a file.
FIELDS = {field.metadata.get("key", field.name): field for field in dataclasses.fields(Recipe)}
ADDED = tuple(key for key, field in FIELDS.items() if field.metadata.get("added"))
