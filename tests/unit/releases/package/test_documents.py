"""The documents of a package: read by the tools of their formats, with nothing of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.records.dictionary import Dictionary, Entry, read_dictionary
from baekman.releases.package import genotypes
from baekman.releases.package.about import COLUMNS, About, Review
from baekman.releases.package.documents import CRATE, write_crate, write_readme, write_released_dictionary
from baekman.releases.transform import RELEASED_COVERAGE, RELEASED_EVENTS, RELEASED_PERSONS

ABOUT = About(
    release="R000000000001K",
    project="J000000000001N",
    title="당뇨병과 유전체",
    institution="Example University",
    purpose=("DUO:0000007",),
    tier="room",
    plan="ab" * 32,
    members=7,
    reviews=(
        Review(role="drb", key="1" * 64, day="2026-11-02", expires="2027-01-01"),
        Review(role="irb", key="2" * 64, day="2026-11-01", expires="2027-01-01"),
    ),
    rows={"participants.parquet": 7, "records/00.parquet": 20},
)


def test_rocrate_reads_the_crate_with_its_review_actions(tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    (tmp_path / "participants.parquet").write_bytes(b"x")
    write_crate(tmp_path, ABOUT, {"participants.parquet": "0" * 64})
    crate = rocrate.ROCrate(tmp_path)
    root = crate.root_dataset
    assert (root["datePublished"], root["identifier"], root["name"]) == ("2026-11-02", ABOUT.release, ABOUT.title)
    assert [part.id for part in root["hasPart"]] == ["participants.parquet"]
    actions = crate.get_by_type("AssessAction")
    assert [(action["name"], str(action["endTime"])[:10]) for action in actions] == [
        ("Approval of the plan by the DRB", "2026-11-02"),
        ("Approval of the plan by the IRB", "2026-11-01"),
    ]
    assert all(action["agent"].type == "Person" and action["object"]["identifier"] == ABOUT.plan for action in actions)
    assert (tmp_path / CRATE).read_text(encoding="utf-8").count("당뇨병과 유전체") == 2


def test_the_readme_explains_every_column_of_the_tables_that_are_there(tmp_path: Path) -> None:
    write_readme(tmp_path, ABOUT)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "20 rows · 행" in text and "`variants/`\n" not in text
    assert all(f"| `{name}` |" in text for name in RELEASED_EVENTS.names)
    schemas = {
        "records/": RELEASED_EVENTS.names,
        "coverage/": RELEASED_COVERAGE.names,
        "sites/": genotypes.SITES.names,
        "variants/": genotypes.VARIANTS.names,
        "participants.parquet": ["sample", *RELEASED_PERSONS.names, "has_genotypes"],
    }
    assert {table: list(columns) for table, columns in COLUMNS.items()} == schemas


def test_the_dictionary_has_the_released_codes_only(tmp_path: Path) -> None:
    def entry(code: str, parent: str | None = None) -> Entry:
        return Entry(code=code, name_ko="가", name_en="a", kind="event", scope="clinical", tier="room", parent=parent)

    dictionary = Dictionary.of({each.code: each for each in (entry("K/A"), entry("K/B", "K/A"), entry("K/C", "K/B"))})
    write_released_dictionary(tmp_path, dictionary, ["K/C", "K/B", "K/unknown"])
    released = read_dictionary(tmp_path / "dictionary.tsv")
    assert {code: each.parent for code, each in released.entries.items()} == {"K/B": None, "K/C": "K/B"}
