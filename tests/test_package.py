"""What a release says about itself, in several files, is one thing."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_that_of_the_newest_release(project):
    titles = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [title for title in titles if title != "Unreleased"]
    assert project["version"] == (released[0] if released else "0.1.0")
    assert f"version = {{{project['version']}}}" in re.sub(" +", " ", (ROOT / "docs/citing.md").read_text())


def test_the_citation_file_is_valid_and_says_what_the_package_says(project):
    yaml = pytest.importorskip("yaml", reason="PyYAML reads CITATION.cff")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what its schema requires
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert all(set(author) & {"name", "family-names"} for author in citation["authors"])
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Repository"]


def test_every_file_of_the_package_is_in_the_wheel():
    files = [
        path for path in (ROOT / "mtl_zoo").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {path.suffix for path in files} == {".py"}, "Other files need `package-data` in pyproject.toml."
    assert all((path.parent / "__init__.py").is_file() for path in files)


def test_every_folder_is_in_the_source_distribution():
    grafted = re.findall(r"^graft (\S+)", (ROOT / "MANIFEST.in").read_text(), re.MULTILINE)
    assert sorted(grafted) == ["benchmarks", "colab", "docs", "export", "recipes", "tests"]
    assert all((ROOT / folder).is_dir() for folder in grafted)
