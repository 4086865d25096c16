"""The participants without consent in force; jobs read the list, since they cannot open the registry.

``<workspace>/withdrawn/<ID>`` marks each withdrawn participant. ``<workspace>/denied.txt`` has one line (ID, first
day, last day or nothing) for each period without consent to sequencing, and a line with the scope as its fourth field
for each period without consent to a scope of records. Future periods are listed too, since consent
may end or begin while the registry stays untouched. The first day of a period that has begun is 0001-01-01: no clock
ends the denial by going back. ``<workspace>/denied.pending`` has such lines of a change that the
registry does not have yet. All hold pseudonymous IDs only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from baekman import audit, pseudonyms
from baekman.consent import PURPOSE_SCOPES, PURPOSES, RECORD_SCOPES, Scope, scopes_of, today
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.digests import read_sealed, sha256_of, write_sealed
from baekman.files.locks import exclusive
from baekman.workspace.currency import require_current
from baekman.workspace.paths import Top, Workspace

SEAL = "#sha256 "
SCOPES_LISTED = "scopes"  # key of the head of the list


def mark_withdrawn(
    workspace: Workspace, participant_id: str, *, specimens: Sequence[str] = (), day: str = ""
) -> dict[str, Any]:
    """Mark ``participant_id`` as withdrawn for all work in ``workspace``; an earlier mark stays, unless damaged.

    ``day`` is the day of the withdrawal, ISO 8601; by default today.

    Returns:
        The mark: ``withdrawn`` (ISO date) and ``specimens`` (sorted specimen IDs).
    """
    file = workspace.mark(pseudonyms.check(participant_id, "P"))
    with suppress(FileNotFoundError, DamagedFile):
        return read_mark(workspace, participant_id)
    write_sealed(file, {"withdrawn": day or today().isoformat(), "specimens": sorted(specimens)})
    audit.note_seen(workspace.root, withdrawn=len(withdrawn_participants(workspace)))
    return read_mark(workspace, participant_id)


def read_mark(workspace: Workspace, participant_id: str) -> dict[str, Any]:
    """Return the mark of ``participant_id`` (see ``mark_withdrawn``).

    Raises:
        FileNotFoundError: The participant is not marked.
        DamagedFile: The mark has other bytes than were written.
    """
    return read_sealed(workspace.mark(participant_id))


def withdrawn_participants(workspace: Workspace) -> frozenset[str]:
    """Return the IDs of the participants marked as withdrawn in ``workspace``.

    Raises:
        DamagedFile: A file there has another name than a participant ID.
    """
    folder = workspace.withdrawn
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    for name in names:
        if not pseudonyms.is_valid(name, "P"):  # the mark of somebody under another name
            raise DamagedFile(folder / name)
    return frozenset(names)


def denied_participants(workspace: Workspace, *, at: date | None = None) -> frozenset[str]:
    """Return the IDs of participants who have withdrawn or have no consent in force at ``at`` (default: today).

    Raises:
        InputRefused: The list was there and is gone; or, without ``at``, the clock is behind the newest audit event:
            what began is not forgotten. Or marks, lists or cohort are older than what the workspace has seen.
    """
    if at is None:
        audit.require_clock(workspace.root)
    had_list = audit.read_seen(workspace.root).consent > 0 or workspace.denied_sequence.is_file()
    if had_list and not workspace.denied.is_file():
        raise InputRefused(
            Problem(
                file=workspace.denied.name,
                expected="the list of participants without consent",
                found="none, and there was one",
                action="run `baekman restore check`, which writes it again",
            )
        )
    day = (at or today()).isoformat()
    denied = set(withdrawn_participants(workspace))
    require_current(workspace, marked=len(denied))
    # first the pending change: when it is finished, the list has it before the pending denials are removed
    for file in (workspace.pending_denials, workspace.denied):
        denied.update(_in_force(file, day, scope=Scope.GENOME))
    return frozenset(denied)


def _in_force(file: Path, day: str, *, scope: Scope) -> Iterator[str]:
    """Yield the participants of the lines of ``file`` on ``scope`` whose period has ``day``."""
    for participant_id, first, last, *others in _lines(file):
        if (others or [Scope.GENOME]) == [scope] and first <= day and (not last or day <= last):
            yield participant_id


@dataclass(frozen=True)
class Admission:
    """The participants whose data may be used for a purpose: ``granted`` (None: everybody) and not ``denied``."""

    denied: frozenset[str] = frozenset()
    granted: frozenset[str] | None = None

    def admits(self, participant_id: str) -> bool:
        """Return whether the data of ``participant_id`` may be used."""
        return participant_id not in self.denied and (self.granted is None or participant_id in self.granted)

    def require(self, participants: Iterable[str], *, file: str) -> None:
        """Raise InputRefused, with a line for each, when the data of some ``participants`` may not be used.

        ``file`` names the list of the participants in the message.
        """
        left_out = sorted({participant_id for participant_id in participants if not self.admits(participant_id)})
        if left_out:
            raise InputRefused(
                Problem(
                    file=file,
                    place=participant_id,
                    expected="a participant with consent to this use in force",
                    found="a withdrawal, or a consent that was refused, has ended or does not cover the purpose",
                    action="leave the participant out",
                )
                for participant_id in left_out
            )


def admission(workspace: Workspace, *, purpose: str = "", at: date | None = None) -> Admission:
    """Return whose data may be used for ``purpose`` (see ``consent.PURPOSES``) at ``at`` (default: today).

    Words of ``BAEKMAN_PURPOSE`` that are purposes count too.

    Raises:
        InputRefused: As ``denied_participants``; ``purpose`` is unknown; or no registry has written its grants here.
    """
    return Admission(denied_participants(workspace, at=at), _granted(workspace, purpose=purpose, at=at))


def _granted(workspace: Workspace, *, purpose: str, at: date | None) -> frozenset[str] | None:
    """Return the participants who allow ``purpose``; None when it needs no grant."""
    scopes = scopes_of(purpose) | scopes_of(",".join(_purposes_of_environment()))
    if not scopes:
        return None
    if not workspace.granted.is_file():
        raise InputRefused(
            Problem(
                file="--purpose",
                expected="a workspace with a registry that has the consent to this purpose",
                found="none",
                action="run `baekman registry show` in the workspace once, or leave --purpose out",
            )
        )
    day = (at or today()).isoformat()
    granted: set[str] | None = None
    refused: set[str] = set()
    for scope in scopes:
        by_scope = set(_in_force(workspace.granted, day, scope=scope))
        granted = by_scope if granted is None else granted & by_scope
        refused.update(_in_force(workspace.pending_denials, day, scope=scope))
    return frozenset((granted or set()) - refused)


@dataclass(frozen=True, kw_only=True)
class RecordAdmission:
    """The records that may be used for a purpose.

    ``withdrawn``: participants of whom nothing may be used. ``denied``: by scope of records, the participants without
    consent to it. ``granted``: the participants who allow the purpose (None: everybody).
    """

    withdrawn: frozenset[str] = frozenset()
    denied: Mapping[str, frozenset[str]] = field(default_factory=dict)
    granted: frozenset[str] | None = None

    def admits(self, participant_id: str, *, scope: str) -> bool:
        """Return whether records of ``scope`` of ``participant_id`` may be used."""
        refused = participant_id in self.withdrawn or participant_id in self.denied.get(scope, ())
        return not refused and (self.granted is None or participant_id in self.granted)


def record_admission(workspace: Workspace, *, purpose: str = "", at: date | None = None) -> RecordAdmission:
    """Return the records that may be used for ``purpose`` at ``at`` (default: today), by scope.

    Consent to sequencing does not count.

    Raises:
        InputRefused: As ``admission``; or no registry of this version has written its denials here.
    """
    withdrawn = withdrawn_participants(workspace)
    denied_participants(workspace, at=at)  # refuses lists and clocks that may not be trusted
    if not lists_records(workspace):
        raise InputRefused(
            Problem(
                file=Top.DENIED,
                expected="the list of participants without consent to scopes of records",
                found="none",
                action="run `baekman registry show` in the workspace once",
            )
        )
    day = (at or today()).isoformat()
    denied: dict[str, set[str]] = {scope: set() for scope in RECORD_SCOPES}
    # first the pending change, as in denied_participants
    for file in (workspace.pending_denials, workspace.denied):
        for participant_id, first, last, *scopes in _lines(file):
            if scopes and scopes[0] in denied and first <= day and (not last or day <= last):
                denied[scopes[0]].add(participant_id)
    return RecordAdmission(
        withdrawn=withdrawn,
        denied={str(scope): frozenset(people) for scope, people in denied.items()},
        granted=_granted(workspace, purpose=purpose, at=at),
    )


def lists_records(workspace: Workspace) -> bool:
    """Return whether the list of denials has those of records; one of an earlier version has not."""
    try:
        with workspace.denied.open(encoding="utf-8") as lines:
            head = json.loads(lines.readline()[1:])
    except (FileNotFoundError, ValueError):
        return False
    return set(RECORD_SCOPES) <= set(head.get(SCOPES_LISTED, ()))


def admission_of(workspace: Workspace | None, *, purpose: str = "") -> Admission:
    """Return ``admission`` of ``workspace``; of None, a bare cohort, that of everybody.

    Raises:
        InputRefused: As ``admission``; or a bare cohort is asked for a purpose that needs consent.
    """
    if workspace is not None:
        return admission(workspace, purpose=purpose)
    if scopes_of(purpose):
        raise InputRefused(
            Problem(
                file="--purpose",
                expected="a cohort or tables of a workspace, where the consent to this purpose can be asked",
                found="none",
                action="name the workspace (--workspace DIR), or leave --purpose out",
            )
        )
    return Admission()


def audit_purpose(purpose: str) -> str:
    """Return ``purpose`` as the audit log notes it: after the project in ``BAEKMAN_PURPOSE``; "" for the default."""
    scopes = sorted(scopes_of(purpose))
    project = os.environ.get(audit.PURPOSE_VARIABLE, "")
    return ",".join([*([project] if project else []), *scopes]) if scopes else ""


def _purposes_of_environment() -> list[str]:
    words = os.environ.get(audit.PURPOSE_VARIABLE, "").split(",")
    return [word for word in words if word in (*PURPOSES, *PURPOSE_SCOPES)]


def _lines(file: Path) -> Iterator[list[str]]:
    """Yield the fields of the lines of a list; raise DamagedFile where its last line is not its SHA-256.

    A pending change without a SHA-256 is of an earlier version; its denials hold.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return
    of_earlier = file.name == Top.PENDING_DENIALS and SEAL.encode() not in data
    if not is_sealed_list(data) and not of_earlier:
        raise DamagedFile(file)
    yield from (line.split("\t") for line in data.decode().splitlines() if not line.startswith("#"))


