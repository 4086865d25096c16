"""Every promise of the privacy page names a test that exists."""

from __future__ import annotations

import ast
import re

from support import PROJECT

PAGE = (PROJECT / "docs" / "privacy.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def rows(heading: str) -> list[str]:
    """Return the rows of the table under ``heading``."""
    section = PAGE.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def test_every_named_test_exists() -> None:
    functions = {
        file: {node.name for node in ast.walk(ast.parse((PROJECT / file).read_text("utf-8"))) if hasattr(node, "name")}
        for file in {file for file, _ in NAMED}
    }
    assert [(file, name) for file, name in NAMED if name and name not in functions[file]] == []


def test_every_promise_and_every_attack_names_one() -> None:
    promises, attacks = rows("The promises, and the tests that hold them"), rows("Ten attacks")
    assert len(promises) >= 15 and len(attacks) == 10
    assert [row for row in promises + attacks if "`tests/" not in row.rsplit("|", 2)[1]] == []
