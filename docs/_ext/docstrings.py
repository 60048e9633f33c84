"""Docstrings are written in Markdown: their reST for autodoc, and names in code that lead to their pages."""

import inspect
import re

from _ext import names
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.inspect import stringify_signature

PATTERN = re.compile(
    r"`([^`]+)`|\[([^\]]+)\]\((https?://[^)\s]+)\)|(\*\*(?=\w)|(?<!\*)\*(?=\w)|(?<=\w)_(?!\w)|\|)"
)

SPAN = re.compile(
    r"(```.*?```)|`[^`]*`|\[[^\]\n]*\n?[^\]\n]*\]\(http[^)]*\)", re.DOTALL
)  # may go on in the next line


def to_rest(line):
    """Return a line with Markdown's code and links as reST, and what reST alone would heed escaped."""

    def translate(match):
        code, text, url, special = match.groups()
        if code:
            return f"``{code}``" + "\\ " * line[match.end() : match.end() + 1].isalnum()  # `Task`s
        return f"`{text} <{url}>`__" if url else "\\" + "\\".join(special)

    return PATTERN.sub(translate, line)


def process(app, what, name, obj, options, lines):
    """Turn a docstring into reST, its examples aside."""
    text = SPAN.sub(lambda match: match[1] or " ".join(match[0].split()), "\n".join(lines))
    fenced = False
    result = []
    for line in text.splitlines():
        if line.strip().startswith("```"):
            fenced = not fenced
            result += ["", line.replace("```python", ".. code-block:: python").replace("```", ""), ""]
        elif fenced:
            result.append("    " + line)
        else:
            result.append(line if line.lstrip().startswith((">>>", "...")) else to_rest(line))
    lines[:] = result


def skip(app, what, name, obj, skip, options):
    """Leave out what a class has from Keras."""
    module = getattr(getattr(obj, "fget", obj), "__module__", None) or "mtl_zoo"
    return True if not module.startswith("mtl_zoo") else None


def sign(app, what, name, obj, options, signature, returned):
    """Show the arguments of a class with their defaults: what Keras puts around a constructor hides them."""
    if what == "class" and getattr(obj.__init__, "__module__", "").startswith("mtl_zoo"):
        parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
        shown = inspect.Signature([x for x in parameters if x.kind is not x.VAR_KEYWORD])
        return stringify_signature(shown, show_annotation=False), None
    return ("()", None) if signature == "(*args, **kwargs)" else None


class NamesToPages(SphinxTransform):
    """Turns `mz.Trainer` in code into a link."""

    default_priority = 400

    def apply(self, **kwargs):
        """Replace the literals that are public names."""
        targets = self.app.env.public_targets
        for node in list(self.document.findall(nodes.literal)):
            target = targets.get(node.astext())
            if target and not isinstance(node.parent, (nodes.reference, nodes.title, addnodes.pending_xref)):
                link = addnodes.pending_xref(
                    "",
                    refdomain="py",
                    reftype="obj",
                    reftarget=target,
                    refexplicit=True,
                    refdoc=self.env.docname,
                )
                node.replace_self(link)
                link += node


def find_targets(app):
    """Remember which texts are names: `mz.balancers.DWA`, `mtl_zoo.balancers.DWA` and, of methods, `DWA`."""
    first, targets = {}, {}
    for name, x in names.public().items():
        target = first.setdefault(id(x), name)
        targets[name] = targets["mz" + name[len("mtl_zoo") :]] = target
        if name.split(".")[1] in names.METHODS:
            targets[name.split(".")[2]] = target
    app.env.public_targets = targets


def setup(app):
    """Register the hooks."""
    app.connect("builder-inited", find_targets)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", sign)
    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon
    app.add_transform(NamesToPages)
    return {"parallel_read_safe": True}