def seal_list(file: Path) -> None:
    """Add the SHA-256 of a list's text as its last line."""
    with file.open("ab") as lines:
        lines.write(f"{SEAL}{sha256_of(file)}\n".encode())


def is_sealed_list(data: bytes) -> bool:
    """Return whether the last line of a list is the SHA-256 of the text before it."""
    body, mark, digest = data.rpartition(SEAL.encode())
    return bool(mark) and digest == f"{hashlib.sha256(body).hexdigest()}\n".encode()


def held_denials(workspace: Workspace) -> AbstractContextManager[int]:
    """Return a lock under which no change of consent or withdrawal is acknowledged; its denials may come into force."""
    file = workspace.denied.with_name(f".{workspace.denied.name}.lock")
    return exclusive(file, waits_for="another change of the registry to be noted in the workspace")


def denied_hash(workspace: Workspace) -> str:
    """Return the SHA-256 (hex) of today's denied participants: the consent state that jobs used."""
    return hashlib.sha256("\n".join(sorted(denied_participants(workspace))).encode()).hexdigest()


def require_consent(workspace: Workspace, participants: Iterable[str], *, file: str) -> None:
    """Raise InputRefused, with a line for each, when some ``participants`` are denied today.

    ``file`` names the list of the participants in the message.
    """
    denied = sorted(denied_participants(workspace).intersection(participants))
    if denied:
        raise InputRefused(
            Problem(
                file=file,
                place=participant_id,
                expected="a participant with consent to sequencing in force",
                found="a withdrawal, or a consent that was refused or has ended",
                action=f"leave the participant out (of a cohort: `baekman cohort withdraw {participant_id}`)",
            )
            for participant_id in denied
        )
