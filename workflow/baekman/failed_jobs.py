"""Jobs that failed in a run of the workflow: those of one specimen, which stop nobody, and causes that all share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from baekman.errors import InputRefused
from baekman.intake.delivery import read_delivery
from baekman.privacy.personal_shapes import find_identifiers
from baekman.registry.records import Registry, open_registry
from baekman.verdicts import Gate
from baekman.workflow_run import LAST_LINES, FailedJob, WorkflowRun
from baekman.workspace import specimens
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.runs.causes import shared_cause
from baekman.workspace.runs.failures import Failure, read_failures, write_failures

MOST_NAMED = 5  # of the participants with one error, in a message
LEFT_OUT = "(a line with an identifier is left out)"

_CALLING = ("call_piece", "gather_calls")
_QUOTED_PATH = re.compile(r"'/[^']*'|\"/[^\"]*\"")
_PATH = re.compile(r"(?<![\w.…/-])/(?!(?:usr|bin|lib|opt|proc|dev/(?:null|std\w+|fd))(?:/|\b))[^\s:'\",;()<>|]+")
_VARYING = re.compile(r"[DPS][0-9A-Z]{13}|0x[0-9a-f]+|\d+")


@dataclass(frozen=True, kw_only=True)
class FailedRule:
    """Jobs of one rule that failed with the same error: the log of the first (a path in the workspace), its last lines.

    ``participants``: those of the jobs, without jobs that many specimens share.
    """

    rule: str
    log: str
    lines: tuple[str, ...]
    count: int = 1
    participants: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """The meaning of a run's failed jobs.

    Attributes:
        failures: Jobs that failed for one specimen.
        cause: A cause that all specimens share, with what to do; "" when none is known.
        stops_all: Whether nobody goes on: an interruption, a shared cause, or a shared job that failed.
        leaves_nobody: Whether each specimen has a failure.
    """

    failures: tuple[Failure, ...]
    cause: str
    stops_all: bool
    leaves_nobody: bool

    @property
    def holds(self) -> bool:
        """Return whether specimens are held for their failures, and others go on without them."""
        return bool(self.failures) and not self.stops_all and not self.leaves_nobody


def hold_failed(
    run: WorkflowRun, *, workspace: Workspace, folder: DeliveryFolder, delivery: Path | None = None
) -> Assessment:
    """Return what the failed jobs of ``run`` after intake mean, as ``assess`` does, and note those of held specimens.

    The next run goes on without these specimens, whether ``baekman deliver`` or plain ``snakemake`` starts it.
    """
    assessment = assess(run, workspace=workspace, folder=folder, delivery=delivery)
    if assessment.holds:
        write_failures(folder, assessment.failures)
    return assessment


def assess(
    run: WorkflowRun,
    *,
    workspace: Workspace,
    folder: DeliveryFolder,
    gate: Gate | None = None,
    participants: Iterable[str] | None = None,
    delivery: Path | None = None,
) -> Assessment:
    """Return what the failed jobs of ``run`` on the delivery in ``folder`` mean for its specimens.

    An interruption is no failure of a specimen: neither is a lost run, nor a disk that is full for everybody.

    Args:
        run: The run, which has ended.
        workspace: The workspace.
        folder: The folder of the delivery in it.
        gate: The gate of all failures; by default QC or call, by the rule.
        participants: The participants with jobs; by default those of ``specimens.tsv``.
        delivery: The delivered folder, whose names are kept out of the lines of logs.
    """
    has_own = participants is None and any(job.participant for job in run.failed.values())
    entries = _entries(workspace, folder) if has_own else {}
    known = set(entries if participants is None else participants)
    jobs = [job for job in run.failed.values() if job.participant in known]
    is_shared = any(not job.participant for job in run.failed.values())
    lines = {job: _last_lines(workspace, job) for job in jobs}
    logs = [*lines.values(), *(_last_lines(workspace, job) for job in run.failed.values())]
    cause = shared_cause("\n".join(line for log in logs for line in log), folder=workspace.root)
    scrub = _Scrubber.of(workspace, delivery=delivery, participants={job.participant for job in jobs}) if jobs else None
    failures = {
        job.participant: Failure(
            participant_id=job.participant,
            gate=gate or _gate_of(job.rule, entries[job.participant]),
            rule=job.rule,
            log=job.log,
            lines=scrub.lines(lines[job]) if scrub else (),
        )
        for job in jobs
    }
    others = known - set(failures) - set(read_failures(folder))
    stops = not run.has_ended or run.locked or is_shared or bool(cause)
    return Assessment(failures=tuple(failures.values()), cause=cause, stops_all=stops, leaves_nobody=not others)


def advice(assessment: Assessment, workspace: Workspace) -> Iterator[str]:
    """Yield what to do after a run of plain ``snakemake`` with failed jobs; the run has shown their logs."""
    if assessment.holds:
        for group in alike(assessment.failures, workspace):
            yield f"not processed: {named(group.participants)}: {group.rule} failed ({group.log})"
        yield "held (not_processed): the same command goes on with the others, and once more tries the held ones again"
    elif assessment.cause:
        yield f"{assessment.cause}; no specimen is held for it: run the same command again"


def named(participants: Sequence[str]) -> str:
    """Return the first of ``participants``, and the number of the others."""
    more = len(participants) - MOST_NAMED
    return ", ".join(participants[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def alike(jobs: Iterable[Failure | FailedJob], workspace: Workspace) -> tuple[FailedRule, ...]:
    """Return ``jobs`` in groups of the same rule and error, the largest first."""
    groups: dict[tuple[str, str], list[tuple[Failure | FailedJob, tuple[str, ...]]]] = {}
    for job in jobs:
        lines = job.lines if isinstance(job, Failure) else _last_lines(workspace, job)
        error = _VARYING.sub("#", next((line for line in reversed(lines) if line.strip()), ""))
        groups.setdefault((job.rule, error), []).append((job, lines))
    rules = []
    for (rule, _), members in groups.items():
        ids = [job.participant_id if isinstance(job, Failure) else job.participant for job, _ in members]
        first, lines = members[0]
        people = tuple(dict.fromkeys(filter(None, ids)))
        rules.append(FailedRule(rule=rule, log=first.log, lines=lines, count=len(members), participants=people))
    return tuple(sorted(rules, key=lambda group: -group.count))


def _entries(workspace: Workspace, folder: DeliveryFolder) -> dict[str, str]:
    """Return the participants whose jobs the workflow of the delivery plans, with the kind of their data."""
    rows = specimens.read(folder.specimens) if folder.specimens.is_file() else []
    superseded = specimens.superseded(workspace, folder.id, {row.participant_id for row in rows})
    return {row.participant_id: row.entry for row in rows if row.participant_id not in superseded}


def _gate_of(rule: str, entry: str) -> Gate:
    """Return the gate of a job; a delivered gVCF is gathered before QC."""
    return "call" if rule in _CALLING and entry != "gvcf" else "qc"


def _last_lines(workspace: Workspace, job: FailedJob) -> tuple[str, ...]:
    log = workspace.root / job.log
    lines = log.read_text(errors="replace").splitlines() if job.log and log.is_file() else []
    return tuple(lines[-LAST_LINES:])


@dataclass(frozen=True)
class _Scrubber:
    """Keeps identifying values out of the lines of logs: registered strings, names of a delivery, and other paths."""

    root: str
    confidential: tuple[str, ...]

    @classmethod
    def of(cls, workspace: Workspace, *, delivery: Path | None, participants: Iterable[str]) -> _Scrubber:
        """Return the scrubber for the logs of ``participants``."""
        confidential: set[str] = set()
        try:
            registry = open_registry(workspace.root)
            for participant_id in participants:
                confidential |= _identifiers(registry, participant_id)
        except InputRefused:  # its key is not here: shapes and paths are left
            pass
        if delivery is not None:
            confidential |= {str(delivery), str(delivery.resolve()), delivery.name}
            try:
                sheet = read_delivery(delivery)
            except (InputRefused, OSError):
                pass
            else:
                names = {name for row in sheet.rows for name in (row.barcode, row.file, Path(row.file).name)}
                confidential |= {sheet.institution, sheet.name, *names}
        return cls(str(workspace.root.resolve()), tuple(sorted(confidential)))

    def lines(self, lines: Iterable[str]) -> tuple[str, ...]:
        """Return ``lines`` without identifying values."""
        return tuple(map(self._line, lines))

    def _line(self, line: str) -> str:
        shown = line.replace(f"{self.root}/", "").replace(self.root, ".")
        if find_identifiers(shown.encode("utf-8", "surrogateescape"), self.confidential):
            return LEFT_OUT
        return _PATH.sub("…", _QUOTED_PATH.sub("'…'", shown))


def _identifiers(registry: Registry, participant_id: str) -> set[str]:
    return {text for record in registry.specimens_of(participant_id) for text in registry.identifiers_of(record)}
