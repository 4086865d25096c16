"""The page on one's own delivery: its tables have every column of a registration and a manifest, with every value."""

from __future__ import annotations

import re

from baekman.config.schema_errors import read_schema
from baekman.consent import ALL_SCOPES
from baekman.registry.registration import COLUMNS, DECISIONS, PARTICIPANT_TYPES, REQUIRED_COLUMNS, SEXES
from support import PROJECT

PAGE = (PROJECT / "docs" / "own-delivery.md").read_text(encoding="utf-8")
REGISTRATION, MANIFEST = (
    {
        name: (needed.strip() == "yes", values)
        for names, needed, values in re.findall(r"^\| (`[^|]+) \|([^|]*)\|([^|]*)\|$", table, re.MULTILINE)
        for name in re.findall("`([a-z0-9_]+)`", names)
    }
    for table in PAGE.split("| Column | Needed | Allowed values |\n")[1:]
)


def test_the_page_has_every_column_of_a_registration_and_its_values() -> None:
    assert list(REGISTRATION) == list(COLUMNS)
    assert {name for name, (needed, _) in REGISTRATION.items() if needed} == set(REQUIRED_COLUMNS)
    choices = {
        "participant_type": PARTICIPANT_TYPES,
        "registered_sex": SEXES,
        "consent": DECISIONS,
        "scopes": ALL_SCOPES,
    }
    for column, values in choices.items():
        assert set(re.findall("`([a-z_]+)`", REGISTRATION[column][1])) >= set(values)


def test_the_page_has_every_column_of_a_manifest_and_its_kinds() -> None:
    schema = read_schema("manifest")
    assert set(MANIFEST) == set(schema["properties"])
    assert {name for name, (needed, _) in MANIFEST.items() if needed} == {*schema["required"], "sha256", "md5"}
    assert set(re.findall("`([a-z_0-9]+)`", MANIFEST["kind"][1])) == set(schema["properties"]["kind"]["enum"])
