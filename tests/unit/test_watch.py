"""The watch over an inbox: deliveries that are due, and the looks at which they are delivered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from baekman import watch
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.workspace.inbox_state import read_inboxes
from baekman.workspace.paths import Workspace
from typer.testing import CliRunner

SHEET = "delivery: D-1\ninstitution: HERE\nplatform: ILLUMINA\nreference: test\n"
HEADER = "specimen_id\tfile\tkind\tread_group\tsha256\tsize\n"


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty inbox next to a workspace without deliveries."""
    monkeypatch.setattr(watch, "received_id", lambda folder, *, workspace: None)
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def put(inbox: Path, name: str, *, content: bytes = b"0123456789", size: int = 10) -> Path:
    """Write a delivery of one BAM into the inbox, ``size`` bytes by its manifest, and return its folder."""
    folder = inbox / name
    folder.mkdir()
    (folder / "delivery.yaml").write_text(SHEET, encoding="utf-8")
    row = f"S1\ts1.bam\tbam\t\t{'0' * 64}\t{size}\n"
    (folder / "manifest.tsv").write_text(HEADER + row, encoding="utf-8")
    (folder / "s1.bam").write_bytes(content)
    for path in (folder, *folder.iterdir()):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def look(inbox: Path, times: int = 1, is_busy: Sequence[bool] = ()) -> tuple[list[Path], list[InputRefused]]:
    """Return the deliveries that one process delivers and refuses in ``times`` looks.

    ``is_busy``: whether another run works on the same files, for each delivery.
    """
    delivered: list[Path] = []
    refused: list[InputRefused] = []
    remaining = times
    wait = time.sleep

    class Done(Exception):
        pass

    def sleep(seconds: float) -> None:
        nonlocal remaining
        if threading.current_thread() is not threading.main_thread():  # of an earlier query, which waits for its end
            return wait(seconds)
        remaining -= 1
        if not remaining:
            raise Done

    busy = iter(is_busy)

    def deliver(folder: Path) -> bool:
        delivered.append(folder)
        return not next(busy, False)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Done):
        patch.setattr(watch.time, "sleep", sleep)
        watch.watch(
            inbox,
            workspace=Workspace(inbox.parent),
            calls=watch.Calls(deliver=deliver, refuse=lambda refusal, folder: refused.append(refusal)),
        )
    return delivered, refused


def test_a_complete_delivery_is_delivered_once(inbox: Path) -> None:
    folder = put(inbox, "first")
    assert look(inbox, times=3) == ([folder], [])


def test_a_delivery_with_an_incomplete_file_waits(inbox: Path) -> None:
    put(inbox, "first", content=b"0123", size=10)
    assert look(inbox) == ([], [])


def test_a_delivery_with_a_missing_file_waits(inbox: Path) -> None:
    (put(inbox, "first") / "s1.bam").unlink()
    os.utime(inbox / "first", (1_700_000_000, 1_700_000_000))
    assert look(inbox) == ([], [])


def test_a_folder_without_manifest_is_no_delivery(inbox: Path) -> None:
    (inbox / "notes").mkdir()
    assert look(inbox) == ([], [])


def test_a_delivery_that_is_still_being_written_waits(inbox: Path) -> None:
    folder = put(inbox, "first")
    os.utime(folder / "s1.bam")
    assert look(inbox) == ([], [])


