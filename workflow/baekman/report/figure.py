"""A figure of a page: the drawing with its heading and meaning."""

from __future__ import annotations

from dataclasses import dataclass

from baekman.report.words import Words


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a page.

    Attributes:
        title: The heading.
        meaning: How to read it.
        svg: The drawing.
        listed: Specimens to look at, each with its value; only the first few.
        more: Number of further such specimens.
    """

    title: Words
    meaning: Words
    svg: str
    listed: tuple[tuple[str, Words], ...] = ()
    more: int = 0
