"""The page on releases: its request is one, and its tables name every key, view, tier and check."""

from __future__ import annotations

import re

import yaml
from baekman.config.schema_errors import read_schema
from baekman.releases.checks.order import NUMBERS
from baekman.releases.request import TIERS, parse_request
from baekman.releases.views import VIEWS, check_who
from support import PROJECT

PAGE = (PROJECT / "docs" / "releases.md").read_text(encoding="utf-8")


def table(header: str) -> list[str]:
    """Return the first cells of the table with ``header``, without the marks of code."""
    rows = PAGE.split(header, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [row.split("|")[1].strip().replace("`", "") for row in rows]


def test_the_request_of_the_page_is_one() -> None:
    text = re.findall(r"```yaml\n(.*?)```", PAGE.split("## Write a request", 1)[1], flags=re.DOTALL)[0]
    request = parse_request(yaml.safe_load(text), source="request.yaml")
    check_who(request.who)
    assert request.tier == "room" and request.codes and request.regions


def test_the_tables_name_every_key_tier_view_and_check() -> None:
    assert table("| Key | Meaning | Default |") == list(read_schema("request")["properties"])
    assert table("| Tier | What it is |") == list(TIERS)
    assert {name for cell in table("| View | Columns |") for name in cell.split(", ")} == set(VIEWS)
    assert table("| # | Check | Fails or is told |") == [str(number) for number in sorted({*NUMBERS.values()})]
