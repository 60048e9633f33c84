"""The pages that no file in docs/ holds: one per method, the API, and files from elsewhere."""

import inspect
import re

from _ext import drawings, links, names, repository, results
from sphinx.errors import ExtensionError

import mtl_zoo

DOCS = repository.ROOT / "docs"
GENERATED = DOCS / "generated"
TABLES = {
    "architectures": "docs/architectures.md",
    "balancers": "docs/methods.md",
    "aggregators": "docs/methods.md",
}
BASES = "Layer, Model, Optimizer, Callback, Regularizer, object"  # whose members are documented by Keras
FACTS = {
    "FIELD": "field",
    "SIZES": "examples",
    "TASKS": "tasks",
    "LICENSE": "licence",
    "DOWNLOAD": "download or package",
}
METHOD = """# {name}

{summary}

## Formula

{formula}

The letters are those of [all formulas](/formulas.md). {picture}

## In short

| | |
|---|---|
{facts}

## Arguments, notes, reference

{api}
"""
FAMILY = """# {title}

{intro}

| | |
|---|---|
{rows}

{pages}

{api}
"""


def formulas():
    """Return the formulas by name, the sections of docs/formulas.md."""
    sections = re.split(r"^### `(\w+)`\n", (DOCS / "formulas.md").read_text(), flags=re.MULTILINE)
    return {
        name: text.partition("\n## ")[0].strip()
        for name, text in zip(sections[1::2], sections[2::2], strict=True)
    }


def row(text, name):
    """Return the cells of a name's row in a Markdown table, as pairs of a column's title and a cell."""
    cells = title = None
    for line in text.splitlines():
        title = None if not line.startswith("|") else title or line
        if re.match(rf"\| [^|]*`{name}[`(]", line):
            cells = [part.strip() for part in line.strip("|").split("|")]
            return list(zip((part.strip() for part in title.strip("|").split("|")), cells, strict=True))[1:]
    return []


def cost(family, method):
    """Return what a step costs, as the classes themselves declare it, or as it was measured."""
    if family == "architectures":
        numbers = [
            cell for _, cell in row(results.section("Size and cost of the architectures"), method.__name__)
        ]
        measured = "[measured](/generated/measurements.md#size-and-cost-of-the-architectures)"
        found = f"{', '.join(numbers[:3])} times the parameters, {', '.join(numbers[3:])} times the step"
        return (
            f"{found} of `hard_sharing`, for 2, 5 and 10 tasks ({measured})"
            if numbers
            else "not measured yet"
        )
    if family == "balancers":
        look = ", and one more look at the batch" if method.second_look else ""
        look += ", after the gradients of a second batch, of `meta_data`" * method.needs_meta
        return f"one backward pass{look} ([measured](/generated/measurements.md#step-time))"
    number = (drawings.example(method) or method).sub_batches
    parts = f" of each of {number} parts of the batch" if number > 1 else ""
    state = "; T numbers of state per shared parameter" if method.state_per_parameter else ""
    return (
        f'T backward passes{parts} through what is shared, or with `space="representation"` through the heads'
        f"{state} ([measured](/generated/measurements.md#step-time))"
    )


def api(name, x, options=""):
    """Return the directive that documents a class or a function."""
    kind = "class" if inspect.isclass(x) else "function"
    return f"```{{eval-rst}}\n.. auto{kind}:: {name}\n{options}```"


def method_page(family, name, known):
    """Return the page of a method."""
    method = getattr(getattr(mtl_zoo, family), name)
    if name not in known:
        raise ExtensionError(
            f"Write the formula of `{name}` into docs/formulas.md, under a title ### `{name}`."
        )
    file = TABLES[family]
    facts = [
        *row(links.on_site((repository.ROOT / file).read_text(), file), name),
        ("cost", cost(family, method)),
    ]
    return METHOD.format(
        name=name,
        summary=inspect.getdoc(method).partition("\n")[0],
        formula=known[name],
        picture=drawings.link(GENERATED, name, method) if family == "aggregators" else "",
        facts="\n".join(f"| {title} | {cell} |" for title, cell in facts if cell),
        api=api(f"mtl_zoo.{family}.{name}", method),
    )


