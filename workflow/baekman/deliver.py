"""One delivery from intake to tables: the desk of intake is in this process, all other work in jobs of Snakemake."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from baekman import data, withdrawal, workflow_run
from baekman.align.staged_alignment import Recipe, is_made_by
from baekman.cohort.add import count_waiting
from baekman.cohort.gvcf_list import read_waiting
from baekman.cohort.store import WAITING, open_store
from baekman.config.loading import load_config
from baekman.engine.progress import Show
from baekman.errors import InputRefused
from baekman.failed_jobs import FailedRule, alike, assess, hold_failed
from baekman.files.sidecar import read_checked
from baekman.genome.reference import cached_reference
from baekman.intake.receive import receive
from baekman.intake.reception import ReceivedDelivery
from baekman.intake.return_report import LATER_GATES, write_return_report
from baekman.notification import Notifier
from baekman.registry.records import open_registry
from baekman.verdicts import DECISIONS, Decision, Verdict, merge
from baekman.workflow_run import WorkflowRun
from baekman.workspace import specimens
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.run_state import RunRecorder, is_alive, read_run_state
from baekman.workspace.runs.failures import clear_failures, read_failures, settle_failures, write_failures
from baekman.workspace.waiting import verdicts_of, waiting_in

INSPECTED = "inspected"  # the target of the jobs of intake


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of delivering once.

    ``jobs``: number of jobs that succeeded. ``failed``: jobs that failed and stopped the run. ``unprocessed``: jobs
    that failed for one specimen, without which the others went on. ``cause``: a cause of failures that no specimen has,
    with what to do, or "". ``locked``: another run works on the same files. ``unreported``: why the return report lacks
    the QC verdicts, or "". ``last_lines``: of Snakemake's messages. ``waiting``: the number of participants who wait
    for a batch of ``cohort.min_batch``, and ``more`` the number that they wait for. ``superseded``: the number of
    specimens whose participants a later delivery brought data of; nothing is done for them.
    """

    delivery_id: str
    jobs: int
    verdicts: tuple[Verdict, ...]
    failed: tuple[FailedRule, ...]
    exit_code: int
    locked: bool
    unreported: str
    last_lines: tuple[str, ...]
    waiting: int = 0
    more: int = 0
    superseded: int = 0
    unprocessed: tuple[FailedRule, ...] = ()
    cause: str = ""

    @property
    def decisions(self) -> dict[str, Decision]:
        """Specimen ID -> the worst decision of the gates."""
        return merge(self.verdicts)


