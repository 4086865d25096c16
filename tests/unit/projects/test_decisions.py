"""A plan is approved by two people outside the project, for exactly this plan, until the approvals expire."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.consent import today
from baekman.errors import DamagedFile, InputRefused
from baekman.projects.decisions import FILE, Choice, all_decisions, decide, decisions_on
from baekman.projects.project import add_project, open_project
from baekman.projects.release_key import public_file, release_key
from baekman.projects.reviewers import make_reviewer_key, reviewer_keys, revoke_key
from baekman.projects.signing import DECISION_TYPE, IN_TOTO_TYPE, PublicKey, SigningKey, sign
from baekman.releases.plan import Check, Plan, write_plan
from baekman.status.verification import parts
from baekman.workspace.paths import Workspace
from support.kills import killed_before
from support.projects import CHANGED, DESCRIPTION, DRB, IRB, RELEASE, SEEN, Board, describe, make_board, reviewer
from typer.testing import CliRunner, Result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    make_board(folder)
    return folder


@pytest.fixture
def board(made: Path, tmp_path: Path) -> Board:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    project, _ = add_project(tmp_path / "W", tmp_path / "project.yaml")
    return Board(tmp_path, project, *(SigningKey.read(tmp_path / f"{role}.key") for role in ("irb", "drb")))


def refusal(work: Callable[[], object]) -> list[str]:
    """Return the lines with which ``work`` is refused."""
    with pytest.raises(InputRefused) as refused:
        work()
    return [str(problem) for problem in refused.value.problems]


def missing(board: Board, role: str, found: str = "none") -> str:
    return (
        f"{board.project.id}: expected an approval of this plan by {role}, of a person outside the project, in force "
        f"on {today()}, found {found}; a reviewer with the role {role} runs `baekman project decide`"
    )


def test_irb_and_drb_approve_a_plan_and_the_event_comes_first(board: Board) -> None:
    assert refusal(board.require_approved) == [missing(board, "irb"), missing(board, "drb")]
    board.decide(board.irb)
    assert refusal(board.require_approved) == [missing(board, "drb")]
    board.decide(board.drb)
    board.require_approved()
    assert [(each.role, each.reviewer) for each in decisions_on(board.project, seen=SEEN)] == [
        ("irb", "이심사"),
        ("drb", "박결정"),
    ]
    events = [event for event in audit.events(board.project.workspace) if event["action"] == "project.decide"]
    assert [event["object"] for event in events] == [f"{board.project.id},{RELEASE}"] * 2
    assert [line.digest for line in _lines(board)] == [event["input_hash"] for event in events]


def _lines(board: Board) -> list:  # type: ignore[type-arg]
    from baekman.projects.decisions import _lines

    return _lines(board.project).read()


def test_the_same_decision_again_changes_nothing(board: Board) -> None:
    board.decide(board.irb)
    before = (board.project.home / FILE).read_bytes()
    choice = Choice(release=RELEASE, seen=SEEN, verdict="approve", reason="근거가 충분함")
    assert decide(board.project, choice, key=board.irb)[1] is False
    assert (board.project.home / FILE).read_bytes() == before


def test_a_changed_plan_voids_the_decisions(board: Board) -> None:
    board.approve()
    assert refusal(lambda: board.require_approved(seen=CHANGED)) == [missing(board, "irb"), missing(board, "drb")]


@pytest.mark.parametrize("verdict", ["revise", "reject"])
def test_a_decision_against_the_plan_blocks_until_the_reviewer_approves(verdict: str, board: Board) -> None:
    board.approve()
    checker = board.key(reviewer("최확인", "checker"))
    board.decide(checker, verdict)  # type: ignore[arg-type]
    assert refusal(board.require_approved) == [
        f"{board.project.id}: expected no decision against this plan, found {verdict} by checker on {today()}; "
        "change the request, or ask the reviewer"
    ]
    board.decide(checker)
    board.require_approved()


def test_the_last_decision_of_a_reviewer_counts(board: Board) -> None:
    board.approve()
    board.decide(board.irb, "revise")
    board.decide(board.irb)
    board.require_approved()
    board.decide(board.drb, "reject")
    assert len(refusal(board.require_approved)) == 2


def test_decisions_and_the_approval_of_the_irb_expire(board: Board) -> None:
    board.decide(board.irb)
    board.decide(board.drb, expires=today())
    board.require_approved()
    lines = refusal(lambda: board.require_approved(after=1))
    assert len(lines) == 1 and f"found one until {today()}" in lines[0]
    late = refusal(lambda: board.require_approved(after=30_000))
    assert "expected an approval of the IRB in force on" in late[0] and len(late) == 3


def test_a_checker_approves_for_no_board(board: Board) -> None:
    board.decide(board.irb)
    board.decide(board.key(reviewer("최확인", "checker")))
    assert refusal(board.require_approved) == [missing(board, "drb")]


@pytest.mark.parametrize("name", ["박결정", " 박결정  ", "박결정"])
def test_one_person_under_two_keys_is_one_person(name: str, board: Board) -> None:
    board.decide(board.drb)
    board.decide(board.key(reviewer(name, "irb")))
    assert refusal(board.require_approved) == [missing(board, "drb")]


@pytest.mark.parametrize(
    ("name", "role", "institution", "inside"),
    [
        ("김연구", "irb", "연세대학교", "the reviewer is a member of the project"),
        ("LEE JIWOO", "drb", "연세대학교", "the reviewer is a member of the project"),
        ("박결정", "drb", "서울대학교", "the reviewer is of the project's institution"),
    ],
)
def test_who_is_inside_the_project_decides_nothing(
    name: str, role: str, institution: str, inside: str, board: Board
) -> None:
    person = reviewer(name, role, institution=institution)  # type: ignore[arg-type]
    key = board.key(person)
    assert refusal(lambda: board.decide(key)) == [
        f"--key: expected a reviewer outside the project, found {inside}; another person decides"
    ]
    board.decide(board.irb)
    board.decide(board.drb, expires=today())
    board.plant(sign(board.statement(person), payload_type=DECISION_TYPE, key=key))
    assert [each.fault for each in all_decisions(board.project)] == ["", "", inside]
    assert len(decisions_on(board.project, seen=SEEN)) == 2


def test_a_key_that_is_unknown_revoked_or_not_valid_today_decides_nothing(board: Board) -> None:
    assert refusal(lambda: board.decide(SigningKey.new())) == [
        "--key: expected the key of a reviewer of this workspace, found another key; `baekman project key` makes one"
    ]
    later = board.key(reviewer("나중", "drb", days=(2, 9)))
    assert "expected a key that is valid today, found one for" in refusal(lambda: board.decide(later))[0]
    revoke_key(board.project.workspace, board.drb.public.id[:16])
    assert "expected a key that is in force, found a revoked one" in refusal(lambda: board.decide(board.drb))[0]


def test_a_revoked_key_approves_nothing_and_its_rejection_stays(board: Board) -> None:
    board.approve()
    revoke_key(board.project.workspace, board.irb.public.id)
    assert refusal(board.require_approved) == [missing(board, "irb")]
    again = board.key(reviewer("이심사", "irb"))
    board.decide(again)
    board.require_approved()
    board.decide(again, "reject")
    revoke_key(board.project.workspace, again.public.id)
    assert "found reject by irb" in refusal(board.require_approved)[0]


def test_a_signature_for_another_project_or_of_another_type_is_refused(board: Board) -> None:
    board.decide(board.irb)
    other, _ = add_project(
        board.project.workspace, describe(board.folder, DESCRIPTION.replace("2026-017", "2026-018"), name="b.yaml")
    )
    board.plant((board.project.home / FILE).read_bytes(), project=other)
    assert "expected a decision on this project, in the role of its key" in refusal(lambda: all_decisions(other))[0]
    board.plant(sign(board.statement(DRB), payload_type=IN_TOTO_TYPE, key=board.drb))
    assert "expected an envelope of the type" in refusal(board.require_approved)[0]


def test_a_signature_by_an_unknown_key_or_in_another_role_is_refused(board: Board) -> None:
    before = (board.project.home / FILE).parent
    shutil.copytree(board.project.workspace, board.folder / "copy")
    board.plant(sign(board.statement(DRB), payload_type=DECISION_TYPE, key=SigningKey.new()))
    assert "expected a signature by a known key, found one by another key" in refusal(board.require_approved)[0]
    shutil.rmtree(board.project.workspace)
    (board.folder / "copy").rename(board.project.workspace)
    board.plant(sign(board.statement(IRB, role="drb"), payload_type=DECISION_TYPE, key=board.irb))
    assert "in the role of its key, found another" in refusal(board.require_approved)[0]
    assert before.is_dir()


def _edited(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"sig":"', b'"sig":"A', 1), *lines[1:]]


@pytest.mark.parametrize(
    "attack",
    [
        _edited,
        lambda lines: lines[1:],
        lambda lines: lines[:-1],
        lambda lines: [],
        lambda lines: [lines[0], *lines],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [*lines, lines[-1]],
    ],
    ids=["edited", "first-removed", "last-removed", "all-removed", "first-twice", "swapped", "last-twice"],
)
@pytest.mark.parametrize("deletes", [False, True], ids=["written", "whole-file"])
def test_lines_that_were_changed_by_hand_are_noticed(
    attack: Callable[[list[bytes]], list[bytes]], deletes: bool, board: Board
) -> None:
    board.decide(board.drb, "reject")
    board.decide(board.irb)
    board.decide(board.drb)
    file = board.project.home / FILE
    lines = attack(file.read_bytes().splitlines(keepends=True))
    file.write_bytes(b"".join(lines))
    if deletes and not lines:
        file.unlink()
    with pytest.raises(InputRefused):
        board.require_approved()


def test_a_line_of_a_reviewer_that_was_added_by_hand_is_noticed(board: Board) -> None:
    file = board.project.workspace / "projects" / "reviewers.jsonl"
    values = json.loads(file.read_bytes().splitlines()[1])
    values["key"], values["previous"] = SigningKey.new().public.pem, "0" * 64
    for content in (file.read_bytes() + json.dumps(values).encode() + b"\n", b""):
        file.write_bytes(content)
        assert "reviewers.jsonl: expected" in refusal(lambda: reviewer_keys(board.project.workspace))[0]


def test_a_decision_that_was_killed_is_whole_or_not_made(board: Board) -> None:
    step = 0
    for step in range(1, 99):
        copy = board.folder / f"copy{step}"
        shutil.copytree(board.project.workspace, copy)
        project = open_project(copy, board.project.id)
        twin = Board(board.folder, project, board.irb, board.drb)
        if not killed_before(step, lambda twin=twin: twin.decide(twin.irb)):  # type: ignore[misc]
            break
        assert len(all_decisions(project)) in (0, 1)
        twin.decide(twin.irb)
        twin.decide(twin.drb)
        twin.require_approved()
        assert len(all_decisions(project)) == 2
        shutil.rmtree(copy)
    assert step > 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reason": "환자 840229-2234567 제외"}, "without identifiers of a person, found resident_registration_number"),
        ({"reason": f"see {RELEASE}"}, "a text for the applicants, without pseudonymous IDs, found an ID"),
        ({"reason": " "}, "--reason: expected a line of text, 1 to 500 characters, found no such text"),
        ({"expires": today() - timedelta(days=1)}, "until 2099-01-04, as the IRB approved, found an earlier one"),
        ({"expires": today() + timedelta(days=30_000)}, "until 2099-01-04, as the IRB approved, found a later one"),
        ({"seen": "x"}, "plan: expected the SHA-256 of a plan, found something else"),
    ],
)
def test_a_malformed_decision_is_refused(fields: dict[str, str], message: str, board: Board) -> None:
    assert message in refusal(lambda: board.decide(board.irb, **fields))[0]
    assert all_decisions(board.project) == []


def test_keys_are_for_their_reviewer_alone(board: Board) -> None:
    file = board.folder / "irb.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert make_reviewer_key(board.project.workspace, IRB, file=file)[1] is False
    assert (
        "found the key of another reviewer, role or time"
        in refusal(lambda: make_reviewer_key(board.project.workspace, DRB, file=file))[0]
    )
    private = file.read_bytes().splitlines()[1]
    assert not [path for path in board.project.workspace.rglob("*") if path.is_file() and private in path.read_bytes()]


def test_the_key_of_releases_is_made_once(tmp_path: Path) -> None:
    key = release_key(tmp_path)
    assert (tmp_path / "projects" / "release.key").stat().st_mode & 0o777 == 0o600
    assert release_key(tmp_path).public == key.public == PublicKey.read(public_file(tmp_path))
    (tmp_path / "projects" / "release.key").unlink()
    assert "release.key: expected the key of the releases" in refusal(lambda: release_key(tmp_path))[0]


def test_commands_make_keys_and_decide(board: Board) -> None:
    groups.register(app)
    home = board.project.workspace / "releases" / RELEASE
    home.mkdir(parents=True)
    request = {"project": board.project.id, "tier": "room"}
    failing = (Check(code="k", observed=3, limit=11, verdict="fail"),)
    write_plan(home, Plan(request=request, request_hash="", snapshots={}, members=20, members_hash="", checks=failing))
    workspace = ["--workspace", str(board.project.workspace)]

    notes: list[str] = []

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["project", *words, *workspace], catch_exceptions=False)
        assert result.exit_code == 0
        notes.append(result.stderr)
        return result.stdout

    person = ["--reviewer", "최심사", "--role", "irb", "--institution", "연세대학교"]
    key_id = run("key", *person, "--key", str(board.folder / "new.key")).strip()
    assert key_id in reviewer_keys(board.project.workspace)
    assert f"{key_id[:16]}  irb      {today()}" in run("keys")
    assert run("key", "--release").endswith("release.pub\n")
    choice = ["--verdict", "approve", "--reason", "근거가 충분함"]
    decided = run("decide", board.project.id, "--release", RELEASE, "--key", str(board.folder / "new.key"), *choice)
    assert decided.startswith(f"{RELEASE}  irb  approve  until 2099-01-04  plan ")
    assert notes[-1].startswith("note: another version of baekman made this plan (without the check birth_years, ")
    assert notes[-1].endswith(
        "note: nothing is built while a check fails (k): ask the applicants to change the request\n"
    )
    assert "irb  approve  until 2099-01-04  최심사  근거가 충분함" in run("show", board.project.id)
    run("key", "--revoke", key_id)
    assert json.loads(run("show", board.project.id, "--json"))["decisions"][0]["fault"] == "the key was revoked"
    with pytest.raises(InputRefused, match="expected the hash of the plan as it is now"):
        run("decide", board.project.id, "--release", RELEASE, "--plan", "0" * 12, "--key", "x", *choice)
    (home / "plan.json").write_text("{}")
    with pytest.raises(DamagedFile):
        run("decide", board.project.id, "--release", RELEASE, "--key", "x", *choice)


def test_no_key_is_made_for_a_person_who_is_inside_of_every_project(board: Board) -> None:
    groups.register(app)
    workspace = board.project.workspace

    def make(name: str, role: str, institution: str) -> Result:
        words = ["key", "--reviewer", name, "--role", role, "--institution", institution]
        place = ["--key", str(board.folder / f"{role}.new"), "--workspace", str(workspace)]
        return CliRunner().invoke(app, ["project", *words, *place])

    inside = {
        ("LEE  jiwoo", "irb", "연세대학교"): f"the reviewer is a member of the project {board.project.id}",
        ("김연구", "checker", "연세대학교"): f"the reviewer is a member of the project {board.project.id}",
        ("최심사", "drb", "서울대학교"): f"the reviewer is of the project's institution {board.project.id}",
    }
    known = reviewer_keys(workspace)
    for person, cause in inside.items():
        assert str(make(*person).exception) == (
            f"--reviewer: expected a person outside the project, found {cause}; "
            "name another person: two people outside the project decide on its releases"
        )
        assert not (board.folder / f"{person[1]}.new").exists()
    assert make("최심사", "irb", "서울대학교").exit_code == 0  # the IRB may be that of the applicants
    # a member of this project may review another
    text = DESCRIPTION.replace("김연구", "박연구").replace("Lee Jiwoo", "한연구").replace("당뇨병", "고혈압")
    add_project(workspace, describe(board.folder, text, name="other.yaml"))
    made = make("김연구", "checker", "연세대학교")
    cause = inside["김연구", "checker", "연세대학교"].rpartition(" ")[0]
    assert made.stderr == f"note: a decision with this key on {board.project.id} is refused: {cause}\n"
    assert len(reviewer_keys(workspace)) == len(known) + 2


def test_a_line_without_an_event_and_one_of_a_key_that_is_not_valid_yet_count_nothing(board: Board) -> None:
    board.decide(board.irb)
    later = reviewer("나중", "drb", days=(2, 9))
    board.plant(sign(board.statement(later), payload_type=DECISION_TYPE, key=board.key(later)))
    assert refusal(board.require_approved) == [missing(board, "drb")]
    assert all_decisions(board.project)[-1].fault == "the key was not valid on the day of the decision"
    with (board.project.home / FILE).open("ab") as lines:
        lines.write(sign(board.statement(DRB), payload_type=DECISION_TYPE, key=board.drb))
    assert refusal(board.require_approved) == [
        f"decisions.jsonl: {board.project.id}: expected lines that are in the audit log, found another; the file was "
        "changed by hand: restore it from a back-up"
    ]


def test_where_the_log_was_begun_again_reviewers_decide_again(board: Board) -> None:
    board.approve()
    workspace = board.project.workspace
    audit.log_file(workspace).unlink()
    with pytest.raises(InputRefused):
        board.require_approved()
    audit.restart(workspace)
    assert "found no event of its adding" in refusal(lambda: open_project(workspace, board.project.id))[0]
    assert add_project(workspace, board.folder / "project.yaml") == (board.project, False)
    assert all_decisions(board.project) == [] and reviewer_keys(workspace) == {}
    for person in (IRB, DRB):
        assert make_reviewer_key(workspace, person, file=board.folder / f"{person.role}.key")[1]
    board.approve()
    board.require_approved()
    assert len((board.project.home / FILE).read_bytes().splitlines()) == 4


def test_a_verification_of_the_workspace_names_what_was_changed(board: Board) -> None:
    board.approve()
    workspace = board.project.workspace
    release_key(workspace)
    projects = next(part for part in parts(Workspace(workspace)) if part.name == "projects")
    assert list(projects.verify()) == []
    file, sheet = board.project.home / FILE, board.project.home / "project.yaml"
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    assert list(projects.verify()) == [
        f"decisions.jsonl: {board.project.id}: expected each line that is in the audit log, found fewer: one was "
        "removed; the file was changed by hand: restore it from a back-up"
    ]
    sheet.write_text(sheet.read_text() + "\n")
    (workspace / "projects" / "release.pub").write_text(board.irb.public.pem)
    assert [line.split(":")[0] for line in projects.verify()] == ["release.pub", "project.yaml"]
    shutil.rmtree(board.project.home)
    assert [line.split(":")[0] for line in projects.verify()] == ["release.pub", board.project.id]
    (workspace / "projects" / "reviewers.jsonl").unlink()
    assert [line.split(":")[0] for line in projects.verify()] == ["release.pub", "reviewers.jsonl"]
