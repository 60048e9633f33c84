"""What becomes of one column of categories in `tabular`."""

import collections
import dataclasses

from mtl_zoo import arguments

POOLING = ("mean", "sum", "attention", "gru")


@dataclasses.dataclass(frozen=True)
class Column:
    """How `tabular` makes a vector of a column of categories: one per row, or a list of them.

    Args:
        embedding_dim: Size of the vector. Defaults to `None`: that of `tabular`.
        buckets: Number of vectors into which values are hashed, so that no vocabulary is kept: for ids too
            many to list, or that are not known yet. Two values may share a bucket, and then a vector.
            Defaults to `None`: every value in the data has a vector of its own.
        unknown: Number of vectors for values that the data lack, which are hashed into them (integers by
            their remainder). Defaults to 1.
        table: Name of a table of vectors, which all columns with this `table` share, and a column that is
            called so; they have one vocabulary then. Defaults to `None`: a table of its own.
        pooling: For lists, how vectors become one: their `"mean"` or `"sum"`; their mean by `"attention"`, as
            `mz.layers.AttentionPooling` learns it; or what a `"gru"` remembers of them, in their order.
            Defaults to `None`: there is one category per row.
        query: With attention, name of a column of one category per row, whose first vector the attention
            compares those of the list with, such as the item that is offered. Defaults to `None`.

    Raises:
        ValueError: If a value is not of its kind, or `buckets` and another `unknown` or `query` without
            attention are given.

    Example:

    >>> data = {"item": np.array(["a", "b"]), "seen": np.array([["b", "c"], ["a", ""]])}
    >>> columns = {"seen": Column(table="item", pooling="mean")}
    >>> inputs = mz.encoders.tabular_inputs(data, columns)
    >>> encoder = mz.encoders.tabular(data, embedding_dim=4, columns=columns)
    >>> model = keras.Model(inputs, mz.encoders.encode(inputs, encoder, "shared"))
    >>> model.output.shape, model.count_params()  # vectors of a, b, c, of what else comes, and of padding
    ((None, 8), 20)
    """

    embedding_dim: int | None = None
    buckets: int | None = None
    unknown: int = 1
    table: str | None = None
    pooling: str | None = None
    query: str | None = None

    def __post_init__(self):
        if self.embedding_dim is not None:
            arguments.integer("embedding_dim", self.embedding_dim, 1, arguments.UNITS)
        if self.buckets is not None:
            arguments.integer("buckets", self.buckets, 1)
        arguments.integer("unknown", self.unknown, 1)
        for name in ("table", "query"):
            if getattr(self, name) is not None:
                arguments.text(name, getattr(self, name))
        arguments.option("pooling", self.pooling, POOLING, optional=True)
        if self.buckets is not None and self.unknown != 1:
            raise ValueError(
                "`unknown` must be 1 where values are hashed, of which all are known. "
                f"Received: buckets={self.buckets}, unknown={self.unknown}"
            )
        if self.query is not None and self.pooling != "attention":
            raise ValueError(
                f"`query` must be for pooling='attention'. Received: query={self.query!r}, "
                f"pooling={self.pooling!r}"
            )


def columns_of(given):
    """Return a dict from names to tuples of `Column`, one for every vector of a column.

    Args:
        given: Dict from names of columns to a `Column`, a dict of its arguments, or a list of such; `None`
            for an empty one.

    Raises:
        ValueError: If it is something else, or a column has both lists and single categories.
    """
    given = arguments.mapping("columns", given)
    found = {name: tuple(_each(name, x)) for name, x in given.items()}
    for name, several in found.items():
        if not several or len({column.pooling is None for column in several}) > 1:
            raise ValueError(
                f"`columns[{name!r}]` must be at least one, all of them with `pooling` or none. "
                f"Received: {given[name]!r}"
            )
    return found


def lists_of(columns):
    """Return the names of the columns that hold lists.

    Args:
        columns: What `columns_of` returned.
    """
    return {name for name, several in columns.items() if several[0].pooling is not None}


def tables_of(columns):
    """Return the names of the tables of columns, a dict from columns to one name for every vector.

    Args:
        columns: Dict from all columns of categories to tuples of `Column`.

    Raises:
        ValueError: If columns that share a table do not agree about it.
    """
    found = {
        name: [x.table or (name if not index else f"{name}.{index + 1}") for index, x in enumerate(several)]
        for name, several in columns.items()
    }
    users = collections.defaultdict(set)
    for name, tables in found.items():
        for table, x in zip(tables, columns[name], strict=True):
            users[table].add((x.embedding_dim, x.buckets, x.unknown))
    for table, kinds in users.items():
        if len(kinds) > 1:
            raise ValueError(
                f"Columns that share table '{table}' must have the same `embedding_dim`, `buckets` and "
                f"`unknown`. Received: {sorted(kinds, key=str)}"
            )
    return found


def _each(name, given):
    """Yield the `Column`s of one name."""
    for x in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(x, dict):
            unknown = sorted(set(x) - {field.name for field in dataclasses.fields(Column)})
            x = x if unknown else Column(**x)
        if not isinstance(x, Column):
            raise ValueError(
                f"`columns[{name!r}]` must be a `Column`, a dictionary of its arguments, or a list of such. "
                f"Received: {x!r}"
            )
        yield x
