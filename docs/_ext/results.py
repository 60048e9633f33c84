"""What benchmarks/RESULTS.md says, quoted where a page has a comment such as `<!-- table: Step time -->`."""

import re

from _ext import repository
from sphinx.errors import ExtensionError

FILE = "benchmarks/RESULTS.md"
COMMENT = re.compile(r"<!-- (table|verdicts): (.+?) -->")


def section(title):
    """Return the text below a title, up to the next one of its level."""
    text = (repository.ROOT / FILE).read_text()
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |\Z)", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise ExtensionError(f"{FILE} must have a section that a page quotes. Received: {title!r}")
    return found[2]


def table(title):
    """Return the last table of a section."""
    tables = re.findall(r"(?:^\|.*\n)+", section(title), re.MULTILINE)
    if not tables:
        raise ExtensionError(
            f"The section of {FILE} must have a table that a page quotes. Received: {title!r}"
        )
    return tables[-1].strip()


def verdicts(title):
    """Return, as a quotation for each section within one, its last paragraph: what a comparison concludes."""
    parts = re.split(r"^### (.*)\n", section(title), flags=re.MULTILINE)[1:]
    last = [text.strip().split("\n\n")[-1] for text in parts[1::2]]
    return "\n\n".join(f"> {name}: {text}" for name, text in zip(parts[::2], last, strict=True))


def quote(text):
    """Return a page with its comments replaced by what they name."""
    return COMMENT.sub(lambda match: {"table": table, "verdicts": verdicts}[match[1]](match[2]), text)
