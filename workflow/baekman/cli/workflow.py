"""Commands that run the whole workflow: for one delivery, or for every delivery that arrives."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baekman.cli.options import (
    CORES,
    HERE,
    ConfigOption,
    InsecureOption,
    ProfileOption,
    WorkspaceOption,
    inbox_folder,
    one_delivery,
)
from baekman.cli.shared.ended_consent import daily_revocation, open_and_revoke_ended
from baekman.cli.shared.notes import note
from baekman.engine.progress import LINE_SECONDS, is_quiet, minute, progress_bar
from baekman.errors import EXIT_DONE, EXIT_FAILED, InputRefused
from baekman.files.shown_text import printable
from baekman.tools.environment import forget_places

if TYPE_CHECKING:
    from baekman.deliver import Outcome
    from baekman.verdicts import Verdict
    from baekman.workspace.paths import Workspace

MOST_ERRORS = 10  # that are shown

app = typer.Typer(help="Run the workflow.", no_args_is_help=True)

InboxArgument = Annotated[
    Path,
    typer.Argument(
        metavar="INBOX", help="The folder in which deliveries arrive.", callback=inbox_folder, readable=False
    ),
]
CoresOption = Annotated[int | None, typer.Option("--cores", min=1, help="Processor cores; default: all.")]


def _check_scheduler(*, insecure: bool) -> None:
    """Refuse a BAEKMAN_SCHEDULER without TLS here: the jobs that use it would refuse it only after hours.

    The jobs read ``insecure`` in their environment.
    """
    from baekman.engine.scheduler_address import scheduler_address

    if scheduler := os.environ.get("BAEKMAN_SCHEDULER"):
        scheduler_address(scheduler, insecure=insecure)
    if insecure:
        os.environ["BAEKMAN_INSECURE"] = "1"


def _note_cores(cores: int | None, profile: str | None) -> None:
    """Note that --cores asks for more cores than this machine has; on a cluster the number has another meaning."""
    if cores is not None and not profile and cores > CORES:
        note(f"note: --cores {cores}, and this machine has {CORES}: jobs share them; without --cores all are used")


def _check_cluster(profile: str | None) -> None:
    """Refuse a profile for Slurm here where no job can be submitted: Snakemake would fail only after intake."""
    if profile is not None:
        from baekman.deliver import profile_folder
        from baekman.engine import slurm

        slurm.require(slurm.executor_of(profile_folder(profile)))


def _cluster_answers(profile: str | None) -> Callable[[], bool]:
    """Return a function that says whether jobs can be submitted now, and reports once when they cannot.

    Raises InputRefused when they cannot from the beginning.
    """
    _check_cluster(profile)
    silence = ""

    def answers() -> bool:
        nonlocal silence
        before, silence = silence, ""
        try:
            _check_cluster(profile)
        except InputRefused as refusal:  # of this moment: the delivery is as good as before
            silence = str(refusal)
            if silence != before:
                _print_message(f"deliveries wait: {refusal.problems[0]}")
        return not silence

    return answers


@app.command()
def deliver(
    delivery: Annotated[
        Path,
        typer.Argument(metavar="DELIVERY", help="The delivery's folder.", callback=one_delivery, readable=False),
    ],
    workspace: WorkspaceOption = HERE,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    cores: CoresOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Take one delivery from intake to tables; the same command again takes up where it stopped.

    Example: baekman deliver inbox/2026-11 --workspace /data/cohort --profile slurm
    """
    forget_places(os.environ, delivery)
    _check_scheduler(insecure=insecure)
    _check_cluster(profile)
    _note_cores(cores, profile)
    open_and_revoke_ended(workspace)
    try:
        outcome = _deliver(delivery, workspace=workspace, config=config, profile=profile, cores=cores)
    except InputRefused as refusal:
        _notify_refusal(refusal, delivery, workspace=workspace, config=config)
        raise
    raise typer.Exit(EXIT_FAILED if outcome.exit_code else EXIT_DONE)


def _existing(folder: Path) -> Workspace:
    """Return the workspace in ``folder``; refuse a mistyped one, which the state of an inbox would make."""
    from baekman.workspace.identity import no_workspace
    from baekman.workspace.paths import Workspace

    if not folder.is_dir():
        raise no_workspace(folder)
    return Workspace(folder)


