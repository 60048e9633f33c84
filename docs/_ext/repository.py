"""What the repository says about itself, and where its files are on the site."""

import importlib
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(
    (ROOT / "pyproject.toml").read_text()
)["project"]
VERSION, URL = PROJECT["version"], PROJECT["urls"]["Repository"]
OUTSIDE = {  # files that are pages of the site although they are not in docs/
    "CHANGELOG.md": "generated/changelog",
    "CONTRIBUTING.md": "generated/contributing",
    "SECURITY.md": "generated/security",
    "benchmarks/RESULTS.md": "generated/measurements",
    "export/README.md": "generated/export",
    "colab/README.md": "generated/notebooks",
} | {f"colab/{path.name}": f"generated/{path.stem}" for path in sorted((ROOT / "colab").glob("*.ipynb"))}


def page_of(path):
    """Return the name of the page that a file of the repository is on the site, or `None`."""
    if path in ("README.md", "docs/README.md"):
        return "index"
    is_page = path.startswith("docs/") and path.endswith(".md") and (ROOT / path).is_file()
    return path[len("docs/") : -len(".md")] if is_page else OUTSIDE.get(path)


def file_of(page):
    """Return the file of the repository that a page is, or the place where it would be."""
    files = {name: path for path, name in OUTSIDE.items()}
    return files.get(page, f"docs/{page}.md")
