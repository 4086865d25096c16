"""The removal of a participant from files; here a file is searched for its plain text only."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from baekman.workspace.paths import Workspace
from baekman.workspace.purge import Purge, RemovalNote, Traces, note_files, purge_files, remaining

GONE, STAYER = "P0000000000001", "P0000000000002"


def search(files: Sequence[Path]) -> set[Path]:
    return {path for path in files if GONE.encode() in path.read_bytes()}


TRACES = Traces(ids=(GONE,), base64_cores=(base64.b64encode(f"xx{GONE}".encode())[4:-4],), search=search)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "w")


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def purged(workspace: Workspace) -> tuple[Purge, list[Path]]:
    """Note the files with the ID and purge them; return the changes and the records of runs that are gone."""
    note = RemovalNote(path=workspace.receipts / ".note.json", audit=0)
    note_files(workspace, TRACES, note=note)
    records = purge_files(workspace, TRACES, note=note)
    return note.purge(workspace, left=remaining(workspace, TRACES)), records


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("table.tsv", f"{STAYER}\t1\n{GONE}\t2\n", f"{STAYER}\t1\n"),
        ("job.log", f"read {GONE}\nend\n", "end\n"),
        ("list.json", json.dumps([STAYER, GONE]), json.dumps([STAYER], indent=1) + "\n"),
        ("keys.json", json.dumps({GONE: 1, STAYER: 2}), json.dumps({STAYER: 2}, indent=1) + "\n"),
        (
            "objects.json",
            json.dumps([{"participant": GONE, "n": 1}, {"participant": STAYER, "n": 2}]),
            json.dumps([{"participant": STAYER, "n": 2}], indent=1) + "\n",
        ),
    ],
)
def test_a_file_loses_the_smallest_part_with_the_id_and_keeps_its_time(
    workspace: Workspace, name: str, content: str, expected: str
) -> None:
    file = write(workspace.logs / name, content)
    purge, records = purged(workspace)
    assert (purge.edited, purge.removed, records) == ({f"logs/{name}"}, set(), [])
    assert file.read_text() == expected
    assert file.stat().st_mtime == 1_700_000_000


def test_files_and_folders_named_by_the_id_go_as_a_whole(workspace: Workspace) -> None:
    write(workspace.participant(GONE).cram, "")
    kept = write(workspace.participant(STAYER).cram, "")
    encoded = base64.b64encode(f"xx{GONE}/aligned.cram".encode(), b"_-").decode()
    write(workspace.snakemake / "metadata" / encoded[:9] / f"@{encoded[9:]}", "")
    purge, _ = purged(workspace)
    assert {f"participants/{GONE}", f"participants/{GONE}/aligned.cram"} < purge.removed
    assert not list((workspace.snakemake / "metadata").rglob("@*"))
    assert kept.is_file()


def test_a_record_of_a_run_that_cannot_be_edited_is_deleted(workspace: Workspace) -> None:
    page = write(workspace.delivery("D1").report / "verdicts.html", f"<p>{GONE}")
    purge, records = purged(workspace)
    assert (purge.removed, records) == ({"deliveries/D1/report/verdicts.html"}, [page])


def test_other_files_that_cannot_be_edited_remain_and_are_reported(workspace: Workspace) -> None:
    write(workspace.root / "notes.md", GONE)
    purge, _ = purged(workspace)
    assert not purge
    assert remaining(workspace, TRACES) == {"notes.md"}


def test_audit_log_registry_receipts_and_return_reports_are_not_touched(workspace: Workspace) -> None:
    folders = (workspace.audit, workspace.registry, workspace.receipts, workspace.returned, workspace.withdrawn)
    files = [write(folder / f"{GONE}.json", f'["{GONE}"]') for folder in folders]
    purge, _ = purged(workspace)
    assert not purge
    assert all(file.read_text() == f'["{GONE}"]' for file in files)
