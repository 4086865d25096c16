"""Deliveries of fewer participants than ``cohort.min_batch``: the job, the reports, withdrawals and refusals."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from baekman import steps, withdrawal
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.cohort import rewrite
from baekman.cohort.add import count_waiting
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import open_store
from baekman.consent import ALL_SCOPES, ConsentEvent, Decision
from baekman.engine.local import Engine
from baekman.registry.denied_list import add_consent
from baekman.report.remarks import write_remarks
from baekman.tables import files as table_files
from support.finished_workspace import FinishedWorkspace, withdraw, write
from support.ground import traces
from typer.testing import CliRunner

DELIVERIES = ("D0000000000011", "D0000000000022", "D0000000000033")


def deliver(workspace: FinishedWorkspace, number: int, *, least: int = 2) -> dict[str, Any]:
    """Run the jobs for a delivery of the participant ``number``; return the content of its ``batch.json``."""
    home, participant = workspace.delivery(DELIVERIES[number]), workspace.participant_ids[number]
    write(home.accepted, f"{participant}\t{workspace.participant(participant).gvcf}\tfemale\n")
    lines = workspace.home.specimens.read_text().splitlines(keepends=True)
    write(home.specimens, "".join(row for row in lines if row.startswith(("participant_id", participant))))
    settings = steps.CohortSettings(
        reference=workspace.root.parent / "reference.fa",
        shards=workspace.root.parent / "shards.tsv",
        thresholds={"min_batch": least},
        filters={},
    )
    steps.add_delivery(
        workspace, home.id, accepted=home.accepted, settings=settings, engine=Engine(), output=home.batch
    )
    steps.write_tables(workspace, batch=home.batch, engine=Engine(), report=home.report / "tables.json")
    content: dict[str, Any] = json.loads(home.batch.read_text())
    return content


def emptied(workspace: FinishedWorkspace) -> int:
    """Take everybody out of the cohort; return the number of the snapshot."""
    for participant in workspace.participant_ids:
        table_files.remove_tables(workspace.tables, participant)
    return rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids).number


def test_the_delivery_that_completes_a_batch_writes_the_tables_of_all(workspace: FinishedWorkspace) -> None:
    before = emptied(workspace)
    first, second, third = workspace.participant_ids
    waits = deliver(workspace, 0)
    assert (waits["participants"], waits["snapshot"], waits["waiting"], waits["more"]) == ([], None, [first], 1)
    assert not table_files.table_path(workspace.tables, first).exists()
    html = workspace.delivery(DELIVERIES[0]).report / "remarks.html"
    write_remarks(workspace, DELIVERIES[0], html=html)
    assert "1 participant waits for 1 more (cohort.min_batch): no snapshot has them yet" in html.read_text()
    for _ in range(2):  # the job may run again
        added = deliver(workspace, 1)
        assert added["participants"] == sorted([first, second])
        assert (added["snapshot"], added["waiting"], added["more"]) == (before + 1, [], 0)
    for participant in (first, second):
        assert table_files.table_path(workspace.tables, participant).is_file()
    assert deliver(workspace, 2)["waiting"] == [third]
    assert deliver(workspace, 0)["participants"] == [first]  # of an earlier result
    assert deliver(workspace, 2, least=1)["participants"] == [third]


def test_a_withdrawal_while_waiting_leaves_no_byte(workspace: FinishedWorkspace) -> None:
    emptied(workspace)
    deliver(workspace, 1, least=3)
    deliver(workspace, 0, least=3)
    receipt = withdraw(workspace, 1)
    assert receipt["changed"] and workspace.leaks(1) == []
    assert count_waiting(open_store(workspace.cohort)) == 1
    assert json.loads(workspace.delivery(DELIVERIES[1]).batch.read_text())["waiting"] == []
    assert not withdraw(workspace, 1)["changed"]
    assert deliver(workspace, 2, least=2)["participants"] == sorted(workspace.participant_ids[::2])


def test_a_refusal_while_waiting_takes_the_participant_out(workspace: FinishedWorkspace) -> None:
    emptied(workspace)
    deliver(workspace, 0)
    refused = workspace.participant_ids[0]
    event = ConsentEvent(
        participant_id=refused, decision=Decision.REFUSED, scopes=ALL_SCOPES, valid_from=date(2025, 2, 1)
    )
    add_consent(workspace, event, registry=workspace.opened_registry)
    withdrawal.sweep(workspace)
    opened = open_store(workspace.cohort)
    assert (count_waiting(opened), traces(opened, [refused])) == (0, [])
    assert deliver(workspace, 1)["more"] == 1
    assert read_snapshot(opened).participants == 0


def test_the_command_line_says_who_waits(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    emptied(workspace)
    groups.register(app)
    cohort, runner = str(workspace.cohort), CliRunner()
    reference = tmp_path / "reference.fa"
    write(workspace.root / "config.yaml", f"reference: {reference}\ncohort:\n  min_batch: 2\n")
    lists = []
    for number, participant in enumerate(workspace.participant_ids):
        lists.append(tmp_path / f"{number}.tsv")
        write(lists[-1], f"{participant}\t{workspace.participant(participant).gvcf}\tfemale\n")
    command = ["cohort", "add", "--cohort", cohort, "--batch"]
    waits = runner.invoke(app, [*command, "b0", "--gvcfs", str(lists[0])])
    assert (waits.exit_code, waits.stderr) == (0, "1 participant waits for 1 more (cohort.min_batch)\n")
    shown = runner.invoke(app, ["cohort", "snapshots", "--cohort", cohort])
    assert "1 participants wait" not in shown.stderr and "1 participant waits" in shown.stderr
    added = runner.invoke(app, [*command, "b1", "--gvcfs", str(lists[1])])
    assert (added.exit_code, int(added.stdout)) == (0, int(waits.stdout) + 1)
    now = runner.invoke(app, [*command, "b2", "--gvcfs", str(lists[2]), "--now"])
    assert (now.exit_code, int(now.stdout)) == (0, int(waits.stdout) + 2)
    assert read_snapshot(open_store(workspace.cohort)).participants == 3
