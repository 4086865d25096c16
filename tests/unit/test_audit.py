"""The audit log: any edit, deletion, change of order, fork or cut is found; no sentence fits into it."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from baekman import audit, pseudonyms
from baekman.audit import signed_head
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from hypothesis import given, settings
from hypothesis import strategies as st
from support.finished_workspace import FinishedWorkspace
from typer.testing import CliRunner

PARTICIPANT = "P0000000000000"


def filled(workspace: Path, count: int = 5) -> Path:
    for number in range(count):
        audit.record(workspace, action="read", object=PARTICIPANT, purpose=f"project-{number}")
    return audit.log_file(workspace)


def problems(file: Path, head: dict[str, object] | None = None) -> list[tuple[int, str]]:
    return [(link.line, link.problem) for link in audit.verify(file, head=head)]


def test_a_whole_log_has_no_broken_link(tmp_path: Path) -> None:
    file = filled(tmp_path)
    assert problems(file) == []
    assert problems(file, signed_head.make_head(tmp_path)) == []
    assert [event["sequence"] for event in audit.events(tmp_path)] == [1, 2, 3, 4, 5]


def test_an_absent_log_is_reported(tmp_path: Path) -> None:
    (filled(tmp_path)).unlink()
    assert problems(audit.log_file(tmp_path)) == [(0, "there is no log: deleted, or the workspace is another")]


BROKEN = "does not follow the line before: edited, deleted or in another order"
FORGERIES: dict[str, tuple[Callable[[list[str]], list[str]], list[tuple[int, str]]]] = {
    "edit": (
        lambda lines: [*lines[:2], lines[2].replace("project-2", "project-9"), *lines[3:]],
        [(4, BROKEN)],
    ),
    "edit of the form": (
        lambda lines: [*lines[:2], lines[2].replace(",", ", "), *lines[3:]],
        [(3, "no event in canonical form: edited or torn"), (4, BROKEN)],
    ),
    "deletion": (
        lambda lines: [*lines[:2], *lines[3:]],
        [(3, BROKEN), (3, "sequence 4 where 3 was expected")],
    ),
    "deletion of the first": (
        lambda lines: lines[1:],
        [(1, BROKEN), (1, "sequence 2 where 1 was expected")],
    ),
    "order": (
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        [
            (2, BROKEN),
            (2, "sequence 3 where 2 was expected"),
            (3, "follows line 1 and not line 2: a fork or a change of order"),
            (3, "sequence 2 where 4 was expected"),
            (4, "follows line 2 and not line 3: a fork or a change of order"),
            (4, "sequence 4 where 3 was expected"),
        ],
    ),
    "repetition": (
        lambda lines: [*lines, lines[-1]],
        [
            (6, "follows line 4 and not line 5: a fork or a change of order"),
            (6, "sequence 5 where 6 was expected"),
        ],
    ),
    "torn line": (
        lambda lines: [*lines[:-1], lines[-1][:30]],
        [(5, "no event in canonical form: edited or torn")],
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_found_at_its_line(forgery: str, tmp_path: Path) -> None:
    file = filled(tmp_path)
    forge, expected = FORGERIES[forgery]
    file.write_text("".join(forge(file.read_text().splitlines(keepends=True))))
    assert problems(file) == expected


def test_a_fork_is_found(tmp_path: Path) -> None:
    """Join two logs that grew from copies of the same log."""
    file = filled(tmp_path / "a", 3)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    filled(tmp_path / "a", 1)
    filled(tmp_path / "b", 1)
    joined = file.read_text() + audit.log_file(tmp_path / "b").read_text().splitlines(keepends=True)[-1]
    file.write_text(joined)
    assert (5, "follows line 3 and not line 4: a fork or a change of order") in problems(file)


def test_a_cut_tail_and_a_rewritten_log_are_found_against_a_saved_head(tmp_path: Path) -> None:
    file = filled(tmp_path)
    head = signed_head.make_head(tmp_path)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3]))
    audit.head_file(tmp_path).unlink()  # a writer of the log and of the head in the workspace
    assert problems(file) == []
    assert problems(file, head) == [(0, "event 5 of the saved head is missing: truncated")]
    filled(tmp_path, 4)
    assert problems(file) == []
    assert problems(file, head) == [(0, "event 5 is not that of the saved head: rewritten")]


def test_a_log_that_grew_still_has_its_saved_head(tmp_path: Path) -> None:
    file = filled(tmp_path)
    head = signed_head.make_head(tmp_path)
    filled(tmp_path)
    assert problems(file, head) == []


def test_a_forged_head_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    file = tmp_path / "head.json"
    head = signed_head.make_head(tmp_path)
    key = signed_head.public_key(tmp_path)
    file.write_text(json.dumps(head))
    assert signed_head.read_signed_head(file, public_key=key) == head
    file.write_text(json.dumps({**head, "sequence": 3}))
    with pytest.raises(InputRefused, match="expected a head signed with this log's key, found another signature"):
        signed_head.read_signed_head(file, public_key=key)
    # signed well, by somebody else
    filled(tmp_path / "other")
    file.write_text(json.dumps(signed_head.make_head(tmp_path / "other")))
    with pytest.raises(InputRefused, match="found another signature"):
        signed_head.read_signed_head(file, public_key=key)
    for nonsense in ("", "[]", "{}", '{"public_key": 1}'):
        file.write_text(nonsense)
        with pytest.raises(InputRefused, match="expected a head as `baekman audit head` writes it"):
            signed_head.read_signed_head(file, public_key=key)


def test_a_torn_line_of_a_killed_writer_is_cut_off_by_the_next(tmp_path: Path) -> None:
    file = filled(tmp_path)
    with file.open("a") as output:
        output.write('{"action":"re')
    filled(tmp_path, 1)
    assert problems(file) == []
    assert len(list(audit.events(tmp_path))) == 6


def _write(workspace: Path, together: Barrier) -> None:
    together.wait(60)
    filled(workspace, 50)


def test_writers_at_the_same_time_make_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    writers = [context.Process(target=_write, args=(tmp_path, together)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert problems(audit.log_file(tmp_path)) == []
    assert len(list(audit.events(tmp_path))) == 150


@pytest.mark.parametrize("value", ["홍길순", "/data/x.fq", "Hong Gildong", "a\nb", "FileNotFoundError: x", "../x", "@"])
@pytest.mark.parametrize("name", ["action", "object", "purpose"])
def test_no_name_path_or_message_fits(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as failure:
        audit.record(tmp_path, **{"action": "read", name: value})
    assert value not in str(failure.value)
    with pytest.raises(ValueError):
        audit.record(tmp_path, action="read", input_hash="/data/x.fq")
    assert not audit.log_file(tmp_path).exists()


def test_the_actor_is_a_number_unless_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    assert audit.record(tmp_path, action="read")["actor"] == f"uid:{os.getuid()}"
    monkeypatch.setenv("BAEKMAN_ACTOR", "data-manager")
    assert audit.record(tmp_path, action="read")["actor"] == "data-manager"


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_change_of_a_byte_is_found(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    workspace = tmp_path_factory.mktemp("audit")
    file = filled(workspace, 3)
    head = signed_head.make_head(workspace)
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(bytes(content))
    assert problems(file, head)


def run(*arguments: str | Path) -> tuple[int, str]:
    if not app.registered_groups:
        groups.register(app)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


def test_the_command_verifies_against_a_saved_head(tmp_path: Path) -> None:
    file = filled(tmp_path)
    head = tmp_path / "safe" / "head.json"
    head.parent.mkdir()
    assert run("audit", "head", "--workspace", tmp_path, "--output", head) == (0, "")
    assert run("audit", "verify", "--workspace", tmp_path, "--head", head) == (0, "5 events, whole\n")
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:4]))
    code, output = run("audit", "verify", "--workspace", tmp_path)
    assert (code, output.partition(";")[0]) == (
        1,
        "audit log: expected event 5, which this workspace has noted, found a log that ends before it",
    )
    audit.head_file(tmp_path).unlink()
    assert run("audit", "verify", "--workspace", tmp_path) == (0, "4 events, whole\n")
    assert run("audit", "verify", "--workspace", tmp_path, "--head", head) == (
        1,
        "event 5 of the saved head is missing: truncated\n",
    )


def test_every_command_that_reads_or_changes_individual_data_leaves_an_event(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    first, second = workspace.participant_ids[:2]
    groups.register(app)
    cohort = ["--cohort", str(workspace.cohort)]
    commands = [
        ["query", *cohort, "--participant", first, "--format", "csv"],
        ["query", *cohort, "--sql", "SELECT count(*) FROM sites"],
        ["tables", *cohort, "--output", str(tmp_path / "tables")],
        ["export", *cohort, "--format", "vcf", "--output", str(tmp_path / "x.vcf")],
        ["cohort", "verify", *cohort],
        ["cohort", "freeze", *cohort, "--output", str(tmp_path / "release")],
        ["cohort", "withdraw", *cohort, second],
        ["cohort", "compact", *cohort],
        ["registry", "consent", first, "--workspace", str(workspace.root)],
    ]
    for command in commands:
        ran = CliRunner().invoke(app, command, env={"BAEKMAN_PURPOSE": "project-7", "BAEKMAN_ACTOR": "kim"})
        assert ran.exit_code == 0, ran.output
    events = list(audit.events(workspace.root))[1:]
    assert [(event["action"], event["object"]) for event in events] == [
        ("query", first),
        ("query", "1"),
        ("tables", "1"),
        ("export", "1"),
        ("cohort.verify", "1"),
        ("cohort.freeze", "1"),
        ("cohort.withdraw", second),
        ("cohort.compact", "2"),
        ("registry.consent.show", first),
    ]
    assert {(event["actor"], event["purpose"]) for event in events} == {("kim", "project-7")}
    assert events[0]["input_hash"] != events[1]["input_hash"] and events[5]["consent_hash"]
    assert audit.verify(audit.log_file(workspace.root)) == []


def test_no_use_goes_unrecorded_and_a_cohort_without_a_log_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.record_use(tmp_path, action="query")
    assert list(tmp_path.iterdir()) == []
    audit.record(tmp_path, action="registry.init")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("baekman.audit.log.noted_head.require_present", forbidden)
    with pytest.raises(InputRefused) as refused:
        audit.record_use(tmp_path, action="query")
    assert str(refused.value) == (
        "audit log: expected a log that this user may write: uses of individual data are recorded, "
        "found one that only others may write; ask the data manager, or work on a release outside the workspace"
    )


def test_an_identifier_with_a_wrong_check_character_is_refused(tmp_path: Path) -> None:
    groups.register(app)
    audit.record(tmp_path, action="registry.init")
    for shown, code in ((PARTICIPANT, 2), (pseudonyms.new("P"), 0)):
        assert CliRunner().invoke(app, ["audit", "show", shown, "--workspace", str(tmp_path)]).exit_code == code


def test_a_purpose_that_is_a_sentence_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAEKMAN_PURPOSE", "for Kim Hanbit")
    with pytest.raises(InputRefused, match="BAEKMAN_PURPOSE: expected one word"):
        audit.record(tmp_path, action="x")
