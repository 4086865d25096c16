"""The site of the documentation: it builds strictly, needs no network, and its links lead where the repository's do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documentation.site import OUTSIDE, page_text
from support import PROJECT

# what a browser loads by itself
LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]+src=\"?(https?:[^\s\">]+)|<link[^>]+stylesheet[^>]*(https?:[^\s\">]+)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    yield folder


def test_every_page_of_the_repository_is_in_the_site(site: Path) -> None:
    pages = [*OUTSIDE.values(), *(str(path.relative_to(PROJECT / "docs")) for path in PROJECT.glob("docs/**/*.md"))]
    assert [page for page in pages if not (site / page).with_suffix(".html").is_file()] == []


def test_the_site_loads_nothing_from_a_network(site: Path) -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert "operating.html" in texts and (site / "search" / "search_index.js").is_file()  # search from a disk
    assert {name: LOADED.findall(text) for name, text in texts.items() if LOADED.search(text)} == {}


def test_links_of_the_repository_are_those_of_the_site() -> None:
    text = (
        "[a](docs/privacy.md#limits), [b](config/README.md), [c](CHANGELOG.md), [d](profiles), [e](https://a.example)"
    )
    assert page_text(text, place="index.md") == (
        "[a](privacy.md#limits), [b](configuration.md), [c](changelog.md), d, [e](https://a.example)\n"
    )
    assert page_text("![a](architecture.svg) [b](#c)", place="how.md") == "![a](architecture.svg) [b](#c)\n"
    assert page_text("[a](../../config/README.md) [b](../scale.md)", place="reference/x.md") == (
        "[a](../configuration.md) [b](../scale.md)\n"
    )
    assert page_text("[a](../docs/scale.md#x)", place="configuration.md") == "[a](scale.md#x)\n"


def test_lists_and_tables_of_the_repository_are_those_of_the_site() -> None:
    assert page_text("So:\n- one\n  more\n- two", place="a.md") == "So:\n\n- one\n  more\n- two\n"
    assert page_text("| `a\\|b` | c\\|d |", place="a.md") == "| `a|b` | c\\|d |\n"
    assert page_text("```console\nbaekman status\n```", place="a.md") == "```sh\nbaekman status\n```\n"
    assert page_text("```\nSo:\n- [a](b.txt)\n```", place="a.md") == "```\nSo:\n- [a](b.txt)\n```\n"


@pytest.mark.parametrize("picture", sorted(path.name for path in (PROJECT / "docs").glob("*.svg")))
def test_pictures_are_legible_in_print_and_in_the_dark(picture: str) -> None:
    text = (PROJECT / "docs" / picture).read_text(encoding="utf-8")
    width, height = re.findall(r'viewBox="0 0 (\d+) (\d+)"', text)[0]
    assert int(width) <= 900 and min(map(int, re.findall(r'font-size="(\d+)"', text))) >= 12
    assert re.search(rf'<rect width="{width}" height="{height}"[^>]* fill="#ffffff"/>', text)
    assert "<title>" in text