def facts(module):
    """Return a table of what a dataset says about itself."""
    values = {title: getattr(module, key) for key, title in FACTS.items() if hasattr(module, key)}
    values["examples"] = ", ".join(f"{split}: {size:,}" for split, size in values["examples"].items())
    values["tasks"] = ", ".join(f"`{task.name}`" for task in values["tasks"])
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {x} |" for key, x in values.items() if x)])


def contents(pages):
    """Return a table of contents that the sidebar shows."""
    return "\n".join(["```{toctree}", ":hidden:", "", *pages, "```"]) if pages else ""


def inner(room):
    """Return the names of the modules on pages below that of a module, the families aside."""
    found = [name for name in names.rooms() if name.rpartition(".")[0] == room]
    return [name for name in found if name.rpartition(".")[2] not in names.METHODS]


def room_page(room, module, seen):
    """Return the page of a module: its docstring and all that is public and not on a page yet."""
    parts = [f"# {room}", f"```{{eval-rst}}\n.. automodule:: {module.__name__}\n   :no-members:\n```"]
    parts += [
        contents(inner(room)),
        "\n".join(f"- [{name}](/generated/api/{name}.md)" for name in inner(room)),
    ]
    if hasattr(module, "SIZES"):
        parts.append(facts(module))
    for key in names.exported(module):
        x = getattr(module, key)
        if not inspect.ismodule(x) and id(x) not in seen:
            seen.add(id(x))
            options = f"   :inherited-members: {BASES}\n" if inspect.isclass(x) else ""
            parts.append(api(f"{room}.{key}", x, options))
    return "\n\n".join(parts)


def family_page(family, contract):
    """Return the page that leads to the methods of a family; the base classes stand on it."""
    found = {name: getattr(getattr(mtl_zoo, family), name) for name in names.methods(family)}
    rows = [
        f"| [{name}](/generated/{family}/{name}.md) | {inspect.getdoc(x).partition(chr(10))[0]} |"
        for name, x in found.items()
    ]
    return FAMILY.format(
        title=family.capitalize() + ", one by one",
        intro=f"In one table, with what each needs and when to use it: [here](/{page_in_docs(family)}).",
        rows="\n".join(rows),
        pages=contents([f"{family}/{name}" for name in found]),
        api=contract.partition("\n\n")[2],
    )


def page_in_docs(family):
    """Return the page that has the table of a family."""
    return TABLES[family].removeprefix("docs/")


def all_pages():
    """Return the text of all pages by their paths in docs/generated/."""
    known, pages, seen = formulas(), {}, set()
    for family in names.METHODS:
        for name in names.methods(family):
            pages[f"{family}/{name}.md"] = method_page(family, name, known)
            seen.add(id(getattr(getattr(mtl_zoo, family), name)))
    for room, module in names.rooms().items():
        family = room.removeprefix("mtl_zoo.")
        text = room_page(room, module, seen)
        pages[f"{family}.md" if family in names.METHODS else f"api/{room}.md"] = (
            family_page(family, text) if family in names.METHODS else text
        )
    for file, page in repository.OUTSIDE.items():
        path = repository.ROOT / file
        pages[page.removeprefix("generated/") + path.suffix] = path.read_text()
    notebooks = [
        page.removeprefix("generated/")
        for file, page in repository.OUTSIDE.items()
        if file.endswith(".ipynb")
    ]
    pages["notebooks.md"] += "\n" + contents(notebooks)
    return pages


def write(app):
    """Write the pages that changed, and remove those that are no more."""
    pages = all_pages()
    for path in [path for path in GENERATED.rglob("*") if path.suffix in (".md", ".ipynb")]:
        if path.relative_to(GENERATED).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def setup(app):
    """Register the hook."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