@app.command()
def watch(
    inbox: InboxArgument,
    workspace: WorkspaceOption = HERE,
    config: ConfigOption = None,
    profile: ProfileOption = None,
    cores: CoresOption = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    quiet: Annotated[
        float,
        typer.Option("--quiet-seconds", min=0, help="Deliver a folder in which nothing changed for so many seconds."),
    ] = 30.0,
    insecure: InsecureOption = False,
) -> None:
    """Deliver each complete delivery in INBOX once: every file is there in full size, and nothing changes any more.

    Once a day it revokes the packages of releases with a member of ended consent.

    Example: baekman watch /data/inbox --workspace /data/cohort --profile slurm
    """
    from baekman.watch import Calls, Wait, place_of
    from baekman.watch import watch as watch_inbox

    watched = _existing(workspace)
    forget_places(os.environ, inbox)
    _check_scheduler(insecure=insecure)
    cluster_answers = _cluster_answers(profile)
    _note_cores(cores, profile)
    failures = 0

    def deliver_folder(folder: Path) -> bool:
        nonlocal failures
        if not cluster_answers():
            return False
        outcome = _deliver(folder, workspace=workspace, config=config, profile=profile, cores=cores)
        failures += bool(outcome.exit_code)
        return not outcome.locked

    def report_refusal(refusal: InputRefused, folder: Path) -> None:
        nonlocal failures
        failures += 1
        print(f"a delivery is refused, {place_of(folder)}:", file=sys.stderr)
        for problem in refusal.problems:
            print(printable(f"refused: {problem}"), file=sys.stderr, flush=True)
        _notify_refusal(refusal, folder, workspace=workspace, config=config)

    def report_wait(wait: Wait, place: str) -> None:
        note(f"a delivery waits, {place}: {wait.message}")

    watch_inbox(
        inbox,
        workspace=watched,
        calls=Calls(
            deliver=deliver_folder, refuse=report_refusal, wait=report_wait, looked=_looked(workspace, once=once)
        ),
        once=once,
        quiet_seconds=quiet,
    )
    raise typer.Exit(EXIT_FAILED if failures else EXIT_DONE)


def _notify_refusal(refusal: InputRefused, folder: Path, *, workspace: Path, config: Path | None) -> None:
    """Start the command of ``notify`` for a refused delivery; a refused configuration has none."""
    from baekman.config.loading import load_config
    from baekman.notification import Notifier
    from baekman.workspace.paths import Workspace

    try:
        settings = load_config(workspace, file=config)
    except InputRefused:
        return
    Notifier(settings, workspace=Workspace(workspace)).refused(refusal, folder=folder)


def _looked(workspace: Path, *, once: bool) -> Callable[[Mapping[str, int]], None]:
    """Return the function for the end of each look: it prints the look, and does what is due once a day."""
    show, revoke = _print_look if once else _print_looks(), daily_revocation(workspace)

    def looked(counts: Mapping[str, int]) -> None:
        show(counts)
        revoke()

    return looked


def _print_look(counts: Mapping[str, int]) -> None:
    """Print the number of folders of an inbox by state on stderr."""
    words = {
        "delivered": "delivered",
        "finished": "finished before",
        "busy": "in another run",
        "waits": "waiting",
        "refused": "refused",
        "no_delivery": "no delivery",
    }
    parts = [f"{counts[state]} {word}" for state, word in words.items() if counts.get(state)]
    total = sum(counts.values())
    folders = "1 folder" if total == 1 else f"{total} folders"
    note(f"{minute()}  inbox: {', '.join([folders, *parts])}")


def _print_looks() -> Callable[[Mapping[str, int]], None]:
    """Return a function that prints a look a minute, where stderr is no terminal."""
    printed = 0.0

    def print_look(counts: Mapping[str, int]) -> None:
        nonlocal printed
        if not sys.stderr.isatty() and time.monotonic() - printed >= LINE_SECONDS:
            _print_look(counts)
            printed = time.monotonic()

    return print_look


def _deliver(
    delivery: Path, *, workspace: Path, config: Path | None, profile: str | None, cores: int | None
) -> Outcome:
    """Deliver once; print the summary on stderr and the delivery's ID on stdout."""
    from baekman.deliver import deliver as deliver_folder
    from baekman.workspace.paths import Workspace

    with progress_bar(line_seconds=LINE_SECONDS) as progress:
        outcome = deliver_folder(
            delivery,
            workspace=Workspace(workspace),
            config=config,
            profile=profile,
            cores=cores,
            progress=progress,
            say=_print_message,
        )
    if not is_quiet() or outcome.exit_code or outcome.unprocessed:
        print("\n".join(map(printable, _summary(outcome, Workspace(workspace)))), file=sys.stderr)
    typer.echo(outcome.delivery_id)
    return outcome


