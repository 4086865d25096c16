"""The page on the store's format names every column of every schema."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from baekman.cohort.schema import CALLED, CALLS, CENSUS, REFERENCE, ROSTER, SITES
from support import PROJECT

PAGE = PROJECT / "docs" / "cohort-format.md"


@pytest.mark.parametrize(
    ("section", "schema"),
    [("calls", CALLS), ("reference", REFERENCE), ("census, called", CENSUS), ("census, called", CALLED),
     ("sites", SITES), ("roster", ROSTER)],
)  # fmt: skip
def test_the_page_names_every_column(section: str, schema: pa.Schema) -> None:
    text = PAGE.read_text().split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    named = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]*)`", text))))
    if section in ("sites", "census, called"):
        named |= {"pos", "ref", "alt", *(name for name in CENSUS.names if name.startswith("gq_"))}
    if section == "sites":
        named |= set(CENSUS.names)
    assert set(schema.names) - named == set()
