"""Pictures of aggregators: the direction that each finds for two gradients in the plane."""

import inspect

import matplotlib.figure
import numpy as np

ARGUMENTS = {"Constant": ([0.7, 0.3],)}  # what a constructor cannot do without
GRADIENTS = np.array([[1.0, 0.15], [-0.45, 0.8]], "float32")
CAPTION = "Two gradients that conflict, and the direction that `{name}` finds for them; dotted, their mean."


def example(method):
    """Return a method with its default arguments, or `None` where it has none without an argument."""
    parameters = list(inspect.signature(method.__init__).parameters.values())[1:]
    required = [x for x in parameters if x.default is x.empty and x.kind == x.POSITIONAL_OR_KEYWORD]
    if required and method.__name__ not in ARGUMENTS:
        return None
    seed = {"seed": 0} if "seed" in [x.name for x in parameters] else {}
    return method(*ARGUMENTS.get(method.__name__, ()), **seed)


def direction(aggregator):
    """Return the direction that an aggregator finds for `GRADIENTS`."""
    parts = aggregator.sub_batches
    jacobian = np.stack([GRADIENTS] * parts) if parts > 1 else GRADIENTS
    return np.asarray(aggregator(jacobian, np.ones(2, "float32")))


def draw(found, path):
    """Write a picture of the gradients, their mean and a direction."""
    figure = matplotlib.figure.Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    arrows = [
        (GRADIENTS[0], "#2166ac", "$g_1$"),
        (GRADIENTS[1], "#2166ac", "$g_2$"),
        (found, "#d6604d", "$d$"),
    ]
    for (x, y), color, label in arrows:
        axes.annotate(
            "",
            (x, y),
            (0, 0),
            arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2, "shrinkA": 0, "shrinkB": 0},
        )
        axes.annotate(label, (x, y), (x + 0.05 * np.sign(x), y + 0.05), color=color, ha="center", fontsize=13)
    axes.plot(*np.stack([np.zeros(2), GRADIENTS.mean(axis=0)], axis=1), ":", color="#777777", linewidth=2)
    ends = np.stack([*GRADIENTS, found, np.zeros(2)])
    axes.set(
        xlim=(ends[:, 0].min() - 0.2, ends[:, 0].max() + 0.2),
        ylim=(min(ends[:, 1].min(), 0) - 0.1, ends[:, 1].max() + 0.2),
    )
    axes.axis("off")
    figure.savefig(path, metadata={"Date": None})


def link(folder, name, method):
    """Draw a method and return the Markdown that shows it, or nothing."""
    aggregator = example(method)
    if aggregator is None:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    draw(direction(aggregator), folder / f"{name}.svg")
    caption = CAPTION.format(name=name)
    return f"\n\n![{caption.replace('`', '')}](/generated/{name}.svg)\n\n{caption}"