def test_a_refused_delivery_is_reported_once_and_stops_no_other(inbox: Path) -> None:
    bad, good = put(inbox, "bad"), put(inbox, "good")
    (bad / "manifest.tsv").write_text("nothing\n", encoding="utf-8")
    for path in (bad, bad / "manifest.tsv"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    delivered, refused = look(inbox, times=2)
    assert delivered == [good] and len(refused) == 1


def test_a_refused_delivery_is_found_by_the_operator_and_not_named(
    inbox: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox, "Hanbit-1")
    bad = put(inbox, "Hanbit-2")
    (bad / "manifest.tsv").write_text("nothing\n", encoding="utf-8")
    monkeypatch.setattr("baekman.deliver.deliver", lambda *_, **__: pytest.fail("nothing is complete"))
    (inbox / "Hanbit-1" / "s1.bam").unlink()
    groups.register(app)
    ran = CliRunner().invoke(
        app, ["watch", str(inbox), "--workspace", str(inbox.parent), "--once", "--quiet-seconds", "0"]
    )
    assert ran.exit_code == 1, ran.output
    waiting, *lines = ran.stderr.splitlines()
    assert "1 of 1 files of the manifest are not there" in waiting
    assert lines[-1].endswith("  inbox: 2 folders, 1 waiting, 1 refused")
    assert lines[1].startswith("refused: manifest.tsv: ") and "Hanbit" not in ran.stderr
    command = re.search("`(.+)`", lines[0])
    assert command
    find = subprocess.run(
        command[1].replace("INBOX", str(inbox)), shell=True, capture_output=True, text=True, check=True
    )
    assert find.stdout == f"{bad}\n"


@pytest.mark.parametrize("file", ["x" * 300, "s1.bam/s2.bam"])
def test_a_file_that_cannot_exist_stops_no_other_delivery(inbox: Path, file: str) -> None:
    bad, good = put(inbox, "bad"), put(inbox, "good")
    manifest = bad / "manifest.tsv"
    manifest.write_text(manifest.read_text().replace("s1.bam", file), encoding="utf-8")
    for path in (bad, manifest):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    delivered, refused = look(inbox)
    assert (delivered, refused) == ([good], [])


def test_a_file_that_is_renamed_during_a_look_stops_no_watch(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, good = put(inbox, "being written"), put(inbox, "good")
    original = Path.rglob

    def rglob(self: Path, pattern: str) -> Iterator[Path]:
        yield from original(self, pattern)
        if self == folder:
            yield folder / ".s1.bam.of-rsync"

    monkeypatch.setattr(Path, "rglob", rglob)
    assert look(inbox, times=2) == ([good], [])


def test_a_delivery_on_which_another_run_works_is_delivered_at_the_next_look(inbox: Path) -> None:
    folder = put(inbox, "first")
    assert look(inbox, times=3, is_busy=[True, False]) == ([folder, folder], [])


def test_a_finished_delivery_is_not_delivered_again(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(inbox, "first")
    monkeypatch.setattr(watch, "received_id", lambda folder, *, workspace: "DONE")
    report = inbox.parent / "deliveries" / "DONE" / "report"
    report.mkdir(parents=True)
    assert len(look(inbox)[0]) == 1
    (report / "manifest.json").touch()
    assert look(inbox) == ([], [])


def in_future(folder: Path) -> None:
    os.utime(folder / "s1.bam", (4_000_000_000, 4_000_000_000))


def with_dangling_link(folder: Path) -> None:
    (folder / "s2.bam").symlink_to(folder / "Hong-Gildong.bam")


FAULTS = {
    "time_in_future": in_future,
    "link_dangling": with_dangling_link,
    "incomplete": lambda folder: (folder / "s1.bam").unlink(),
    "part_missing": lambda folder: (folder / "manifest.tsv").unlink(),
    "changing": lambda folder: os.utime(folder / "s1.bam"),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_the_reason_to_wait_is_reported_once_and_in_the_state_without_a_name(
    inbox: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(inbox, "Hanbit-1")
    FAULTS[reason](folder)
    if reason not in ("time_in_future", "changing"):
        os.utime(folder, (1_700_000_000, 1_700_000_000))
    waits, looks = [], []
    calls = watch.Calls(
        deliver=lambda folder: pytest.fail("it is not complete"),
        refuse=lambda refusal, folder: pytest.fail(str(refusal)),
        wait=lambda wait, place: waits.append((wait.reason, wait.message, place)),
        looked=lambda counts: looks.append(dict(counts)),
    )
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: None if len(looks) < 3 else sys.exit())
    with pytest.raises(SystemExit):
        watch.watch(inbox, workspace=Workspace(inbox.parent), calls=calls)
    assert looks == [{"waits": 1}] * 3
    ((noted, message, place),) = waits
    assert noted == reason and str(folder.stat().st_ino) in place
    (state,) = read_inboxes(Workspace(inbox.parent))
    assert state["counts"] == {"waits": 1} and state["is_watched"] is False
    assert [(entry["reason"], entry["message"]) for entry in state["folders"]] == [(reason, message)]
    written = "".join(file.read_text() for file in inbox.parent.glob("watch/*.json"))
    assert not re.search("Hanbit|Hong|s[12][.]bam", written + message + place)


def test_a_folder_in_it_that_may_not_be_read_is_a_reason_to_wait(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(inbox, "first")

    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", refuse)
    wait = watch.reason_to_wait(folder, quiet_seconds=0)
    assert wait and wait.reason == "folder_unreadable"


def test_an_inbox_that_cannot_be_listed_is_reported_once(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[tuple[str, str]] = []
    calls = watch.Calls(
        deliver=lambda folder: True,
        refuse=lambda refusal, folder: None,
        wait=lambda wait, place: waits.append((wait.reason, place)),
        looked=lambda counts: looks.append(1),
    )
    looks: list[int] = []
    monkeypatch.setattr(watch.time, "sleep", lambda seconds: None if len(looks) < 3 else sys.exit())
    monkeypatch.setattr(Path, "iterdir", lambda self: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(SystemExit):
        watch.watch(inbox, workspace=Workspace(inbox.parent), calls=calls)
    assert waits == [("inbox_unreadable", "INBOX")]


def test_a_finished_delivery_whose_links_break_later_does_not_wait(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_dangling_link(put(inbox, "first"))
    monkeypatch.setattr(watch, "is_done", lambda folder, *, workspace: True)
    assert look(inbox) == ([], [])
    (state,) = read_inboxes(Workspace(inbox.parent))
    assert state["counts"] == {"finished": 1} and state["folders"] == []


def test_a_watched_inbox_is_in_the_status(inbox: Path) -> None:
    put(inbox, "Hanbit-1", content=b"0")
    (inbox.parent / "deliveries").mkdir()
    look(inbox)
    if not app.registered_groups:
        groups.register(app)
    table = CliRunner().invoke(app, ["status", "--workspace", str(inbox.parent)]).stdout
    assert f"inbox {inbox.stat().st_ino} is not watched now" in table and "1 waits" in table
    assert "1 of 1 files of the manifest" in table and "Hanbit" not in table
