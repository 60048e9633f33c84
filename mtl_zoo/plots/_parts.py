"""What pictures have in common. `matplotlib` is imported where it is used, since few runs draw."""

import numpy as np

MAX_COLUMNS = 3
PANEL_SIZE = (4.4, 3.2)
LONGEST, BEGINNING = 44, 30  # characters of a name, and of the beginning of one that is longer
CHARACTER = 0.085  # inches


def new_figure(width, height):
    """Return an empty picture of a size in inches."""
    from matplotlib.figure import Figure

    return Figure((width, height), layout="constrained")


def short(name):
    """Return a name that a picture has room for: a longer one's beginning and end."""
    return name if len(name) <= LONGEST else f"{name[:BEGINNING]}…{name[BEGINNING + 1 - LONGEST :]}"


def room(names):
    """Return how many inches the longest of the names takes, as pictures show them."""
    return CHARACTER * max((len(short(name)) for name in names), default=0)


def more_room(names):
    """Return how many inches the longest of the names takes beyond those that every picture has for one."""
    return max(0.0, room(names) - 1.0)


def name_columns(axes, names):
    """Name the columns of a matrix, upright where they are many or long."""
    upright = len(names) > 3 or room(names) > 1.0
    axes.set_xticks(range(len(names)), [short(name) for name in names], rotation=90 if upright else 0)


def name_rows(axes, names, **kwargs):
    """Name the rows of a matrix or the places from top to bottom."""
    axes.set_yticks(range(len(names)), [short(name) for name in names], **kwargs)


def colormap(name):
    """Return one of the colour maps of `matplotlib`."""
    from matplotlib import colormaps

    return colormaps[name]


def task_colors(tasks):
    """Return a colour per task name; neighbours differ also where tasks are many."""
    few = colormap("tab10").colors
    many = colormap("turbo").resampled(len(tasks)).colors
    colors = few if len(tasks) <= len(few) else many
    return {task.name: color for task, color in zip(tasks, colors, strict=False)}


def tick_integers(axis):
    """Have ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def draw_array(axes, name, array, limit=None, form="{:.2f}"):
    """Draw a matrix as colours up to a limit, or from -1 to 1 and further if need be, with its values."""
    limit = limit or max(1.0, np.abs(array).max())
    axes.imshow(array, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(array):
        color = "white" if abs(value) > 0.6 * limit else "black"
        axes.text(column, row, form.format(value), ha="center", va="center", color=color)
    axes.set_title(short(name), fontsize="medium")
    axes.set(xticks=range(array.shape[1]), yticks=range(array.shape[0]))


def draw_pairs(axes, title, array, names, limit=None, form="{:.2f}"):
    """Draw a matrix of tasks by tasks, as `draw_array` does; blank where there is no number."""
    draw_array(axes, title, array, limit, form)
    for text in axes.texts:
        text.set(fontsize=7, visible=text.get_text() != "nan")
    name_columns(axes, names)
    name_rows(axes, names)


def draw_cosines(axes, title, cosines, names):
    """Draw the cosines of tasks as a matrix, 1 on its diagonal; blank where there is none."""
    draw_pairs(axes, title, np.where(np.eye(len(names)), 1.0, cosines), names)
