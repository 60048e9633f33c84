"""Links that are right in the repository become right on the site; no picture comes from the network."""

import posixpath
import re

from _ext import repository, results

LINK = re.compile(r"```.*?```|`[^`\n]*`|\]\((?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?\)", re.DOTALL)
REMOTE_PICTURE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")  # a badge: what it says is enough


def on_site(text, file):
    """Return a Markdown text with links between files of the repository turned into links between pages.

    Args:
        text: The text.
        file: Path of its file in the repository.
    """

    def translate(match):
        target, anchor = match[1], match[2] or ""
        if target is None:
            return match[0]  # code
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
        page = repository.page_of(path)
        if page:
            return f"](/{page}{posixpath.splitext(path)[1]}{anchor})"
        if path.startswith("docs/"):
            return f"](/{path.removeprefix('docs/')})"  # a picture
        return f"]({repository.URL}/blob/main/{path}{anchor})"

    return LINK.sub(translate, text)


def read(app, page, source):
    """Change what Sphinx has read."""
    file = repository.file_of(page)
    text = REMOTE_PICTURE.sub(r"\1", source[0])
    source[0] = text if file.endswith(".ipynb") else on_site(results.quote(text), file)


def setup(app):
    """Register the hook."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