def _print_message(line: str) -> None:
    """Print a message of the run on stderr, above the progress bar."""
    note(f"{minute()}  {line}")


def _summary(outcome: Outcome, workspace: Workspace) -> Iterator[str]:
    """Yield the lines of the summary, which hold pseudonyms only."""
    from baekman.report.wording import reporting_sentence
    from baekman.verdicts import reporting_gates

    decisions = list(outcome.decisions.values())
    words = {"accept": "accepted", "hold": "held", "reject": "rejected"}
    counts = ", ".join(f"{decisions.count(decision)} {word}" for decision, word in words.items())  # type: ignore[arg-type]
    yield f"delivery {outcome.delivery_id}: {counts}"
    if reporting := reporting_sentence(reporting_gates(outcome.verdicts)):
        yield reporting
    for verdict in _in_manifest_order(outcome.verdicts):
        if verdict.verdict != "accept":
            codes = ", ".join(reason.code for reason in verdict.reasons if reason.severity != "note")
            yield f"  {verdict.specimen_id}  {verdict.verdict:<6}  {verdict.gate:<6}  {codes}"
        if made := verdict.decision:
            decided = f"decided by {made.actor} on {made.time[:10]}{f': {made.reads}' if made.reads else ''}"
            yield f"  {verdict.specimen_id}  {made.decision:<6}  {verdict.gate:<6}  {decided}"
    yield from _failures(outcome)
    if outcome.superseded:
        yield f"{_specimens(outcome.superseded)} came again in a later delivery, which counts: nothing is done here"
    if outcome.unreported:
        yield outcome.unreported
    if outcome.locked:
        yield "not finished: another run works on the same files; run the same command again when it has ended"
    elif outcome.exit_code:
        if not outcome.failed:
            yield from (f"  | {line}" for line in outcome.last_lines)
        log = workspace.deliver_log(outcome.delivery_id)
        yield f"not finished: mend the cause and run the same command again; all messages: {log}"
    else:
        yield from _places(outcome, workspace)


def _in_manifest_order(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return ``verdicts`` by gate, those of each gate in the order of intake, which is that of the manifest."""
    from baekman.verdicts import GATES

    received = {verdict.specimen_id: place for place, verdict in enumerate(verdicts) if verdict.gate == GATES[0]}
    return sorted(
        verdicts, key=lambda verdict: (GATES.index(verdict.gate), received.get(verdict.specimen_id, len(received)))
    )


def _failures(outcome: Outcome) -> Iterator[str]:
    """Yield the lines on failed jobs: one error once, however many specimens have it."""
    from baekman.failed_jobs import named

    for jobs in outcome.unprocessed[:MOST_ERRORS]:
        yield f"not processed: {named(jobs.participants)}: {jobs.rule} failed ({jobs.log})"
        yield from (f"  | {line}" for line in jobs.lines)
    for jobs in outcome.failed[:MOST_ERRORS]:
        alike = f", {jobs.count} times with the same error; the first" if jobs.count > 1 else ""
        yield f"failed: {jobs.rule}{alike} ({jobs.log})"
        yield from (f"  | {line}" for line in jobs.lines)
    for name, groups in (("not processed", outcome.unprocessed), ("failed", outcome.failed)):
        if (more := len(groups) - MOST_ERRORS) > 0:
            yield f"{name}: {more} other errors"
    if outcome.cause:
        yield f"{outcome.cause}; no specimen is held for it"


def _specimens(number: int) -> str:
    return "1 specimen" if number == 1 else f"{number} specimens"


def _places(outcome: Outcome, workspace: Workspace) -> Iterator[str]:
    """Yield the lines that say where the results of a finished delivery lie."""
    from baekman.cohort.add import waiting_sentence
    from baekman.report.run_manifest import not_applied

    if outcome.unprocessed:
        number = _specimens(sum(len(jobs.participants) for jobs in outcome.unprocessed))
        yield f"{number} not processed: mend the cause and run the same command again, which tries no other specimen"
    elif not outcome.jobs:
        yield "nothing to do: everything is there"
    if outcome.waiting:
        yield waiting_sentence(outcome.waiting, more=outcome.more)
    for key, value in not_applied(workspace, outcome.delivery_id).items():
        yield f"not applied: {key} of the configuration, {json.dumps(value)}; config/README.md says when it is"
    yield f"report  {workspace.delivery(outcome.delivery_id).report}"
    for name, folder in (("tables", workspace.tables), ("cohort", workspace.cohort)):
        if folder.is_dir():  # not before somebody is accepted
            yield f"{name}  {folder}"
    yield f"for the institution  {workspace.returned}"
