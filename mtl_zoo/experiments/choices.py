"""What the command line can choose from, found in the module tree, and `name:key=value,key=value`."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from types import ModuleType

import keras

from mtl_zoo import aggregators, architectures, balancers, datasets, encoders, optimizers
from mtl_zoo.experiments import argument_text, from_run, own_data
from mtl_zoo.experiments.names import find

MANY = 3  # tasks that a line names


@dataclasses.dataclass(frozen=True)
class Choice:
    """A member of a family and arguments for it.

    Args:
        text: What the user wrote.
        target: The chosen function, class or dataset module.
        arguments: Dictionary of keyword arguments.
    """

    text: str
    target: Callable | ModuleType
    arguments: dict

    def takes(self, name):
        """Return whether the target has a parameter of that name."""
        return name in _parameters(self.target)

    def make(self, *args):
        """Call the target with `args` and the arguments; one named like a family is chosen from it.

        The values of an argument that stands for any number, such as `*units`, follow `args`; a single one
        needs no list.

        Raises:
            ValueError: If the target does not take these values.
        """
        try:
            arguments = {
                name: FAMILIES[name].parse(value).make() if name in FAMILIES else value
                for name, value in self.arguments.items()
            }
            return self.target(*args, *self._any_number(arguments), **arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(f"'{self.text}': {error}") from error

    def _any_number(self, arguments):
        """Take the values of an argument such as `*units` out of a dictionary."""
        parameters = _parameters(self.target).values()
        names = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL and p.name in arguments]
        values = [arguments.pop(name) for name in names]
        return [x for value in values for x in (value if isinstance(value, (list, tuple)) else [value])]


@dataclasses.dataclass(frozen=True)
class Family:
    """One of the orthogonal choices of a training: everything of one kind in one module.

    Args:
        kind: What a member is called.
        namespace: Module that holds the members among its public names.
        is_member: Function that tells members from other objects.
        contract: Names of the parameters that all members share, which are not the user's to choose.
        extra: Functions or classes that are members too, for instance one that stands for having none.
    """

    kind: str
    namespace: ModuleType
    is_member: Callable
    contract: tuple[str, ...]
    extra: tuple[Callable, ...] = ()

    def members(self):
        """Return a dictionary from command-line names to members."""
        extra = {member.__name__.lower(): member for member in self.extra}
        found = {name.lower(): x for name, x in vars(self.namespace).items() if self.is_member(x)}
        return extra | found

    def parameters(self, member):
        """Return the `inspect.Parameter`s that a user may give to a member."""
        parameters = _parameters(member).values()
        return [p for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in self.contract]

    def parse(self, text):
        """Read `name` or `name:key=value,key=value`.

        Case and underscores of the name do not matter. Values are Python literals, or strings where they are
        none; commas within a literal are part of it.

        Args:
            text: What the user wrote.

        Returns:
            `Choice`.

        Raises:
            ValueError: If there is no such member or argument, or a required argument is missing.

        Example:

        >>> FAMILIES["balancer"].parse("static:weights=[1, 2]").arguments
        {'weights': [1, 2]}
        """
        if not isinstance(text, str):
            raise ValueError(f"The {self.kind} must be chosen by name. Received: {text!r}")
        name, _, arguments = text.partition(":")
        choice = Choice(text, find(self.kind, name, self.members()), argument_text.parse(arguments))
        choice = from_run.settled(choice)
        self._check_arguments(choice)
        return choice

    def _check_arguments(self, choice):
        parameters = self.parameters(choice.target)
        valid = {parameter.name for parameter in parameters}
        required = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
        if not required <= set(choice.arguments) <= valid:
            takes = ", ".join(map(_describe_parameter, parameters)) or "no arguments"
            raise ValueError(f"This {self.kind} takes {takes}. Received: {choice.text!r}")


def describe(family):
    """Return one row `(name, arguments with defaults, needs, links to papers, summary)` per member.

    What a dataset "needs" is its field, size, tasks, licence and download.
    """
    return [
        (
            name,
            ",".join(_describe_parameter(parameter) for parameter in family.parameters(member)),
            _card(member) if _is_dataset(member) else _needs(member),
            " ".join(re.findall(r"\]\((\S+)\)", _reference(member))),
            member.__doc__.strip().splitlines()[0],
        )
        for name, member in sorted(family.members().items())
    ]


def _card(dataset):
    """Return what a dataset is, as text."""
    sizes = " + ".join(f"{size:,}" for size in dataset.SIZES.values())
    names = [task.name for task in dataset.TASKS]
    tasks = (
        ", ".join(names) if len(names) <= MANY else f"{', '.join(names[:MANY])} and {len(names) - MANY} more"
    )
    source = f"download: {dataset.DOWNLOAD}" if dataset.DOWNLOAD else "embedded"
    return f"{dataset.FIELD}; {sizes} examples; tasks: {tasks}; licence: {dataset.LICENSE}; {source}"


def _reference(member):
    """Return the part of the docstring with links to papers; for a module also from what it defines."""
    docstrings = [member.__doc__]
    if inspect.ismodule(member):
        docstrings += [x.__doc__ or "" for x in vars(member).values() if _is_defined(x, member)]
    return " ".join(text.partition("Reference:")[2].partition("\n\n")[0] for text in docstrings)


def _is_defined(x, module):
    return (inspect.isfunction(x) or inspect.isclass(x)) and x.__module__ == module.__name__


def _needs(member):
    """Return what a method looks at, as text; nothing for other members."""
    if _is_balancer(member):
        more = ", and those after the step" if member.second_look else ""
        return f"losses{more}" + (", and meta data" if member.needs_meta else "")
    if not _is_aggregator(member):
        return ""
    needs = "Gramian" if issubclass(member, aggregators.GramianAggregator) else "Jacobian"
    parts = f" of {member.sub_batches} sub-batches" if member.sub_batches > 1 else ""
    return needs + parts + (", state of its size" if member.state_per_parameter else "")


def none():
    """Leaves the gradient of the balanced loss as it is, in one backward pass."""


def _is_dataset(x):
    return inspect.ismodule(x) and hasattr(x, "TASKS") and hasattr(x, "load")


def _is_architecture(x):
    return inspect.isfunction(x)


def _is_balancer(x):
    return inspect.isclass(x) and issubclass(x, balancers.Balancer) and _is_concrete(x)


def _is_aggregator(x):
    return inspect.isclass(x) and issubclass(x, aggregators.Aggregator) and _is_concrete(x)


def _is_encoder(x):
    return inspect.isfunction(x) and x not in (encoders.backbone, encoders.encode, encoders.tabular_inputs)


def _is_optimizer(x):
    """Return whether it is an optimizer of Keras, and not one around others."""
    is_one = inspect.isclass(x) and issubclass(x, keras.optimizers.Optimizer)
    return is_one and "learning_rate" in inspect.signature(x.__init__).parameters


def _is_concrete(x):
    return not x.__module__.endswith(".base")


FAMILIES = {
    family.kind: family
    for family in (
        Family(
            "dataset",
            datasets,
            _is_dataset,
            ("split", "batch_size", "data_dir", "manual_dir", "seed", "drop_remainder"),
            own_data.OWN,
        ),
        Family("architecture", architectures, _is_architecture, ("inputs", "tasks", "encoder", "head")),
        Family("encoder", encoders, _is_encoder, ("data", "input_shape")),
        Family("balancer", balancers, _is_balancer, ("self", "dtype")),
        Family("aggregator", aggregators, _is_aggregator, ("self", "dtype"), (none,)),
        Family(
            "optimizer",
            keras.optimizers,
            _is_optimizer,
            (
                *("self", "learning_rate", "name", "loss_scale_factor", "gradient_accumulation_steps"),
                *("use_ema", "ema_momentum", "ema_overwrite_frequency"),  # the best epoch's weights count
            ),
            (optimizers.LazyAdam, optimizers.SparseAdagrad),
        ),
    )
}


def _parameters(member):
    """Return a dictionary of `inspect.Parameter`s; those of a dataset are for its data and its encoder."""
    if inspect.ismodule(member):
        return {**_parameters(member.load), **_parameters(member.encoder)}
    return dict(inspect.signature(member.__init__ if inspect.isclass(member) else member).parameters)


def _describe_parameter(parameter):
    return f"{parameter.name}={'<required>' if parameter.default is parameter.empty else parameter.default}"
