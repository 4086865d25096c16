"""The status of a workspace as a table for people and as JSON; both are written delivery by delivery."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from baekman.report.wording import reporting_sentence
from baekman.status.delivery import DeliveryStatus
from baekman.status.participant import ParticipantStatus
from baekman.verdicts import DECISIONS
from baekman.workspace.waiting import Waiting

SCHEMA_VERSION = "1"
MOST_WAITING = 20  # lines of held specimens of a delivery in the table
_COLUMNS = "{:<14}  {:<9}  {:<8}  {:>11}  {:<16}  {:>7} {:>7} {:>7}"


def table(
    deliveries: Iterable[DeliveryStatus], *, participants: Iterable[ParticipantStatus], notes: Iterable[str]
) -> Iterator[str]:
    """Yield the lines of the table; times are local ones."""
    is_empty = True
    for status in deliveries:
        if is_empty:
            yield _COLUMNS.format("DELIVERY", "STATE", "STAGE", "JOBS", "ESTIMATED END", *_headings()).rstrip()
        is_empty = False
        counts = status.jobs
        jobs = f"{counts.done}/{counts.total}" if counts.total else str(counts.done or "-")
        numbers = [status.verdicts[decision] for decision in DECISIONS]
        end = local_time(status.estimated_end)
        yield _COLUMNS.format(status.delivery, status.state, status.stage, jobs, end, *numbers).rstrip()
        yield from _details(status)
    for participant in participants:
        yield f"{participant.participant}  {participant.specimen}  {participant.delivery}  {participant.stage}"
        for verdict in participant.verdicts:
            yield f"  {verdict['gate']:<6}  {verdict['verdict']:<6}  {', '.join(verdict['reasons'])}".rstrip()
    if is_empty:
        yield "no deliveries"
    yield from notes


def inbox_lines(inboxes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines on watched inboxes (``workspace.inbox_state``), with the folders that wait or are refused."""
    for inbox in inboxes:
        counts = ", ".join(f"{number} {str(state).replace('_', ' ')}" for state, number in inbox["counts"].items())
        is_watched = {True: "is watched", False: "is not watched now", None: "was watched"}[inbox["is_watched"]]
        yield f"inbox {inbox['inbox']} {is_watched}; last look {local_time(inbox['looked'])}: {counts or 'no folders'}"
        for folder in inbox["folders"][:MOST_WAITING]:
            yield f"  {folder['state']}: `find INBOX -maxdepth 1 -inum {folder['number']}`: {folder['message']}"
        if len(inbox["folders"]) > MOST_WAITING:
            yield f"  {len(inbox['folders']) - MOST_WAITING} more; --json lists all"


def document(
    deliveries: Iterable[DeliveryStatus],
    *,
    participants: Iterable[ParticipantStatus],
    inboxes: Iterable[dict[str, Any]],
    now: datetime,
) -> Iterator[str]:
    """Yield the parts of the JSON document (docs/operating.md, "Status")."""
    head = {"schema": SCHEMA_VERSION, "time": now.isoformat(timespec="seconds")}
    yield json.dumps(head)[:-1]
    yield from _array("deliveries", (status.to_json() for status in deliveries))
    yield from _array("participants", (participant.to_json() for participant in participants))
    yield from _array("inboxes", inboxes)
    yield "}\n"


def _array(key: str, values: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield f',\n"{key}": ['
    for number, value in enumerate(values):
        yield (",\n" if number else "\n") + json.dumps(value, ensure_ascii=False)
    yield "]"


def _headings() -> list[str]:
    return [decision.upper() for decision in DECISIONS]


def _details(status: DeliveryStatus) -> Iterator[str]:
    for rule, number in status.jobs.failed.items():
        yield f"  failed: {rule}, {number} {'job' if number == 1 else 'jobs'}"
    if status.state == "running" and status.jobs.cluster:
        yield f"  {status.jobs.cluster}"
    if sentence := reporting_sentence(status.reporting):
        yield f"  {sentence}"
    for waiting in status.waiting[:MOST_WAITING]:
        yield f"  waits: {_waiting(waiting)}"
    if len(status.waiting) > MOST_WAITING:
        yield f"  waits: {len(status.waiting) - MOST_WAITING} more; --json lists all"
    if status.next:
        yield f"  next: {status.next}"


def _waiting(waiting: Waiting) -> str:
    text = f"{waiting.specimen}  {waiting.gate:<6}  {', '.join(waiting.reasons)}, since {local_time(waiting.since)}"
    return f"{text}; decided: {waiting.decided}, for the next `baekman deliver`" if waiting.decided else text


def specimen_lines(held: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines on a specimen in a delivery (``hold.HeldSpecimen.to_json``)."""
    waits = f", waits since {local_time(held['since'])}" if held["since"] else ""
    yield f"{held['specimen']}  {held['participant'] or '-'}  delivery {held['delivery']}: {held['verdict']}{waits}"
    for verdict in held["verdicts"]:
        yield f"  {verdict['gate']:<6}  {verdict['verdict']}"
        for reason in verdict["reasons"]:
            yield f"    {reason['severity']:<6}  {_reason(reason)}"
        if made := verdict.get("decision"):
            yield f"    taken on: {decision_line(made)}"
    if made := held["decision"]:
        yield f"  decision: {decision_line(made)}"


def decision_line(made: Mapping[str, Any]) -> str:
    """Return the decision of a person as a line: the decision, who, when and why."""
    extra = [word for word in ("override", "counts") if made[word]] + [made["reads"]] * bool(made["reads"])
    words = f"{made['decision']}{f' ({chr(44).join(extra)})' if extra else ''}"
    person = made["actor"] if made["actor"].startswith(made["user"]) else f"{made['actor']} ({made['user']})"
    return f"{words} by {person}, {local_time(made['time'])}: {made['reason']}"


def _reason(reason: Mapping[str, Any]) -> str:
    text = f"{reason['code']}"
    if reason["observed"] is not None:
        text += f": {reason['metric'] or 'observed'} {reason['observed']}"
    if reason["threshold"] is not None:
        text += f", expected {reason['threshold']}"
    return text


def local_time(time: str) -> str:
    """Return a time of ISO 8601 in the zone of this machine, to the minute; "" for ""."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M") if time else ""
