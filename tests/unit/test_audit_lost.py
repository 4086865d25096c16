"""A log that is gone, cut or replaced is noticed by every command, and the way on from there leaves its trace."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baekman import audit
from baekman.audit import log, noted_head
from baekman.audit.lines import digest_of, line_of
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.files import locks
from support.finished_workspace import FinishedWorkspace, finished_workspace
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> FinishedWorkspace:
    groups.register(app)
    made = finished_workspace(tmp_path_factory.mktemp("template"))
    for _ in range(3):
        audit.record(made.root, action="read")
    return made


@pytest.fixture
def root(template: FinishedWorkspace, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template.root, tmp_path / "w"))


def _cut(root: Path) -> None:
    file = audit.log_file(root)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def _replace(root: Path) -> None:
    shutil.rmtree(root / "audit")
    audit.head_file(root).rename(root / "kept")
    (root / "registry").rename(root / "apart")
    for _ in range(9):
        audit.record(root, action="read")
    (root / "apart").rename(root / "registry")
    (root / "kept").rename(audit.head_file(root))


def _swallow(root: Path) -> None:
    audit.log_file(root).unlink()
    audit.log_file(root).symlink_to(os.devnull)


LOSSES: dict[str, Callable[[Path], object]] = {
    "gone": lambda root: audit.log_file(root).unlink(),
    "gone with its folder": lambda root: shutil.rmtree(root / "audit"),
    "gone with its head": lambda root: (shutil.rmtree(root / "audit"), audit.head_file(root).unlink()),
    "cut": _cut,
    "emptied": lambda root: audit.log_file(root).write_text(""),
    "replaced": _replace,
    "a device": _swallow,
    "a folder": lambda root: (audit.log_file(root).unlink(), audit.log_file(root).mkdir()),
}


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_log_stops_every_command_before_it_shows_anything(
    loss: str, root: Path, template: FinishedWorkspace
) -> None:
    LOSSES[loss](root)
    first = template.participant_ids[0]
    for command in (
        ["query", "--cohort", root / "cohort", "--participant", first],
        ["export", "--cohort", root / "cohort", "--format", "vcf", "--output", root.parent / "x.vcf"],
        ["cohort", "freeze", "--cohort", root / "cohort", "--output", root.parent / "release"],
        ["registry", "show", "--workspace", root],
        ["registry", "consent", first, "--decision", "refused", "--workspace", root],
        ["withdraw", first, "--workspace", root],
    ):
        ran = invoke(*command)
        assert isinstance(ran.exception, InputRefused) and not ran.stdout, command
        assert "`baekman audit restart` begins another that says so" in str(ran.exception)
    assert not (root.parent / "x.vcf").exists() and not (root.parent / "release").exists()
    assert invoke("audit", "verify", "--workspace", root).exit_code == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_log_that_begins_again_says_so_for_ever(loss: str, root: Path, template: FinishedWorkspace) -> None:
    LOSSES[loss](root)
    assert invoke("audit", "restart", "--workspace", root).exit_code == 0
    ran = invoke("query", "--cohort", root / "cohort", "--participant", template.participant_ids[0])
    assert ran.exit_code == 0, ran.output
    first = next(audit.events(root))
    assert first["action"] == "audit.restart"
    verified = invoke("audit", "verify", "--workspace", root)
    lost = first["sequence"] - 1
    assert verified.exit_code == 0
    assert verified.stdout == "2 events, whole" + (
        f"; events 1 to {lost} were lost before it was begun again\n" if lost else "\n"
    )
    assert lost >= 4 or loss == "gone with its head"
    assert invoke("audit", "restart", "--workspace", root).stdout == "the log is whole: nothing to do\n"


def test_what_is_left_of_a_cut_log_stays(root: Path) -> None:
    _cut(root)
    left = audit.log_file(root).read_text()
    assert audit.restart(root) == 4
    assert [file.read_text() for file in (root / "audit").glob("events.until-*.jsonl")] == [left]


def test_a_damaged_head_is_refused_and_a_restart_notes_it_again(root: Path) -> None:
    for nonsense in ("", "[]", "{}", '{"sequence": 1, "hash": "x", "end": 1}'):
        audit.head_file(root).write_text(nonsense)
        with pytest.raises(InputRefused, match=r"audit\.head: expected a head as this workspace noted it"):
            audit.record(root, action="read")
    audit.restart(root)
    audit.record(root, action="read")
    audit.require_whole(root)


def test_a_writer_that_was_killed_before_it_noted_the_head_does_no_harm(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(noted_head, "note_head", lambda *_: None)
        audit.record(root, action="read")
    audit.require_whole(root)
    audit.record(root, action="read")
    assert audit.verify(audit.log_file(root)) == []


def test_a_log_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    previous = "0" * 64
    file = audit.log_file(tmp_path)
    file.parent.mkdir()
    words = dict.fromkeys(("object", "purpose", "input_hash", "output_hash", "consent_hash"), "")
    with file.open("wb") as output:
        for number in (1, 2):
            time = f"2026-01-0{number}T00:00:00.000+00:00"
            line = line_of(
                {"sequence": number, "time": time, "actor": "kim", "action": "read", "previous": previous, **words}
            )
            output.write(line)
            previous = digest_of(line)
    audit.record(tmp_path, action="read")
    assert audit.verify(file) == []
    assert [event["sequence"] for event in audit.events(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("function", ["write", "fsync"])
def test_an_event_that_cannot_be_written_leaves_the_log_as_it_was(
    function: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = audit.log_file(root).read_bytes()
    real = os.write

    def full(descriptor: int, data: bytes = b"") -> int:
        if function == "write" and len(data) > 20:
            return real(descriptor, data[:20])  # the last bytes of the disk
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for work in (lambda: audit.record(root, action="read"), lambda: audit.require_ready(root)):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left") as failure:
            patch.setattr(os, function, full)
            work()
        assert failure.value.filename == str(audit.log_file(root))
        assert audit.log_file(root).read_bytes() == before
    audit.record(root, action="read")


def _hold(file: Path, is_held: Any, may_end: Any) -> None:
    with locks.exclusive(file, waits_for="x"):
        is_held.set()
        may_end.wait(60)


def test_a_log_that_a_stopped_process_holds_is_refused_after_a_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "LOCK_SECONDS", 0.2)
    context = multiprocessing.get_context("fork")
    is_held, may_end = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(audit.log_file(root), is_held, may_end))
    holder.start()
    is_held.wait(60)
    with pytest.raises(InputRefused, match="found a process that holds the log; end that process"):
        audit.record(root, action="read")
    may_end.set()
    holder.join()
    audit.record(root, action="read")


def test_the_log_may_lie_elsewhere_by_a_link(root: Path) -> None:
    (root / "audit").rename(root.parent / "elsewhere")
    (root / "audit").symlink_to(root.parent / "elsewhere")
    audit.record(root, action="read")
    (root / "audit").unlink()  # a disk that is not mounted
    with pytest.raises(InputRefused, match="found no log"):
        audit.record(root, action="read")
