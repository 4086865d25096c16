"""Texts of reports in Korean and in English."""

from __future__ import annotations

import csv
import io
from functools import cache
from typing import NamedTuple

from baekman import data


class Words(NamedTuple):
    """A text in both languages of the reports."""

    ko: str
    en: str

    def __str__(self) -> str:
        """Return the English text."""
        return self.en


def same(text: str) -> Words:
    """Return a text that is the same in both languages, such as a name or a number."""
    return Words(text, text)


def translated(english: str) -> Words:
    """Return ``english`` with its Korean form of ``data/korean.tsv``; without one it stays English."""
    return Words(_korean().get(english, english), english)


@cache
def _korean() -> dict[str, str]:
    """Return the Korean form of each English text: names of reasons and metrics, advice, and words for values."""
    rows = csv.DictReader(io.StringIO(data.text("korean.tsv")), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["english"]: row["korean"] for row in rows}
