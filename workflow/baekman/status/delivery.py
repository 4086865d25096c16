"""The state of one delivery: stage, jobs, verdicts, and the specimens that wait for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from baekman import pseudonyms
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.locks import is_held
from baekman.status.estimate import estimated_end
from baekman.verdicts import DECISIONS, merge, reporting_gates
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.run_state import RunCounts, RunState, is_alive, read_run_state
from baekman.workspace.runs.stages import stage_of_files, stage_of_rules
from baekman.workspace.waiting import Waiting, received_at, verdicts_of, waiting_in

State = Literal["receiving", "received", "running", "stopped", "failed", "damaged", "done"]

AGAIN = "run the same `baekman deliver` again"
NEXT: dict[State, str] = {
    "receiving": "",
    "received": "run `baekman deliver` with its folder (unless plain `snakemake` works on it)",
    "running": "",
    "stopped": AGAIN,
    "failed": f"mend the cause and {AGAIN}",
    "damaged": "`baekman verify` names the file, and what to do",
    "done": "",
}


@dataclass(frozen=True, kw_only=True)
class DeliveryStatus:
    """The state of a delivery; ``to_json`` has its keys (docs/operating.md, "Status").

    ``started``, ``updated``: of the newest run; "" without one. ``estimated_end``: of a run that is under way, or "".
    ``verdicts``: number of specimens by the worst decision of the gates. ``reporting``: the gates that only report.
    """

    delivery: str
    received: str
    state: State
    stage: str
    started: str = ""
    updated: str = ""
    estimated_end: str = ""
    jobs: RunCounts = field(default_factory=RunCounts)
    verdicts: dict[str, int] = field(default_factory=dict)
    waiting: tuple[Waiting, ...] = ()
    reporting: tuple[str, ...] = ()
    next: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object; an absent time is null."""
        values = asdict(self)
        for key in ("received", "started", "updated", "estimated_end"):
            values[key] = values[key] or None
        return values


def delivery_folders(workspace: Workspace, chosen: list[str]) -> list[DeliveryFolder]:
    """Return the folders of the ``chosen`` deliveries, or of all, in the order in which they were received.

    Raises:
        InputRefused: A chosen delivery is not there, or is no ID of a delivery.
    """
    problems = [
        Problem(
            file="--delivery",
            expected="the ID of a delivery of this workspace",
            found=pseudonyms.slip(name, "D") or "another",
            action="`baekman status` lists them; the receipt in the return report has the ID too",
        )
        for name in chosen
        if not pseudonyms.is_valid(name, "D") or not workspace.delivery(name).path.is_dir()
    ]
    if problems:
        raise InputRefused(problems)
    names = chosen or _names(workspace)
    return [workspace.delivery(name) for _, name in sorted((received_at(workspace.delivery(n)), n) for n in names)]


def status_of(workspace: Workspace, folder: DeliveryFolder, *, now: datetime) -> DeliveryStatus:
    """Return the state of the delivery in ``folder`` at ``now``."""
    run = read_run_state(folder)
    state, stage = _state(folder, run), stage_of_files(folder)
    received = received_at(folder)
    try:
        verdicts = list(verdicts_of(folder))
        waiting = tuple(waiting_in(folder, verdicts))
    except (DamagedFile, ValueError, KeyError):
        state, verdicts, waiting = "damaged", [], ()
    counts = Counter(merge(verdicts).values())
    end = estimated_end(workspace, run, now=now) if state == "running" and run else None
    if state == "running" and run:
        stage = stage_of_rules(run.counts.running) or stage_of_rules([run.counts.rule]) or stage
    return DeliveryStatus(
        delivery=folder.id,
        received=received,
        state=state,
        stage=stage,
        started=run.started if run else "",
        updated=run.updated if run else "",
        estimated_end=end.isoformat(timespec="seconds") if end else "",
        jobs=run.counts if run else RunCounts(done=_inspected(folder)) if state == "receiving" else RunCounts(),
        verdicts={decision: counts[decision] for decision in DECISIONS},
        waiting=waiting,
        reporting=tuple(reporting_gates(verdicts)),
        next=_next(workspace, folder, state, waiting=waiting),
    )


def _names(workspace: Workspace) -> list[str]:
    try:
        return [path.name for path in workspace.deliveries.iterdir() if pseudonyms.is_valid(path.name, "D")]
    except FileNotFoundError:
        return []


def _state(folder: DeliveryFolder, run: RunState | None) -> State:
    if is_alive(folder, run):
        return "running"
    if not folder.summary.is_file():
        return "receiving" if is_held(folder.intake_lock) else "stopped"
    if run and run.state == "failed":
        return "failed"
    if folder.run_manifest.is_file():
        return "done"
    return "stopped" if run else "received"


def _next(workspace: Workspace, folder: DeliveryFolder, state: State, *, waiting: Iterable[Waiting]) -> str:
    log = workspace.deliver_log(folder.id)
    if state == "done" and any(specimen.decided for specimen in waiting):
        return "run `baekman deliver` with its folder: it takes the decisions on"
    if state in ("failed", "stopped") and log.is_file():
        return f"{NEXT[state]}; messages: {workspace.relative(log)}"
    return NEXT[state]


def _inspected(folder: DeliveryFolder) -> int:
    """Return the number of specimens that an intake under way has inspected."""
    return sum(1 for _ in folder.inspected.glob("P*.json"))
