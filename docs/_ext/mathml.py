"""Formulas as MathML, which browsers draw by themselves: no script, no font, no network."""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ExtensionError


def convert(formula, as_block):
    """Return the MathML of a LaTeX formula."""
    try:
        return tex2mathml(formula, as_block=as_block)
    except MathError as error:
        raise ExtensionError(
            f"The formula must be LaTeX that docutils knows ({error}). Received: {formula}"
        ) from error


def inline(translator, node):
    """Write a formula in a line."""
    translator.body.append(convert(node.astext(), as_block=False))
    raise nodes.SkipNode


def display(translator, node):
    """Write a formula of its own."""
    translator.body.append(f'<div class="math">{convert(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True}
