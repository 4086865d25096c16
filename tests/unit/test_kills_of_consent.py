"""A refusal or withdrawal is in force before the registry has it, whatever kills the command."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.consent import ConsentState
from baekman.registry.records import open_registry
from baekman.workspace.denied import denied_participants, mark_withdrawn
from baekman.workspace.paths import Workspace
from support.finished_workspace import HEADER, FinishedWorkspace, finished_workspace, write
from support.kills import killed_before
from typer.testing import CliRunner

# one row of a registration table that refuses what was granted
REFUSAL = "H\tB-0001\tSUBJ-1\trare\tfemale\trefused\t2025-02-01\tName 1\n"
COMMANDS = {
    "consent": ["registry", "consent", "PARTICIPANT", "--decision", "refused"],
    "withdraw": ["registry", "withdraw", "PARTICIPANT"],
    "import": ["registry", "import", "TABLE"],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> FinishedWorkspace:
    groups.register(app)
    workspace = finished_workspace(tmp_path_factory.mktemp("template"))
    audit.record(workspace.root, action="registry.init")
    return workspace


def copies(template: FinishedWorkspace, folder: Path) -> Iterator[tuple[int, Workspace]]:
    """Yield the numbers from 1, each with a fresh copy of the workspace ``template``."""
    for step in itertools.count(1):
        root = folder / str(step)
        shutil.copytree(template.root, root)
        yield step, Workspace(root)
        shutil.rmtree(root)


def run(*arguments: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


def command(name: str, workspace: Workspace, participant: str, folder: Path) -> Callable[[], None]:
    table = folder / "refusal.tsv"
    write(table, HEADER + REFUSAL)
    words = {"PARTICIPANT": participant, "TABLE": str(table)}
    arguments = [words.get(word, word) for word in COMMANDS[name]]
    return lambda: run(*arguments, "--workspace", str(workspace.root))


def is_granted(workspace: Workspace, participant: str) -> bool:
    return open_registry(workspace.root).active_consent(participant) is ConsentState.GRANTED


@pytest.mark.parametrize("name", COMMANDS)
def test_a_denial_that_the_registry_has_is_in_force_wherever_the_command_was_killed(
    name: str, template: FinishedWorkspace, memory_path: Path
) -> None:
    """The next command is the same one or, after every second kill, one that only opens the registry."""
    participant = template.participant_ids[1]
    for step, workspace in copies(template, memory_path):
        work = command(name, workspace, participant, memory_path)
        was_killed = killed_before(step, work)
        denied = participant in denied_participants(workspace)
        assert denied or is_granted(workspace, participant), f"killed before effect {step}"
        if step % 2:
            finishes_the_change(name, workspace, participant)
        work()
        assert participant in denied_participants(workspace)
        assert not is_granted(workspace, participant)
        assert not workspace.pending_denials.exists()
        actions = [event["action"] for event in audit.events(workspace.root)]
        assert f"registry.{name}" in actions
        if not was_killed:
            break
    assert step > 5


def finishes_the_change(name: str, workspace: Workspace, participant: str) -> None:
    """Assert that any command that opens the registry finishes a change that was killed."""
    run("registry", "show", "--workspace", str(workspace.root))
    assert (participant in denied_participants(workspace)) != is_granted(workspace, participant)
    assert not workspace.pending_denials.exists()
    actions = [event["action"] for event in audit.events(workspace.root)]
    assert actions.count(f"registry.{name}") == (0 if is_granted(workspace, participant) else 1)


def test_a_change_made_in_the_registry_alone_is_in_force_when_it_is_opened(
    template: FinishedWorkspace, tmp_path: Path
) -> None:
    """Another workspace may use the same registry."""
    participant = template.participant_ids[1]
    _, workspace = next(copies(template, tmp_path))
    open_registry(workspace.root).withdraw(participant)
    run("registry", "show", "--workspace", str(workspace.root))
    assert participant in denied_participants(workspace)
    assert not workspace.participant(participant).path.exists()


def test_a_mark_reaches_the_registry(template: FinishedWorkspace, tmp_path: Path) -> None:
    participant = template.participant_ids[1]
    _, workspace = next(copies(template, tmp_path))
    mark_withdrawn(workspace, participant)
    run("registry", "show", "--workspace", str(workspace.root))
    assert open_registry(workspace.root).is_withdrawn(participant)


def test_a_refused_change_denies_nobody(template: FinishedWorkspace, tmp_path: Path) -> None:
    participant = template.participant_ids[1]
    _, workspace = next(copies(template, tmp_path))
    table = tmp_path / "conflict.tsv"
    write(table, HEADER + REFUSAL + REFUSAL.replace("B-0001", "B-0002"))  # the specimen of another participant
    result = CliRunner().invoke(app, ["registry", "import", str(table), "--workspace", str(workspace.root)])
    assert result.exit_code != 0
    assert participant not in denied_participants(workspace)
    assert not workspace.pending_denials.exists()


# -- a withdrawal everywhere


def _outcome(workspace: Workspace, participant: str) -> dict[str, object]:
    """Return the receipt, names, records, times and audit events of a finished withdrawal, without temporary files."""
    receipt = json.loads(workspace.receipt(participant).read_text())
    names = {
        workspace.relative(path)
        for path in workspace.root.rglob("*")
        if path.suffix not in (".lock", ".tmp") and path.name != ".lock" and "registry" not in path.parts
    }
    reports = {
        name: (workspace.root / name).read_bytes()
        for name in names
        if name.startswith(("deliveries", "logs", "denied", ".snakemake/log")) and (workspace.root / name).is_file()
    }
    times = {name: (workspace.root / name).stat().st_mtime_ns for name in receipt["edited"] if "verdicts" not in name}
    events = [(event["action"], event["object"]) for event in audit.events(workspace.root)]
    return {"receipt": receipt, "names": names, "reports": reports, "times": times, "events": events}


def test_a_withdrawal_that_was_killed_ends_as_an_undisturbed_one(
    template: FinishedWorkspace, memory_path: Path
) -> None:
    participant = template.participant_ids[1]
    expected: dict[str, object] | None = None
    step, stride = 0, int(os.environ.get("BAEKMAN_KILL_STRIDE", "7"))
    while True:
        root = memory_path / str(step)
        shutil.copytree(template.root, root)
        workspace = Workspace(root)

        def work(root: Path = root) -> None:
            run("withdraw", participant, "--workspace", str(root))

        was_killed = step > 0 and killed_before(step, work)
        denied = participant in denied_participants(workspace)
        assert denied or step == 0 or is_granted(workspace, participant), f"killed before effect {step}"
        work()
        outcome = _outcome(workspace, participant)
        expected = expected or outcome
        for kind, value in outcome.items():
            assert value == expected[kind], f"killed before effect {step}: {kind}"
        shutil.rmtree(root)
        if step and not was_killed:
            break
        step += 1 if step == 0 else stride
    assert step > 40


def test_the_data_that_a_sweep_removed_before_the_receipt_are_in_it(
    template: FinishedWorkspace, tmp_path: Path
) -> None:
    participant = template.participant_ids[1]
    receipts = []
    for name, commands in (("a", []), ("b", [["registry", "withdraw", participant], ["registry", "show"]])):
        shutil.copytree(template.root, tmp_path / name)
        for arguments in [*commands, ["withdraw", participant]]:
            run(*arguments, "--workspace", str(tmp_path / name))
        receipts.append(json.loads(Workspace(tmp_path / name).receipt(participant).read_text()))
    assert receipts[0] == receipts[1]
