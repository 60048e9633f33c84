"""The site: it builds without a warning, nothing on it is broken, and every public name has its place."""

import html.parser
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import zlib

import pytest

import mtl_zoo as mz

for package in ("sphinx", "furo", "myst_nb"):
    pytest.importorskip(package, reason="the site needs the extra `docs`")

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tools():
    """The modules that make the pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        from _ext import names, pages

        yield names, pages


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet", "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Page(html.parser.HTMLParser):
    """What a page has: `anchors`, `links` to other pages, and `needs`, without which it cannot be seen."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.needs = set(), [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes.get("href", ""))
        elif tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.needs.append(attributes.get("src") or "")
        elif tag == "link" and attributes.get("rel") not in ("canonical", "author", "search", "next", "prev"):
            self.needs.append(attributes.get("href", ""))


@pytest.fixture(scope="module")
def parsed(site):
    """All pages by their paths."""
    return {path: Page(path) for path in site.rglob("*.html")}


def is_remote(url):
    return bool(re.match(r"(https?:)?//", url))


def leads_somewhere(path, url, parsed):
    """Return whether a link on a page leads to a file, and to an anchor there if it names one."""
    target, _, anchor = urllib.parse.unquote(url).partition("#")
    file = pathlib.Path(os.path.normpath(path.parent / target.partition("?")[0])) if target else path
    return anchor in parsed[file].anchors if anchor and file in parsed else file in parsed or file.is_file()


def broken(parsed):
    """Return the links and pictures of pages that lead to no file or no anchor."""
    return [
        (path.name, url)
        for path, page in parsed.items()
        for url in {*page.links, *page.needs}
        if url and not re.match(r"[a-z]+:|//", url) and not leads_somewhere(path, url, parsed)
    ]


def test_no_link_is_broken(parsed):
    assert len(parsed) > 100
    assert broken(parsed) == []


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">b</a> <a href="b.html#gone">b</a> <img src="c.png">'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    pages = {path: Page(path) for path in tmp_path.glob("*.html")}
    assert sorted(broken(pages)) == [("a.html", "b.html#gone"), ("a.html", "c.png")]


def test_pages_need_no_network(site, parsed):
    assert [(path.name, url) for path, page in parsed.items() for url in page.needs if is_remote(url)] == []
    for path in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", path.read_text()), path


def documented(site):
    """Return the classes and functions in the inventory of a site, and where their entries are."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(content).decode().splitlines()
    found = [re.match(r"(\S+) py:(?:class|function) \S+ (\S+)", line) for line in lines]
    return {match[1]: match[2].replace("$", match[1]) for match in found if match}


def missing(public, names):
    """Return the public names of what has none of its names among `names`."""
    there = {id(public[name]) for name in public.keys() & names}
    return sorted(name for name, x in public.items() if id(x) not in there)


def test_every_public_name_is_on_a_page(site, parsed, tools):
    public, places = tools[0].public(), documented(site)
    assert {"mtl_zoo.Trainer", "mtl_zoo.balancers.DWA", "mtl_zoo.experiments.Run"} <= public.keys()
    assert missing(public, places.keys()) == []
    for name in public.keys() & places.keys():
        file, _, anchor = places[name].partition("#")
        assert anchor in parsed[site / file].anchors


@pytest.mark.parametrize("name", ["mtl_zoo.balancers.DWA", "mtl_zoo.Trainer", "mtl_zoo.datasets.yeast.load"])
def test_a_name_that_is_removed_from_the_pages_is_missed(site, tools, name):
    public, places = tools[0].public(), documented(site)
    assert missing(public, places.keys() - {name}) == [name]


def test_every_method_has_a_page_with_its_formula(site, tools):
    names, _ = tools
    for family in names.METHODS:
        for name in names.methods(family):
            page = (site / f"generated/{family}/{name}.html").read_text()
            assert re.search(r'<math [^>]*display="block"', page), name


def test_a_missing_formula_is_an_error_that_names_the_method(tools):
    _, pages = tools
    known = pages.formulas()
    assert r"\arg\min" in known["MGDA"]
    del known["MGDA"]
    with pytest.raises(Exception, match=r"Write the formula of `MGDA` into docs/formulas\.md"):
        pages.method_page("aggregators", "MGDA", known)


def test_costs_are_those_of_the_tables_and_classes(tools):
    _, pages = tools
    assert pages.cost("aggregators", mz.aggregators.MoDo).startswith("T backward passes of each of 3 parts")
    assert "state per shared parameter" in pages.cost("aggregators", mz.aggregators.MoCo)
    assert "one more look" in pages.cost("balancers", mz.balancers.FAMO)
    assert pages.cost("architectures", mz.architectures.single_task).startswith(
        "2.0, 5.0, 10.0 times the par"
    )


def test_every_notebook_is_a_page(site):
    contents = (site / "generated/notebooks.html").read_text()
    notebooks = sorted((ROOT / "colab").glob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        assert f'href="{path.stem}.html"' in contents
        assert "mtl_zoo" in (site / f"generated/{path.stem}.html").read_text()
