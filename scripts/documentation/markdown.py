"""Tables and regions of Markdown pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

MADE = "made by `make reference`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def code(text: str) -> str:
    """Return ``text`` as code; "" stays."""
    return f"`{text}`" if text else ""


def with_regions(page: str, regions: Mapping[str, str]) -> str:
    """Return ``page`` with the text of each region between its two comments.

    Raises ``KeyError`` for a region of the page that ``regions`` does not have.
    """
    pattern = re.compile(rf"(<!-- (?P<name>[\w ]+): {MADE} -->\n).*?(<!-- end of (?P=name) -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}\n{regions[match['name']]}\n{match[3]}", page)
