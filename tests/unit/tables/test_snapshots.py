"""Tables of several snapshots: their metadata says which participants ``af`` counts, and readers are warned."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import baekman
import pyarrow.parquet as pq
import pytest
from baekman.cohort.store import open_store
from baekman.tables import keys as table_keys
from baekman.tables.make import make_tables
from baekman.tables.seals import read_footer
from baekman.tables.snapshots import TableSnapshot, mixed_sentence, snapshot_of
from support.example_workspace import LATER, PARTICIPANTS, example_workspace
from support.store_tools import baekman as run

FIRST, SECOND = PARTICIPANTS
AGAIN = "`baekman cohort freeze` or `baekman tables` writes all tables at one snapshot"
MIXED = (
    "tables of 2 snapshots are read together (snapshot 1 of 2 participants: 2 tables; snapshot 2 of 3 participants: "
    f"1 table): af, joint genotypes and filter differ between them; {AGAIN}"
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a workspace ``W`` with tables of two snapshots, as two deliveries leave them."""
    folder = tmp_path_factory.mktemp("mixed")
    example_workspace(folder)
    cohort = baekman.open_cohort(folder / "W")
    cohort.add("b2", folder / "more.tsv")
    cohort.write_tables(folder / "W" / "tables", participants=[LATER])
    return folder


def table_of(folder: Path, participant: str) -> Path:
    return next((folder / "W" / "tables" / "variants").glob(f"*/{participant}.parquet"))


def test_tables_of_several_snapshots_are_announced(mixed: Path) -> None:
    with pytest.warns(UserWarning) as caught:
        rows = baekman.open_tables(mixed / "W" / "tables")
    assert ([str(each.message) for each in caught], rows.count_rows()) == ([MIXED], 3)
    assert caught[0].filename == __file__


def test_tables_of_one_snapshot_and_reference_blocks_are_read_without_a_warning(mixed: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        baekman.open_tables(mixed / "W" / "tables", participants=[FIRST, SECOND])
        baekman.open_tables(mixed / "W" / "tables", dataset="reference")
        baekman.open_table(mixed / "W" / "tables", LATER)
        baekman.open_cohort(mixed / "W").freeze(tmp_path / "F")
        assert baekman.open_tables(tmp_path / "F" / "tables").count_rows() == 3


def test_the_metadata_says_which_participants_af_counts(mixed: Path) -> None:
    for participant, count in ((FIRST, 2), (LATER, 3)):
        schema = pq.read_schema(table_of(mixed, participant))
        assert schema.metadata[b"baekman.participants"] == str(count).encode()
        assert schema.field("af").metadata[b"description"].decode() == (
            "Allele frequency in called genotypes of the snapshot that the file's metadata names. "
            "Files of two deliveries are of two snapshots, until `baekman tables` or a freeze writes all again."
        )


def test_the_snapshot_is_read_from_the_footer_and_of_encrypted_tables_with_their_key(
    mixed: Path, tmp_path: Path
) -> None:
    path = table_of(mixed, FIRST)
    plain = snapshot_of(path, keys=None)
    assert plain == TableSnapshot(baekman.open_cohort(mixed / "W", snapshot=1).snapshot.content, 2)
    assert plain.content.encode() in read_footer(path)
    shutil.copytree(mixed / "W", tmp_path / "W")
    table_keys.create(tmp_path / "W")
    store = open_store(tmp_path / "W" / "cohort")
    make_tables(store, output=tmp_path / "W" / "tables", participants=[FIRST])
    keys = table_keys.open_keys(tmp_path / "W")
    encrypted = table_of(tmp_path, FIRST)
    content = baekman.open_cohort(tmp_path / "W").snapshot.content
    assert snapshot_of(encrypted, keys=keys) == TableSnapshot(content, 3)
    paths = [encrypted, table_of(tmp_path, SECOND)]
    assert mixed_sentence(paths, keys=keys, store=None).startswith(
        f"tables of 2 snapshots are read together (snapshot {plain.content[:8]}… of 2 participants: 1 table; snapshot "
        f"{content[:8]}… of 3 participants: 1 table): af"
    )


def test_query_says_that_a_table_is_of_another_snapshot_than_the_sites(mixed: Path) -> None:
    asked = ("query", "--workspace", "W", "--tables", "W/tables", "--participant")
    done = run(*asked, FIRST, cwd=mixed)
    assert done.stderr == (
        "note: af, joint genotypes and filter of this table are of snapshot 1 of 2 participants; the sites are of 3 "
        f"participants: {AGAIN}\n"
    )
    assert run(*asked, LATER, cwd=mixed).stderr == ""
