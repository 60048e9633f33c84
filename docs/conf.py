"""The site: `python -m sphinx -W docs build/docs`. Its pages are here; `_ext/pages.py` adds the others."""

import pathlib
import sys

DOCS = pathlib.Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from _ext import repository  # noqa: E402  # found by the line above

project = "mtl_zoo"
copyright = "the authors of mtl_zoo, Apache License 2.0"
release = version = repository.VERSION

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "_ext.docstrings",
    "_ext.links",
    "_ext.mathml",
    "_ext.pages",
]
exclude_patterns = ["README.md"]  # index.md is the site's README.md
html_theme = "furo"
html_title = f"mtl_zoo {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
pygments_style, pygments_dark_style = "default", "github-dark"

nb_execution_mode = "off"  # notebooks are committed with what they print
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_all_links_external = False

autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_use_ivar = True
napoleon_custom_sections = [("Call arguments", "params_style"), ("Reference", "notes_style")]
nitpicky = True
nitpick_ignore_regex = [("py:(class|exc)", ".*")]  # types in docstrings are words: "Tensor `[T]`"
