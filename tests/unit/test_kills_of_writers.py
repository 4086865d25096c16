"""A denial at any instant of a command that writes individual data, killed or not, is in force at its end."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import baekman
import pyarrow.parquet as pq
import pytest
from baekman import audit, steps
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.cohort import rewrite
from baekman.cohort.index import find_batches
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import open_store
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.files import locks
from baekman.freezes.verification import verify_freeze
from baekman.intake.receive import here, receive
from baekman.tables.files import table_path
from baekman.withdrawal import sweep
from baekman.workspace.denied import denied_participants
from baekman.workspace.paths import Workspace
from support.delivery_builder import make_workspace, registration, simple_delivery, write_reference
from support.finished_workspace import DELIVERY, FinishedWorkspace, finished_workspace, write
from support.kills import done_before, killed_before
from typer.testing import CliRunner

pytestmark = pytest.mark.slow

STRIDE = int(os.environ.get("BAEKMAN_KILL_STRIDE", "23"))
DENIALS = {
    "refusal": ["registry", "consent", "PARTICIPANT", "--decision", "refused"],
    "withdrawal": ["registry", "withdraw", "PARTICIPANT"],
}


def run(*arguments: str | Path) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def deny(kind: str, workspace: Workspace, participant: str) -> bool:
    """Run the command of a denial; return False where it would wait for a lock that this process holds."""
    for file in (workspace.root / ".denied.txt.lock", audit.log_file(workspace.root)):
        descriptor = locks.open_for_lock(file)
        is_free = locks.try_lock(descriptor)
        os.close(descriptor)
        if not is_free:
            return False
    connection = sqlite3.connect(workspace.registry / "registry.sqlite", timeout=0)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    words = [participant if word == "PARTICIPANT" else word for word in DENIALS[kind]]
    run(*words, "--workspace", workspace.root)
    return True


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> FinishedWorkspace:
    """Return a finished workspace; its cohort is empty, and no table is written."""
    groups.register(app)
    made = finished_workspace(tmp_path_factory.mktemp("template"))
    lines = [f"{one}\t{made.participant(one).gvcf.relative_to(made.root)}\tfemale\n" for one in made.participant_ids]
    write(made.home.accepted, "".join(lines))
    shutil.rmtree(made.tables)
    shutil.copytree(made.cohort, made.root.parent / "full")
    rewrite.withdraw(open_store(made.cohort), made.participant_ids)
    return made


def copies(template: Path, folder: Path, *, stride: int = STRIDE) -> Iterator[tuple[int, Workspace]]:
    """Yield the numbers 1, 1 + ``stride`` and so on, each with a fresh copy of ``template``."""
    for step in itertools.count(1, stride):
        root = folder / str(step)
        shutil.copytree(template, root)
        yield step, Workspace(root)
        shutil.rmtree(root)


def add(workspace: Workspace, folder: Path) -> None:
    home = workspace.delivery(DELIVERY)
    settings = steps.CohortSettings(reference=folder / "x.fa", shards=folder / "x.tsv", thresholds={}, filters={})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace.root)  # as a job does
        steps.add_delivery(
            workspace, DELIVERY, accepted=home.accepted, settings=settings, engine=Engine(), output=home.batch
        )


def is_added(workspace: Workspace, participant: str, *, batch: str = "") -> bool:
    opened = open_store(workspace.cohort)
    name = find_batches(opened, [participant], at=read_snapshot(opened)).get(participant)
    return name is not None and name.startswith(batch)


@pytest.mark.parametrize("kind", DENIALS)
def test_who_is_denied_at_any_instant_before_the_batch_is_committed_is_not_in_the_cohort(
    kind: str, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, stayer = template.participant_ids[1], template.participant_ids[0]
    for step, workspace in copies(template.root, tmp_path):
        was_early = []

        def act(workspace: Workspace = workspace, was_early: list[bool] = was_early) -> bool:
            is_early = not is_added(workspace, gone)
            is_denied = deny(kind, workspace, gone)
            was_early += [is_early] if is_denied else []
            return is_denied

        count = done_before(step, act, lambda workspace=workspace: add(workspace, tmp_path))
        listed = json.loads(workspace.delivery(DELIVERY).batch.read_text())["participants"]
        assert is_added(workspace, stayer) and stayer in listed
        assert not (was_early[0] and is_added(workspace, gone)), f"denied before effect {step}"
        if kind == "withdrawal":
            run("registry", "show", "--workspace", workspace.root)
            assert not is_added(workspace, gone)
        if step > count:
            break
    assert step > 20


@pytest.mark.parametrize("kind", DENIALS)
def test_the_job_of_a_batch_that_was_killed_ends_without_who_is_denied_since(
    kind: str, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, stayer = template.participant_ids[1], template.participant_ids[0]
    for step, workspace in copies(template.root, tmp_path):
        was_killed = killed_before(step, lambda workspace=workspace: add(workspace, tmp_path))
        assert deny(kind, workspace, gone)
        add(workspace, tmp_path)
        assert is_added(workspace, stayer) and not is_added(workspace, gone), f"killed before effect {step}"
        assert json.loads(workspace.delivery(DELIVERY).batch.read_text())["participants"].count(gone) == 0
        if not was_killed:
            break


def add_by_hand(workspace: Workspace) -> None:
    """Run `cohort add` on all gVCFs, which is refused when it lists somebody who is denied."""
    home = workspace.delivery(DELIVERY)
    with pytest.MonkeyPatch.context() as patch, suppress(InputRefused):
        patch.chdir(workspace.root)
        baekman.open_cohort(workspace.cohort).add("b1", home.accepted)


@pytest.mark.parametrize("kind", DENIALS)
def test_who_is_denied_while_a_batch_is_added_by_hand_is_not_in_the_cohort(
    kind: str, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, stayer = template.participant_ids[1], template.participant_ids[0]
    for step, workspace in copies(template.root, tmp_path):
        was_early = []

        def act(workspace: Workspace = workspace, was_early: list[bool] = was_early) -> bool:
            is_early = not is_added(workspace, gone)
            is_denied = deny(kind, workspace, gone)
            was_early += [is_early] if is_denied else []
            return is_denied

        count = done_before(step, act, lambda workspace=workspace: add_by_hand(workspace))
        assert not (was_early[0] and is_added(workspace, gone)), f"denied before effect {step}"
        assert is_added(workspace, stayer) or was_early[0]
        if step > count:
            break


@pytest.mark.parametrize("kind", DENIALS)
def test_a_batch_added_by_hand_that_was_killed_loses_who_is_denied_since(
    kind: str, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone = template.participant_ids[1]
    for step, workspace in copies(template.root, tmp_path):
        was_killed = killed_before(step, lambda workspace=workspace: add_by_hand(workspace))
        assert deny(kind, workspace, gone)
        add_by_hand(workspace)
        assert not is_added(workspace, gone), f"killed before effect {step}"
        if not was_killed:
            break


@pytest.mark.parametrize("kind", DENIALS)
def test_who_is_denied_while_they_are_replaced_is_not_in_the_cohort(
    kind: str, full: Path, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, stayer = template.participant_ids[1], template.participant_ids[0]

    def replace(workspace: Workspace) -> None:
        with pytest.MonkeyPatch.context() as patch, suppress(InputRefused):
            patch.chdir(workspace.root)
            baekman.open_cohort(workspace.cohort).replace("r1", workspace.delivery(DELIVERY).accepted)

    for step, workspace in copies(full, tmp_path, stride=2 * STRIDE):
        was_early = []

        def act(workspace: Workspace = workspace, was_early: list[bool] = was_early) -> bool:
            is_early = read_snapshot(open_store(workspace.cohort)).entry("r1") is None
            is_denied = deny(kind, workspace, gone)
            was_early += [is_early] if is_denied else []
            return is_denied

        count = done_before(step, act, lambda workspace=workspace: replace(workspace))
        assert not (was_early[0] and is_added(workspace, gone, batch="r1")), f"denied before effect {step}"
        if kind == "withdrawal":
            run("registry", "show", "--workspace", workspace.root)
            assert not is_added(workspace, gone)
        assert is_added(workspace, stayer)
        if step > count:
            break
    assert step > 2 * STRIDE


def make_tables(workspace: Workspace) -> None:
    home = workspace.delivery(DELIVERY)
    steps.write_tables(workspace, batch=home.batch, engine=Engine(), report=home.report / "tables.json")


@pytest.fixture(scope="module")
def full(template: FinishedWorkspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of ``template`` with everybody in the cohort."""
    root = tmp_path_factory.mktemp("full") / "w"
    shutil.copytree(template.root, root)
    shutil.rmtree(root / "cohort")
    shutil.copytree(template.root.parent / "full", root / "cohort")
    return root


