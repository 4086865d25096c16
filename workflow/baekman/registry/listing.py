"""Listings of the registry: pseudonymous for the data manager, with its own labels for an institution."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from baekman import consent
from baekman.consent import ConsentState, Scope, today
from baekman.errors import InputRefused, Problem
from baekman.files.secret_file import write_secret
from baekman.files.shown_text import spreadsheet_text
from baekman.registry import database
from baekman.registry.database import chunks, participants, specimens
from baekman.registry.records import Registry
from baekman.registry.verdict_history import verdict_history

PARTICIPANT_COLUMNS = ("participant_id", "participant_type", "genome", "withdrawn_at", "specimens")
INSTITUTION_COLUMNS = ("specimen_id", "participant", "genome", "delivered", "verdict")


def participant_rows(registry: Registry, *, at: date | None = None) -> Iterator[dict[str, str]]:
    """Yield one pseudonymous row of ``PARTICIPANT_COLUMNS`` per participant, by ID.

    ``genome`` is the consent state of sequencing at ``at`` (today by default); ``specimens`` is their
    number.
    """
    columns = (participants.c.participant_id, participants.c.withdrawn_at, participants.c.sealed)
    day = at or today()
    registry.guard.require_totals()
    with database.paging(registry.engine) as connection:
        for page in database.pages(connection, *columns):
            ids = [row.participant_id for row in page]
            registry.guard.require(ids)
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


class Registered(NamedTuple):
    """The type and sex of a participant, as registered; "" for what is not registered."""

    participant_id: str
    participant_type: str
    sex: str


def registered_pages(registry: Registry) -> Iterator[list[Registered]]:
    """Yield all participants of the registry, some thousand at a time, by ID."""
    registry.guard.require_totals()
    with database.paging(registry.engine) as connection:
        for page in database.pages(connection, participants.c.participant_id, participants.c.sealed):
            registry.guard.require([row.participant_id for row in page])
            yield [
                Registered(row.participant_id, values.get("participant_type", ""), values.get("registered_sex", ""))
                for row in page
                if (values := registry.ring.unseal(row.sealed, identity=f"participants {row.participant_id}"))
            ]


class Person(NamedTuple):
    """What a release may derive from the registration of a participant; "" and None for what is not registered."""

    sex: str
    birth_year: int | None
    institution: str


def persons(registry: Registry, participant_ids: Sequence[str]) -> dict[str, Person]:
    """Return participant ID -> person, for the registered ones of ``participant_ids``."""
    registry.guard.require(list(participant_ids))
    people = {}
    with database.paging(registry.engine) as connection:
        for some in chunks(participant_ids):
            for record in connection.execute(select(participants).where(participants.c.participant_id.in_(some))):
                values = registry.ring.unseal(record.sealed, identity=f"participants {record.participant_id}")
                year = values.get("birth_year")
                people[record.participant_id] = Person(
                    sex=values.get("registered_sex", ""),
                    birth_year=int(year) if year else None,
                    institution=values.get("institution", ""),
                )
    return people


def types_of(registry: Registry, participant_ids: Sequence[str]) -> dict[str, str]:
    """Return participant ID -> registered type, for the registered ones of ``participant_ids`` with a type."""
    registry.guard.require(list(participant_ids))
    types = {}
    with database.paging(registry.engine) as connection:
        for some in chunks(participant_ids):
            for record in connection.execute(select(participants).where(participants.c.participant_id.in_(some))):
                values = registry.ring.unseal(record.sealed, identity=f"participants {record.participant_id}")
                if kind := values.get("participant_type"):
                    types[record.participant_id] = str(kind)
    return types


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
    """Return the registrations of ``institution`` with its own labels: a row of ``INSTITUTION_COLUMNS`` per specimen.

    No pseudonym is among them, so the rows link nothing. ``genome`` is the consent state of sequencing at ``at``
    (today by default); ``delivered`` (time in UTC) and ``verdict`` are those of the newest verdict.
    """
    wanted = unicodedata.normalize("NFC", institution)
    columns = (specimens.c.specimen_id, specimens.c.participant_id, specimens.c.sealed)
    rows = []
    registry.guard.require_totals()
    with database.paging(registry.engine) as connection:
        for page in database.pages(connection, *columns):
            registry.guard.require([record.participant_id for record in page])
            own = []
            for record in page:
                values = registry.ring.unseal(record.sealed, identity=f"specimens {record.specimen_id}")
                if values["institution"] == wanted:
                    own.append((record, values["specimen_id"]))
            codes = _subject_codes(registry, connection, [record.participant_id for record, _ in own])
            rows += [
                _institution_row(registry, record, barcode, codes[record.participant_id], at) for record, barcode in own
            ]
    return sorted(rows, key=lambda row: (row["specimen_id"], row["participant"]))


def require_known(registry: Registry, institution: str, *, sheet: str) -> None:
    """Raise InputRefused when ``institution`` has registered nobody; ``sheet`` is the file that names it."""
    if is_known(registry, institution):
        return
    with registry.engine.connect() as connection:
        is_empty = connection.execute(select(participants.c.participant_id).limit(1)).first() is None
    found = "a registry without any participant" if is_empty else "one that has registered nobody"
    first = "import a registration table" if is_empty else "correct the name, or import its registration first"
    raise InputRefused(
        Problem(
            file=sheet,
            place="institution",
            expected="an institution that has registered participants, under the name of its registration table",
            found=found,
            action=f"{first}; then give the same delivery again",
        )
    )


def is_known(registry: Registry, institution: str) -> bool:
    """Return whether a participant of ``institution`` is registered; the search ends at the first.

    The registry has no index of institutions, so the search for an unknown one reads every participant.
    """
    wanted = unicodedata.normalize("NFC", institution)
    columns = (participants.c.participant_id, participants.c.sealed)
    with registry.engine.connect() as connection:
        for record in connection.execution_options(yield_per=1000).execute(select(*columns)):
            values = registry.ring.unseal(record.sealed, identity=f"participants {record.participant_id}")
            if values["institution"] == wanted:
                return True
    return False


def _subject_codes(registry: Registry, connection: Connection, participant_ids: Sequence[str]) -> dict[str, str]:
    codes = {}
    for some in chunks(participant_ids):
        for record in connection.execute(select(participants).where(participants.c.participant_id.in_(some))):
            values = registry.ring.unseal(record.sealed, identity=f"participants {record.participant_id}")
            codes[record.participant_id] = values["participant"]
    return codes


def _institution_row(
    registry: Registry, record: Row[Any], barcode: str, subject_code: str, at: date | None
) -> dict[str, str]:
    history = verdict_history(registry, record.specimen_id)
    return {
        "specimen_id": barcode,
        "participant": subject_code,
        "genome": registry.active_consent(record.participant_id, at=at).value,
        "delivered": history[-1][1] if history else "",
        "verdict": history[-1][2].verdict if history else "",
    }


def write_institution(
    registry: Registry,
    institution: str,
    *,
    folder: Path,
    output: Path | None = None,
    record: Callable[[str], object] = lambda digest: None,
) -> Path:
    """Write ``institution_rows`` as TSV (mode 0600) and return the path: ``output``, else a name in ``folder``.

    ``record`` is called with the SHA-256 (hex) of the content before the file is there.
    The name in ``folder`` does not show the institution. InputRefused when the institution has registered nothing.
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
    writer.writerows({column: spreadsheet_text(text) for column, text in row.items()} for row in rows)
    content = table.getvalue().encode()
    record(sha256(content).hexdigest())
    write_secret(file, content)
    return file
