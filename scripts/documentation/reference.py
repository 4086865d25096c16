"""The reference pages and tables, made of the code: ``make reference`` writes them.

Whole pages lie in ``docs/reference/``. In other pages a table stands between two comments that name it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT / "scripts")]

from documentation import columns, commands, markdown, rules, settings  # noqa: E402


def python_page() -> str:
    """Return the page of the Python interface; the site fills it with the docstrings."""
    import baekman

    names = [name for name in baekman.__all__ if not name.startswith("_")]
    parts = [
        "# Python\n",
        "`import baekman` gives these names. `help(baekman.Cohort)` prints the same text; an example of each is in\n"
        "[exports, queries, Python](../exports.md#python).\n",
        *(f"::: baekman.{name}\n" for name in names),
    ]
    return "\n".join(parts)


def made_pages() -> dict[str, str]:
    """Return the text of each page of the reference, by its path in the project."""
    return {
        "docs/reference/commands.md": commands.commands_page(),
        "docs/reference/tables.md": columns.tables_page(),
        "docs/reference/reasons.md": settings.reasons_page(),
        "docs/reference/python.md": python_page(),
    }


def pages() -> Iterator[tuple[Path, str]]:
    """Yield each page with made text: its path, and its text as it has to be."""
    for path, text in made_pages().items():
        yield PROJECT / path, text
    regions = columns.regions() | settings.regions() | rules.regions()
    for page in (PROJECT / "config" / "README.md", *sorted((PROJECT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        if markdown.MADE in text:
            yield page, markdown.with_regions(text, regions)


def main() -> None:
    """Write each page whose text has changed."""
    for path, text in pages():
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(PROJECT))


if __name__ == "__main__":
    main()