def deliver(
    delivery: Path,
    *,
    workspace: Workspace,
    config: Path | None = None,
    profile: str | None = None,
    cores: int | None = None,
    progress: Show = lambda work, done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Receive the delivery in the folder ``delivery`` and run its workflow to the tables.

    The same call again takes up where it stopped, or does nothing. It stages reads again that were used and
    deleted, where a job needs them. A failed job raises nothing and is in the outcome. ``say`` gets a line on each
    long wait for the cluster.

    Raises:
        InputRefused: the delivery or the configuration is malformed.
    """
    settings = load_config(workspace.root, file=config)
    command_for = partial(snakemake_command, workspace=workspace, config=config, profile=profile, cores=cores)

    def run_orders(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        command, home = command_for(delivery_id, INSPECTED), workspace.delivery(delivery_id)
        with RunRecorder(home) as recorder:
            inspect = partial(run_inspections, show=_shown(progress, recorder, say, intake=True), delivery=delivery)
            inspect(command, workspace=workspace, home=home, participants=participants)
            recorder.end("done")

    def receive_delivery(needed: Mapping[str, Collection[str]]) -> ReceivedDelivery:
        again = bool(needed)
        received = receive(delivery, workspace=workspace, config=settings, again=again, needed=needed, run=run_orders)
        withdrawal.sweep(workspace)
        return received

    try:
        receipt = receive_delivery({})
        folder = workspace.delivery(receipt.delivery_id)
        _try_failed_again(folder)
        command = command_for(folder.id)
        is_new = receipt.status == "received"
        needed = {} if is_new else _needed_files(command, workspace=workspace, folder=folder, settings=settings)
        if needed:
            receive_delivery(needed)
    except InspectionsFailed as failure:
        home = failure.home
        outcome = _outcome(failure.run, workspace=workspace, folder=home, settings=settings, cause=failure.cause)
        _notify(outcome, home, Notifier(settings, workspace=workspace))
        return outcome
    with RunRecorder(folder) as recorder:
        report = _shown(progress, recorder, say)
        run, cause = _run_without_failed(command, workspace=workspace, folder=folder, delivery=delivery, report=report)
        recorder.end("failed" if run.exit_code else "done")
    if run.done or run.failed:
        withdrawal.sweep_after(workspace, folder.id)
    outcome = _outcome(run, workspace=workspace, folder=folder, settings=settings, cause=cause)
    if (run.done or run.exit_code) and not run.locked:
        _notify(outcome, folder, Notifier(settings, workspace=workspace))
    return outcome


def _try_failed_again(folder: DeliveryFolder) -> None:
    """Forget the jobs that failed for one specimen, unless another run works on the delivery."""
    if not is_alive(folder, read_run_state(folder)):
        clear_failures(folder, LATER_GATES)


def _run_without_failed(
    command: Sequence[str],
    *,
    workspace: Workspace,
    folder: DeliveryFolder,
    delivery: Path,
    report: Callable[[WorkflowRun], None],
) -> tuple[WorkflowRun, str]:
    """Run the workflow by ``command``; run it again without the specimens of which a job failed, to its end.

    Returns:
        The last run, with the number of jobs of all, and the cause that stopped everybody or "".
    """
    log, done = workspace.deliver_log(folder.id), 0
    while True:
        run = workflow_run.run(command, workspace=workspace, log=log, report=report)
        run.done = done = done + run.done
        if not run.exit_code:
            return run, ""
        assessment = hold_failed(run, workspace=workspace, folder=folder, delivery=delivery)
        if not assessment.holds:
            return run, assessment.cause


def _shown(
    progress: Show, recorder: RunRecorder, say: Callable[[str], None], *, intake: bool = False
) -> Callable[[WorkflowRun], None]:
    """Return a function that shows a run by ``progress`` and in the state file, and its messages by ``say``."""
    said = 0

    def show(run: WorkflowRun) -> None:
        nonlocal said
        for line in run.cluster[said:]:
            say(line)
        said = len(run.cluster)
        progress("intake" if intake else run.rule or "planning", run.done, run.total)
        recorder.note(run.counts)

    return show


def _notify(outcome: Outcome, folder: DeliveryFolder, notifier: Notifier) -> None:
    """Send the news of the end of a run, and of the specimens that wait for a person."""
    failed: Counter[str] = Counter()
    for jobs in (*outcome.failed, *outcome.unprocessed):
        failed[jobs.rule] += jobs.count
    notifier.ended(
        folder.id,
        exit_code=outcome.exit_code,
        verdicts={decision: list(outcome.decisions.values()).count(decision) for decision in DECISIONS},
        failed=failed,
    )
    undecided = [waiting for waiting in waiting_in(folder, outcome.verdicts) if not waiting.decided]
    notifier.decision_needed(folder.id, undecided)


class InspectionsFailed(Exception):
    """A run of the jobs of intake that judges nobody: it was interrupted, or failed for all specimens.

    The same delivery may be received again. ``cause``: a cause that no specimen has, or "".
    """

    def __init__(self, run: WorkflowRun, home: DeliveryFolder, cause: str) -> None:
        super().__init__("no specimen was inspected")
        self.run = run
        self.home = home
        self.cause = cause


def run_inspections(
    command: Sequence[str],
    *,
    workspace: Workspace,
    home: DeliveryFolder,
    participants: Sequence[str],
    show: Callable[[WorkflowRun], None] = lambda run: None,
    delivery: Path | None = None,
) -> None:
    """Carry out the orders of ``participants`` as jobs of Snakemake, which ``command`` starts.

    The run is one of its own: the jobs of a delivery are known only after its intake. A specimen without a note
    afterwards was not processed.

    Args:
        command: The command, with ``INSPECTED`` as its target.
        workspace: The workspace.
        home: The folder of the delivery in it.
        participants: The participants with an order.
        show: Called with the run after each event.
        delivery: The delivered folder; its names are kept out of the lines of logs.

    Raises:
        InspectionsFailed: Snakemake failed, and no specimen has a note or the cause is no specimen's. The notes of the
            others stay for the next run.
    """
    clear_failures(home, ("intake",), participants)
    run = workflow_run.run(command, workspace=workspace, log=workspace.deliver_log(home.id), report=show)
    if not run.exit_code:
        return
    assessment = assess(
        run, workspace=workspace, folder=home, gate="intake", participants=participants, delivery=delivery
    )
    has_others = home.summary.is_file() or any(home.note(participant).is_file() for participant in participants)
    if assessment.stops_all or not has_others:
        raise InspectionsFailed(run, home, assessment.cause)
    write_failures(home, assessment.failures)


def snakemake_command(
    delivery_id: str,
    *targets: str,
    workspace: Workspace,
    config: Path | None = None,
    profile: str | None = None,
    cores: int | None = None,
) -> list[str]:
    """Return the command that runs the workflow of a delivery to ``targets``, by default to its end."""
    snakefile = data.workflow_folder() / "Snakefile"
    command = [sys.executable, "-m", "snakemake", *targets, "--snakefile", str(snakefile), "--nocolor"]
    command += ["--directory", str(workspace.root.resolve())]
    command += ["--profile", str(profile_folder(profile))] if profile else []
    command += ["--cores", str(cores)] if cores else []
    command += ["--configfile", str(config.resolve())] if config else []
    return [*command, "--config", f"delivery={delivery_id}"]


def conclude(workspace: Workspace, delivery_id: str, *, has_failed: bool = False) -> str:
    """Tidy up after the last job of a delivery and bring its return report up to date with the QC verdicts.

    After a run that ``has_failed`` the staged files stay for the next. After another the specimens that it left out,
    since a job failed for them before, may be tried again.

    Returns:
        Why the return report lacks the QC verdicts; "" when it has them.
    """
    folder = workspace.delivery(delivery_id)
    specimens.tidy_staged(folder, is_finished=not has_failed)
    if not has_failed:
        settle_failures(folder, LATER_GATES)
    withdrawal.sweep_after(workspace, delivery_id)
    try:
        write_return_report(workspace, delivery_id, registry=open_registry(workspace.root))
    except InputRefused as refusal:
        return f"the return report stays as intake wrote it: {refusal.problems[0]}"
    return ""


def _needed_files(
    command: Sequence[str], *, workspace: Workspace, folder: DeliveryFolder, settings: Mapping[str, Any]
) -> Mapping[str, Collection[str]]:
    """Return the staged files that Snakemake's plan needs and that are gone, by participant.

    An alignment by other settings than those of now is deleted first.
    """
    rows = specimens.read(folder.specimens)
    superseded = specimens.superseded(workspace, folder.id, {row.participant_id for row in rows})
    rows = [row for row in rows if row.participant_id not in superseded]
    if alignments := {workspace.root / row.file_1 for row in rows if row.entry == "aligned"}:
        _, contigs = cached_reference(Path(settings["reference"]), cache=workspace.intake_cache)
        recipe = Recipe.of(settings["aligner"], contigs.values())
        for cram in alignments:
            if cram.is_file() and not is_made_by(cram, recipe):
                cram.unlink()
    staged = [workspace.root / file for row in rows for file in (*row.files, row.array_genotypes) if file]
    if all(file.is_file() for file in staged):
        return {}
    return workflow_run.plan(command, workspace=workspace).staged


def profile_folder(profile: str) -> Path:
    """Return the folder of a profile, named by its path or by its name in ``profiles/``."""
    path = Path(profile)
    return path.resolve() if path.exists() else data.workflow_folder() / "profiles" / path.name


def _outcome(
    run: WorkflowRun, *, workspace: Workspace, folder: DeliveryFolder, settings: Mapping[str, Any], cause: str
) -> Outcome:
    """Return the outcome of the delivery in ``folder`` after ``run`` with the configuration ``settings``."""
    waiting = _waiting(workspace, folder)
    return Outcome(
        delivery_id=folder.id,
        jobs=run.done,
        verdicts=tuple(verdicts_of(folder)),
        failed=alike(run.failed.values(), workspace),
        exit_code=run.exit_code,
        locked=run.locked,
        unreported=run.unreported,
        last_lines=run.last_lines,
        waiting=waiting,
        more=max(settings["cohort"]["min_batch"] - waiting, 0) if waiting else 0,
        superseded=len(specimens.superseded_in(workspace, folder.id)),
        unprocessed=alike(read_failures(folder).values(), workspace),
        cause=cause,
    )


def _waiting(workspace: Workspace, folder: DeliveryFolder) -> int:
    """Return the number of participants who wait for a batch, if some of the delivery are among them; else 0."""
    if not (workspace.cohort / WAITING).is_dir() or not folder.batch.is_file():
        return 0
    opened = open_store(workspace.cohort)
    waiting = {each.member.participant_id for each in read_waiting(opened.waiting)}
    own = json.loads(read_checked(folder.batch)).get("waiting", [])
    return count_waiting(opened) if waiting.intersection(own) else 0
