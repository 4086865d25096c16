"""The registry as tables: pseudonymous for the data manager, in its own terms for an institution."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select

from baekman import consent
from baekman.consent import ConsentState, Scope, today
from baekman.errors import InputRefused, Problem
from baekman.files.secret_file import write_secret
from baekman.registry import database as registry_store
from baekman.registry.database import participants, specimens
from baekman.registry.records import Registry, chunks
from baekman.registry.verdict_history import verdict_history

PARTICIPANT_COLUMNS = ("participant_id", "participant_type", "genome", "withdrawn_at", "specimens")
INSTITUTION_COLUMNS = ("specimen_id", "participant", "genome", "delivered", "verdict")


def participant_rows(registry: Registry, *, at: date | None = None) -> Iterator[dict[str, str]]:
    """One pseudonymous row of ``PARTICIPANT_COLUMNS`` per participant, by ID.

    ``genome`` is the consent state of sequencing at ``at`` (today by default); ``specimens`` counts them.
    """
    columns = (participants.c.participant_id, participants.c.withdrawn_at, participants.c.sealed)
    day = at or today()
    with registry_store.paging(registry.engine) as connection:
        for page in registry_store.pages(connection, *columns):
            ids = [row.participant_id for row in page]
            events = registry.events_by_participant(connection, ids)
            counts = _specimen_counts(connection, ids)
            for row in page:
                values = registry.ring.unseal(row.sealed, identity=f"participants {row.participant_id}")
                state = consent.evaluate(events.get(row.participant_id, []), scope=Scope.GENOME, at=day)
                yield {
                    "participant_id": row.participant_id,
                    "participant_type": values.get("participant_type", ""),
                    "genome": ConsentState.WITHDRAWN.value if row.withdrawn_at else state.value,
                    "withdrawn_at": row.withdrawn_at or "",
                    "specimens": str(counts.get(row.participant_id, 0)),
                }


def _specimen_counts(connection: Connection, participant_ids: Sequence[str]) -> dict[str, int]:
    owner = specimens.c.participant_id
    return {
        participant_id: count
        for some in chunks(participant_ids)
        for participant_id, count in connection.execute(
            select(owner, func.count()).where(owner.in_(some)).group_by(owner)
        )
    }


def institution_rows(registry: Registry, institution: str, *, at: date | None = None) -> list[dict[str, str]]:
    """What ``institution`` registered, in its own terms, one row of ``INSTITUTION_COLUMNS`` per specimen.

    No pseudonymous identifier is among them, so that the rows link nothing. ``delivered`` and ``verdict`` are
    those of the newest verdict.
    """
    wanted = unicodedata.normalize("NFC", institution)
    columns = (specimens.c.specimen_id, specimens.c.participant_id, specimens.c.sealed)
    listed = []
    with registry_store.paging(registry.engine) as connection:
        for page in registry_store.pages(connection, *columns):
            own = []
            for row in page:
                values = registry.ring.unseal(row.sealed, identity=f"specimens {row.specimen_id}")
                if values["institution"] == wanted:
                    own.append((row, values["specimen_id"]))
            owners = _subject_codes(registry, connection, [row.participant_id for row, _ in own])
            listed += [_institution_row(registry, row, label, owners[row.participant_id], at) for row, label in own]
    return sorted(listed, key=lambda row: (row["specimen_id"], row["participant"]))


def _subject_codes(registry: Registry, connection: Connection, participant_ids: Sequence[str]) -> dict[str, str]:
    found = {}
    for some in chunks(participant_ids):
        for row in connection.execute(select(participants).where(participants.c.participant_id.in_(some))):
            values = registry.ring.unseal(row.sealed, identity=f"participants {row.participant_id}")
            found[row.participant_id] = values["participant"]
    return found


def _institution_row(registry: Registry, row: Row[Any], label: str, code: str, at: date | None) -> dict[str, str]:
    history = verdict_history(registry, row.specimen_id)
    return {
        "specimen_id": label,
        "participant": code,
        "genome": registry.active_consent(row.participant_id, at=at).value,
        "delivered": history[-1][1] if history else "",
        "verdict": history[-1][2].verdict if history else "",
    }


def write_institution(registry: Registry, institution: str, *, folder: Path, output: Path | None = None) -> Path:
    """Write ``institution_rows`` to ``output`` (mode 0600), by default a file of its own in ``folder``.

    Its path.

    InputRefused when the institution has registered nothing.
    """
    rows = institution_rows(registry, institution)
    if not rows:
        raise InputRefused(
            Problem(
                file="registry",
                expected="an institution with registered specimens",
                found="none of this name",
                action="write the name as in the registration table",
            )
        )
    index = registry.ring.blind_index("institution", institution)
    file = output or folder / f"registrations-{index[:12]}.tsv"
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, INSTITUTION_COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_secret(file, table.getvalue().encode())
    return file