@pytest.mark.parametrize("kind", DENIALS)
def test_who_is_denied_at_any_instant_before_the_tables_are_complete_has_none(
    kind: str, full: Path, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, *stayers = template.participant_ids[1], template.participant_ids[0], template.participant_ids[2]
    for step, workspace in copies(full, tmp_path):
        was_early = []

        def act(workspace: Workspace = workspace, was_early: list[bool] = was_early) -> bool:
            is_early = not all(table_path(workspace.tables, one).exists() for one in (gone, *stayers))
            is_denied = deny(kind, workspace, gone)
            was_early += [is_early] if is_denied else []
            return is_denied

        count = done_before(step, act, lambda workspace=workspace: make_tables(workspace))
        has_table = table_path(workspace.tables, gone).exists()
        report = json.loads((workspace.delivery(DELIVERY).report / "tables.json").read_text())
        assert not (was_early[0] and has_table), f"denied before effect {step}"
        assert (gone in report["tables"]) <= (not was_early[0])
        if kind == "withdrawal":
            run("registry", "show", "--workspace", workspace.root)
            assert not table_path(workspace.tables, gone).exists()
        if step > count:
            break
    assert step > 10


@pytest.mark.parametrize("kind", DENIALS)
def test_the_job_of_tables_that_was_killed_ends_without_who_is_denied_since(
    kind: str, full: Path, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, stayer = template.participant_ids[1], template.participant_ids[0]
    for step, workspace in copies(full, tmp_path):
        was_killed = killed_before(step, lambda workspace=workspace: make_tables(workspace))
        assert deny(kind, workspace, gone)
        make_tables(workspace)
        assert table_path(workspace.tables, stayer).exists()
        assert not table_path(workspace.tables, gone).exists(), f"killed before effect {step}"
        if not was_killed:
            break


# -- a freeze


def release(workspace: Workspace) -> Path:
    return workspace.root.parent / f"release-{workspace.root.name}"


def freeze(workspace: Workspace) -> None:
    baekman.open_cohort(workspace.cohort).freeze(release(workspace))


def members_of(folder: Path) -> tuple[list[str], int]:
    """Return the participants with tables, and the AN of the only site, of a freeze."""
    tables = sorted(path.stem for path in (folder / "tables").glob("variants/*/*.parquet"))
    return tables, pq.read_table(next((folder / "sites").glob("*.parquet"))).column("an_raw")[0].as_py()


@pytest.mark.parametrize("kind", DENIALS)
def test_a_freeze_appears_whole_and_without_who_is_denied_before_it_appears(
    kind: str, full: Path, template: FinishedWorkspace, tmp_path: Path
) -> None:
    everyone, gone = sorted(template.participant_ids), template.participant_ids[1]
    others = [one for one in everyone if one != gone]
    for step, workspace in copies(full, tmp_path):
        was_early = []

        def act(workspace: Workspace = workspace, was_early: list[bool] = was_early) -> bool:
            is_early = not (release(workspace) / "sites").exists()
            assert is_early or members_of(release(workspace)) == (everyone, 6)
            is_denied = deny(kind, workspace, gone)
            was_early += [is_early] if is_denied else []
            return is_denied

        count = done_before(step, act, lambda workspace=workspace: freeze(workspace))
        expected = (others, 4) if was_early[0] else (everyone, 6)
        assert members_of(release(workspace)) == expected, f"denied before effect {step}"
        assert not (release(workspace) / ".freeze").exists()
        if step > count:
            break
    assert step > 20


@pytest.mark.parametrize("kind", DENIALS)
def test_a_freeze_that_was_killed_ends_without_who_is_denied_since(
    kind: str, full: Path, template: FinishedWorkspace, tmp_path: Path
) -> None:
    everyone, gone = sorted(template.participant_ids), template.participant_ids[1]
    others = [one for one in everyone if one != gone]
    for step, workspace in copies(full, tmp_path):
        was_killed = killed_before(step, lambda workspace=workspace: freeze(workspace))
        was_whole = (release(workspace) / "sites").exists()
        assert deny(kind, workspace, gone)
        if was_whole:
            with pytest.raises(InputRefused, match="a freeze is never overwritten"):
                freeze(workspace)
        else:
            freeze(workspace)
        assert members_of(release(workspace)) == ((everyone, 6) if was_whole else (others, 4)), f"effect {step}"
        assert list(verify_freeze(release(workspace))) == [], f"effect {step}"
        if not was_killed:
            break


# -- a sweep that is killed


def test_the_next_command_finishes_a_sweep_that_was_killed(
    full: Path, template: FinishedWorkspace, tmp_path: Path
) -> None:
    gone = template.participant_ids[1]
    for step, workspace in copies(full, tmp_path):
        run("registry", "withdraw", gone, "--workspace", workspace.root)
        was_killed = killed_before(step, lambda workspace=workspace: sweep(workspace))
        run("registry", "show", "--workspace", workspace.root)
        assert (
            FinishedWorkspace(
                workspace.root, template.opened_registry, template.participant_ids, template.specimen_ids
            ).leaks(1)
            == []
        ), f"killed before effect {step}"
        before = len(list(audit.events(workspace.root)))
        assert sweep(workspace) == [] and len(list(audit.events(workspace.root))) == before
        if not was_killed:
            break
    assert step > 20


# -- intake


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    groups.register(app)
    folder = tmp_path_factory.mktemp("registered")
    reference = write_reference(folder)
    make_workspace(folder / "w", reference, [registration("A-1", 1), registration("A-2", 2)])
    simple_delivery(folder / "in", reference, "A-1", "A-2")
    receive(
        folder / "in", workspace=Workspace(Path(shutil.copytree(folder / "w", folder / "first"))), run=here(workers=1)
    )
    shutil.copytree(folder / "first" / "reference", folder / "w" / "reference", dirs_exist_ok=True)
    return folder


def traces(workspace: Workspace, participant: str) -> list[str]:
    """Return what a delivery holds of a participant: staged files, and rows that jobs read."""
    staged = [workspace.relative(path) for path in workspace.deliveries.glob(f"*/staged/{participant}")]
    manifests = workspace.deliveries.glob("*/specimens.tsv")
    return staged + [workspace.relative(path) for path in manifests if participant in path.read_text()]


def participants(workspace: Workspace) -> list[str]:
    from baekman.registry.records import open_registry
    from support.delivery_builder import INSTITUTION

    registry = open_registry(workspace.root)
    records = [registry.specimen(INSTITUTION, barcode) for barcode in ("A-1", "A-2")]
    return [record.participant_id for record in records if record]


@pytest.mark.parametrize("kind", DENIALS)
def test_who_is_denied_at_any_instant_before_intake_is_complete_is_not_staged(
    kind: str, registered: Path, tmp_path: Path
) -> None:
    for step, workspace in copies(registered / "w", tmp_path):
        gone, stayer = participants(workspace)
        was_early = []

        def act(workspace: Workspace = workspace, was_early: list[bool] = was_early, gone: str = gone) -> bool:
            is_early = not list(workspace.deliveries.glob("*/delivery.json"))
            is_denied = deny(kind, workspace, gone)
            was_early += [is_early] if is_denied else []
            return is_denied

        def work(workspace: Workspace = workspace) -> None:
            receive(registered / "in", workspace=workspace, run=here(workers=1))
            sweep(workspace)  # as the command does

        count = done_before(step, act, work)
        assert traces(workspace, stayer)
        assert not (was_early[0] and traces(workspace, gone)), f"denied before effect {step}"
        if kind == "withdrawal":
            run("registry", "show", "--workspace", workspace.root)
            assert not traces(workspace, gone)
        if step > count:
            break
    assert step > 20


@pytest.mark.parametrize("kind", DENIALS)
def test_an_intake_that_was_killed_ends_without_who_is_denied_since(
    kind: str, registered: Path, tmp_path: Path
) -> None:
    for step, workspace in copies(registered / "w", tmp_path):
        gone, stayer = participants(workspace)
        was_killed = killed_before(
            step, lambda workspace=workspace: receive(registered / "in", workspace=workspace, run=here(workers=1))
        )
        assert deny(kind, workspace, gone)
        was_complete = bool(list(workspace.deliveries.glob("*/delivery.json")))
        receive(registered / "in", workspace=workspace, run=here(workers=1))
        sweep(workspace)
        assert traces(workspace, stayer)
        assert not traces(workspace, gone) or (was_complete and kind == "refusal"), f"killed before effect {step}"
        assert gone in denied_participants(workspace)
        if not was_killed:
            break
