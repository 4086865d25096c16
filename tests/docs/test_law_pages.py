"""Every law of the pages of privacy and reliability names a test that exists."""

from __future__ import annotations

import ast
import re

import pytest
from support import PROJECT

PAGES = {
    name: (PROJECT / "docs" / name).read_text(encoding="utf-8")
    for name in ("privacy.md", "reliability.md", "how-it-works.md")
}


def rows(page: str, heading: str) -> list[str]:
    """Return the rows of the table under ``heading``."""
    section = PAGES[page].split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("page", PAGES)
def test_every_named_test_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGES[page])
    functions = {
        file: {node.name for node in ast.walk(ast.parse((PROJECT / file).read_text("utf-8"))) if hasattr(node, "name")}
        for file in {file for file, _ in named}
    }
    assert [(file, name) for file, name in named if name and name not in functions[file]] == []


def test_every_promise_and_every_attack_names_one() -> None:
    promises = rows("privacy.md", "The promises, and the tests that hold them")
    attacks = rows("privacy.md", "Ten attacks")
    assert len(promises) >= 15 and len(attacks) == 10
    assert [row for row in promises + attacks if "`tests/" not in row.rsplit("|", 2)[1]] == []


def test_every_law_of_reliability_names_one() -> None:
    headings = re.findall(r"^## (.+)$", PAGES["reliability.md"], flags=re.MULTILINE)
    headings.remove("Faults")  # its table is written by `make faults`
    laws = [row for heading in headings for row in rows("reliability.md", heading)] + rows(
        "how-it-works.md", "The laws"
    )
    assert laws and [row for row in laws if "`tests/" not in row.rsplit("|", 2)[1]] == []
