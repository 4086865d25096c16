"""A freeze is read like a cohort: by ``query``, by the Python interface, alone and in its workspace."""

from __future__ import annotations

import shutil
from pathlib import Path

import baekman
import pytest
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.files.digests import LIST
from baekman.freezes.folder import is_freeze
from baekman.workspace.denied import mark_withdrawn
from baekman.workspace.paths import Workspace
from support.example_workspace import LATER, PARTICIPANTS, example_workspace
from support.store_tools import baekman as run
from support.store_tools import hashes
from typer.testing import CliRunner

FIRST, SECOND = PARTICIPANTS


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a workspace ``W``, a freeze ``W/release`` in it and a copy ``alone`` outside of it."""
    folder = tmp_path_factory.mktemp("freeze")
    example_workspace(folder)
    baekman.open_cohort(folder / "W").freeze(folder / "W" / "release")
    shutil.copytree(folder / "W" / "release", folder / "alone")
    return folder


def test_the_folder_of_a_freeze_is_known(written: Path) -> None:
    assert is_freeze(written / "alone") and is_freeze(written / "W" / "release")
    assert not any(is_freeze(written / name) for name in ("W", "W/cohort", "W/tables", "alone/tables", "none"))


def test_a_freeze_that_stands_alone_is_read_like_the_cohort_that_it_was_made_from(written: Path) -> None:
    frozen, cohort = baekman.open_cohort(written / "alone"), baekman.open_cohort(written / "W")
    assert frozen.sites("chr20").equals(cohort.sites("chr20")) and frozen.sites("chr20").num_rows
    common = ["participant_id", "contig", "pos", "ref", "alt", "copies", "gq", "pl"]
    assert frozen.calls(FIRST, columns=common).to_pylist() == cohort.calls(FIRST, columns=common).to_pylist() != []
    assert frozen.calls(FIRST, "chr20:1", columns=["pos"]).num_rows == 0
    joined = "SELECT participant_id, af, filter, called FROM calls JOIN sites USING (contig, pos, ref, alt) ORDER BY 1"
    views = [("sites",), ("calls",), ("reference",), ("participants",)]
    assert cohort.sql("SHOW TABLES").fetchall() == views and frozen.sql("SHOW TABLES").fetchall() == [
        *views,
        ("contigs",),
    ]
    assert frozen.sql(joined).fetchall() == [(FIRST, 0.75, "PASS", True), (SECOND, 0.75, "PASS", True)]
    assert frozen.calls(FIRST, columns=["af", "filter"]).to_pylist() == [{"af": 0.75, "filter": "PASS"}]
    assert frozen.sql("SELECT DISTINCT participant_id FROM reference ORDER BY 1").fetchall() == [(FIRST,), (SECOND,)]
    ids = frozen.scan("participants").select("participant_id").collect().to_series().to_list()
    assert ids == [FIRST, SECOND] and frozen.left_out == 0
    assert (frozen.snapshot.content, frozen.snapshot.participants) == (cohort.snapshot.content, 2)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda frozen: frozen.calls(LATER), "found no participant of that ID"),
        (lambda frozen: frozen.sql("COPY sites TO 'x'"), "one SELECT over the views sites, calls, reference"),
        (lambda frozen: frozen.scan("rosters"), "expected one of sites, calls, reference, participants, contigs"),
        (lambda frozen: frozen.sites("chr99"), "a contig of the store's reference"),
        (lambda frozen: frozen.add("b", "list.tsv"), "expected a cohort store for a change, found a freeze"),
        (lambda frozen: frozen.freeze("again"), "expected a cohort store for a freeze, found a freeze"),
        (lambda frozen: frozen.write_tables("t"), "the tables of the freeze lie in its folder tables/"),
    ],
)
def test_what_a_freeze_cannot_do_is_refused_with_the_next_step(written: Path, use: object, message: str) -> None:
    with pytest.raises(InputRefused, match=message.replace("(", r"\(")):
        use(baekman.open_freeze(written / "alone"))  # type: ignore[operator]


@pytest.mark.parametrize(
    "words", ["cohort withdraw P000000000001K", "cohort snapshots", "cohort verify", "cohort repair"]
)
def test_commands_that_need_a_store_refuse_a_freeze_and_leave_no_file_there(
    words: str, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written)
    before = hashes(written / "alone")
    groups.register(app)
    refused = CliRunner().invoke(app, [*words.split(), "--cohort", "alone"]).exception
    assert isinstance(refused, InputRefused)
    assert str(refused) == (
        "alone: expected a cohort store, found a freeze; this command needs the cohort that the freeze was made of: "
        "say --workspace DIR"
    )
    assert hashes(written / "alone") == before


def test_a_participant_whose_consent_ended_since_is_in_no_view_but_the_counts_of_sites(
    written: Path, tmp_path: Path
) -> None:
    shutil.copytree(written / "W", tmp_path / "W")
    mark_withdrawn(Workspace(tmp_path / "W"), SECOND)
    frozen = baekman.open_cohort(tmp_path / "W" / "release")
    assert frozen.left_out == 1 and frozen.sites(columns=["ac"]).to_pylist() == [{"ac": 3}]
    for view in ("calls", "reference", "participants"):
        assert frozen.sql(f"SELECT DISTINCT participant_id FROM {view}").fetchall() == [(FIRST,)]
    with pytest.raises(InputRefused, match="expected a participant with consent to this use in force"):
        frozen.calls(SECOND)
    with pytest.raises(InputRefused, match="found another table, file or table function"):
        frozen.sql(f"SELECT * FROM read_parquet('{tmp_path}/W/release/tables/variants/*/*.parquet')")


def test_a_freeze_without_a_registry_says_that_types_are_unknown(written: Path, tmp_path: Path) -> None:
    done = run("cohort", "freeze", "--workspace", written / "W", "--output", tmp_path / "F", cwd=tmp_path)
    sentence = "2 participants have no type in participants.parquet: the registry, or its key, is not at hand"
    assert (done.stdout, done.stderr) == ("1\n", f"note: {sentence}\n")


def test_query_reads_a_freeze_and_damage_is_noticed(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "alone", tmp_path / "copy")
    views = run("query", "--cohort", "copy", "--sql", "SHOW TABLES", cwd=tmp_path).stdout
    assert views == "name\nsites\ncalls\nreference\nparticipants\ncontigs\n"
    sql = "SELECT contig, length, m5 IS NOT NULL FROM contigs"
    done = run("query", "--cohort", "copy", "--sql", sql, "--format", "csv", cwd=tmp_path)
    assert "chr20" in done.stdout
    file = next((tmp_path / "copy" / "sites").glob("*.parquet"))
    data = bytearray(file.read_bytes())
    data[50] ^= 1
    file.write_bytes(data)
    with pytest.raises(Exception, match=file.name):
        baekman.open_freeze(tmp_path / "copy").sites()
    (tmp_path / "copy" / LIST).write_text("{}")
    with pytest.raises(InputRefused, match=f"{LIST}: expected the file as `baekman cohort freeze` wrote it"):
        baekman.open_freeze(tmp_path / "copy")
