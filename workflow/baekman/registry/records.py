"""The registry: who was pre-registered, under which pseudonymous identifier, and what they consented to.

It is the only place that holds the link between an institution's specimen and a participant. Every value
from an institution is sealed (``key_ring``); records are found by blind index. The jobs of the
workflow get the pseudonymous manifest alone and never open it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from baekman import consent, pseudonyms
from baekman.consent import ALL_SCOPES, ConsentEvent, ConsentState, Decision, Scope, today
from baekman.errors import InputRefused, Problem
from baekman.key_ring import (
    Key,
    KeyRing,
    keys_from_environment,
    make_key_file,
    read_key_file,
)
from baekman.registry import array_staging
from baekman.registry import database as registry_store
from baekman.registry.database import consent_events, participants, specimens
from baekman.registry.lookalikes import skeleton
from baekman.workspace.paths import Top

REGISTRY_VARIABLE = "BAEKMAN_REGISTRY"
FOLDER = Top.REGISTRY
KEY_FILE_NAME = "registry.key"
# what a withdrawal keeps, so that a later delivery or registration of the same person is recognised and
# refused
KEPT_AFTER_WITHDRAWAL = ("institution", "participant")


@dataclass(frozen=True, kw_only=True)
class SpecimenRecord:
    """A registered specimen, without any value from its institution.

    ``registered_sex`` is ``female``, ``male`` or, after a withdrawal, ``unknown``; ``array_genotypes`` is
    the path of a single-sample VCF that names its sample by ``specimen_id``, or None.
    """

    specimen_id: str
    participant_id: str
    participant_type: str
    registered_sex: str
    array_genotypes: str | None


@dataclass(frozen=True)
class Location:
    """Where a registry is: its database, and the folder of its arrays and, unless told otherwise, its key."""

    database: str | Path
    folder: Path

    @property
    def key_file(self) -> Path:
        return self.folder / KEY_FILE_NAME


def locate(workspace: Path, registry: Path | str | None = None) -> Location:
    """Where the registry of ``workspace`` is.

    ``registry`` is a folder, an ``.sqlite`` file or a PostgreSQL URL.
    """
    chosen = registry or os.environ.get(REGISTRY_VARIABLE) or workspace / FOLDER
    if "://" in str(chosen):
        return Location(str(chosen), workspace / FOLDER)
    path = Path(chosen)
    if path.suffix == ".sqlite":
        return Location(path, path.parent)
    return Location(path / registry_store.DATABASE_NAME, path)


def create_registry(
    workspace: Path, *, registry: Path | str | None = None, key_file: Path | None = None
) -> tuple[Registry, bool]:
    """Make the registry and, where none is given, its key; (registry, whether it was made now).

    Done again it changes nothing. A key file that is named and absent is made.
    """
    location = locate(workspace, registry)
    engine = registry_store.connect(location.database)
    location.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if registry_store.exists(engine):
        return open_registry(workspace, registry=registry, key_file=key_file), False
    given = key_file or keys_from_environment() or location.key_file
    if isinstance(given, Path) and not given.exists():
        make_key_file(given, [Key.new()])
    ring = given if isinstance(given, KeyRing) else read_key_file(given)
    registry_store.create(engine, key_id=ring.current)
    return Registry(engine, ring, folder=location.folder), True


def open_registry(workspace: Path, *, registry: Path | str | None = None, key_file: Path | None = None) -> Registry:
    """The registry of ``workspace``; InputRefused when it or its key is absent, or the key is another's."""
    location = locate(workspace, registry)
    engine = registry_store.connect(location.database)
    if not registry_store.exists(engine):
        raise InputRefused(
            Problem(
                file="registry",
                expected="an initialised registry",
                found="none",
                action="run `baekman registry init` with the same --workspace and --registry",
            )
        )
    given = key_file or keys_from_environment() or location.key_file
    ring = given if isinstance(given, KeyRing) else read_key_file(given)
    ring.use(registry_store.key_id(engine))
    array_staging.settle_noted(engine, location.folder)
    return Registry(engine, ring, folder=location.folder)


class Registry:
    """An open registry. Every method is one transaction; several processes may use one registry."""

    def __init__(self, engine: Engine, ring: KeyRing, *, folder: Path) -> None:
        self.engine = engine
        self.ring = ring
        self.folder = folder

    # -- specimens and participants

    def specimen(self, institution: str, label: str) -> SpecimenRecord | None:
        """The specimen that ``institution`` registered under ``label``, exactly (after NFC)."""
        index = self.ring.blind_index("specimen", institution, label)
        return next(self._specimens(specimens.c.specimen_index == index), None)

    def lookalikes(self, institution: str, label: str) -> list[SpecimenRecord]:
        """Other specimens of ``institution`` whose labels read like ``label`` (O and 0, a Cyrillic A, …)."""
        exact = self.ring.blind_index("specimen", institution, label)
        index = self.ring.blind_index("lookalike", institution, skeleton(label))
        return list(self._specimens((specimens.c.lookalike_index == index) & (specimens.c.specimen_index != exact)))

    def specimens_of(self, participant_id: str) -> list[SpecimenRecord]:
        """A participant's specimens, sorted by ID."""
        return list(self._specimens(specimens.c.participant_id == participant_id))

    def _specimens(self, condition: Any) -> Iterator[SpecimenRecord]:
        query = (
            select(specimens.c.specimen_id, participants.c.participant_id, participants.c.sealed)
            .join_from(specimens, participants)
            .where(condition)
            .order_by(specimens.c.specimen_id)
        )
        with registry_store.reading(self.engine) as connection:
            rows = connection.execute(query).all()
        for specimen_id, participant_id, sealed in rows:
            values = self.ring.unseal(sealed, identity=f"participants {participant_id}")
            array = self.array_path(specimen_id)
            yield SpecimenRecord(
                specimen_id=specimen_id,
                participant_id=participant_id,
                participant_type=values.get("participant_type", "unknown"),
                registered_sex=values.get("registered_sex", "unknown"),
                array_genotypes=str(array) if array.is_file() else None,
            )

    def array_path(self, specimen_id: str) -> Path:
        """Where a specimen's array genotypes lie, if it has any."""
        return array_staging.array_path(self.folder, specimen_id)

    def identifiers_of(self, specimen: SpecimenRecord | str) -> list[str]:
        """The confidential strings of a specimen and its participant that must be in none of its files.

        Name, resident registration number (with and without hyphen), the institution's subject code, the
        specimen's label; after a withdrawal only the last two.
        """
        specimen_id = specimen if isinstance(specimen, str) else specimen.specimen_id
        query = (
            select(specimens.c.sealed, participants.c.participant_id, participants.c.sealed)
            .join_from(specimens, participants)
            .where(specimens.c.specimen_id == specimen_id)
        )
        with registry_store.reading(self.engine) as connection:
            sealed_specimen, participant_id, sealed_participant = connection.execute(query).one()
        label = self.ring.unseal(sealed_specimen, identity=f"specimens {specimen_id}")["specimen_id"]
        values = self.ring.unseal(sealed_participant, identity=f"participants {participant_id}")
        number = values.get("resident_registration_number", "")
        digits = "".join(character for character in number if character.isdigit())
        found = [values.get("name", ""), number, digits, values["participant"], label]
        if len(digits) == 13:
            found.append(f"{digits[:6]}-{digits[6:]}")
        return [value for value in dict.fromkeys(found) if value]

    def require_participant(self, participant_id: str) -> str:
        """``participant_id`` when it is registered; InputRefused otherwise."""
        pseudonyms.check(participant_id, "P")
        with registry_store.reading(self.engine) as connection:
            known = connection.scalar(
                select(participants.c.participant_id).where(participants.c.participant_id == participant_id)
            )
        if known is None:
            raise InputRefused(
                Problem(
                    file="registry",
                    place=participant_id,
                    expected="a registered participant",
                    found="none of this ID",
                    action="check the ID with `baekman registry show`",
                )
            )
        return participant_id

    # -- consent

    def consent_events(self, participant_id: str) -> list[ConsentEvent]:
        """A participant's consent events in the order of their recording."""
        with registry_store.reading(self.engine) as connection:
            return self.events_by_participant(connection, [participant_id]).get(participant_id, [])

    def events_by_participant(
        self, connection: Connection, participant_ids: Sequence[str]
    ) -> dict[str, list[ConsentEvent]]:
        """Participant ID -> consent events in the order of their recording; who has none is left out."""
        found: dict[str, list[ConsentEvent]] = {}
        columns = (consent_events.c.participant_id, consent_events.c.sealed)
        for some in chunks(participant_ids):
            query = select(*columns).where(columns[0].in_(some)).order_by(consent_events.c.sequence)
            for participant_id, sealed in connection.execute(query):
                values = self.ring.unseal(sealed, identity=f"consent {participant_id}")
                found.setdefault(participant_id, []).append(ConsentEvent.from_json(values))
        return found

    def consent_states(self, participant_id: str, *, at: date | None = None) -> dict[Scope, ConsentState]:
        """The state of every scope at the date ``at`` (today by default); all withdrawn once withdrawn."""
        if self.is_withdrawn(participant_id):
            return dict.fromkeys(ALL_SCOPES, ConsentState.WITHDRAWN)
        return consent.states(self.consent_events(participant_id), at=at or today())

    def active_consent(
        self, participant_id: str, scope: Scope | str = Scope.GENOME, at: date | None = None
    ) -> ConsentState:
        """The state of one scope at the date ``at`` (today by default)."""
        return self.consent_states(participant_id, at=at)[Scope(scope)]

    def add_consent(self, event: ConsentEvent) -> bool:
        """Append ``event``; False when the same was recorded before. InputRefused after a withdrawal."""
        self.require_participant(event.participant_id)
        with registry_store.writing(self.engine) as connection:
            withdrawn_at = connection.scalar(
                select(participants.c.withdrawn_at).where(participants.c.participant_id == event.participant_id)
            )
            if withdrawn_at is not None:
                raise InputRefused(
                    Problem(
                        file="registry",
                        place=event.participant_id,
                        expected="a participant who has not withdrawn",
                        found=f"a withdrawal of {withdrawn_at}",
                        action="register the person anew, under another subject code, if they join again",
                    )
                )
            known = self.events_by_participant(connection, [event.participant_id])
            if any(event.same_decision(other) for other in known.get(event.participant_id, [])):
                return False
            self.append_consent(connection, event)
        return True

    def append_consent(self, connection: Connection, *events: ConsentEvent) -> None:
        """Append ``events`` inside the caller's transaction."""
        recorded_at = now()
        rows = [
            {
                "participant_id": event.participant_id,
                "recorded_at": recorded_at,
                "sealed": self.ring.seal(event.to_json(), identity=f"consent {event.participant_id}"),
            }
            for event in events
        ]
        if rows:
            connection.execute(consent_events.insert(), rows)

    def consent_hash(self, participant_ids: Iterable[str] | None = None, *, at: date | None = None) -> str:
        """SHA-256 of the consent in force at ``at`` of ``participant_ids``, of everybody by default."""
        everybody = self.standing(participant_ids, at=at)
        return consent.state_hash((one, states, events) for one, _, states, events in everybody)

    def standing(
        self, participant_ids: Iterable[str] | None = None, *, at: date | None = None
    ) -> Iterator[tuple[str, bool, Mapping[Scope, ConsentState], list[ConsentEvent]]]:
        """Of each of ``participant_ids`` (everybody by default), by ID: whether withdrawn, states at ``at``, events."""
        day = at or today()
        with registry_store.paging(self.engine) as connection:
            for withdrawn in self._withdrawn(connection, participant_ids):
                recorded = self.events_by_participant(connection, list(withdrawn))
                for one, is_withdrawn in withdrawn.items():
                    events = recorded.get(one, [])
                    states = consent.states(events, at=day)
                    if is_withdrawn:
                        states = dict.fromkeys(ALL_SCOPES, ConsentState.WITHDRAWN)
                    yield one, is_withdrawn, states, events

    def _withdrawn(self, connection: Connection, participant_ids: Iterable[str] | None) -> Iterator[dict[str, bool]]:
        """ID -> whether withdrawn, of ``participant_ids`` (everybody when None), by ID in parts."""
        columns = (participants.c.participant_id, participants.c.withdrawn_at)
        if participant_ids is None:
            for page in registry_store.pages(connection, *columns):
                yield {row.participant_id: row.withdrawn_at is not None for row in page}
            return
        for some in chunks(sorted(set(participant_ids))):
            rows = connection.execute(select(*columns).where(columns[0].in_(some)))
            yield dict.fromkeys(some, False) | {row.participant_id: row.withdrawn_at is not None for row in rows}

    # -- withdrawal

    def is_withdrawn(self, participant_id: str) -> bool:
        """Whether the participant has withdrawn; this is final."""
        query = select(participants.c.withdrawn_at).where(participants.c.participant_id == participant_id)
        with registry_store.reading(self.engine) as connection:
            return connection.scalar(query) is not None

    def withdrawn(self) -> list[str]:
        """Every participant who has withdrawn, sorted."""
        query = select(participants.c.participant_id).where(participants.c.withdrawn_at.is_not(None))
        with registry_store.reading(self.engine) as connection:
            return sorted(connection.scalars(query))

    def withdraw(self, participant_id: str, *, at: date | None = None) -> bool:
        """Mark the withdrawal and erase what is not needed to recognise the person; False when done before.

        Kept, sealed: the institution, its subject code and specimen labels, the consent events. Erased:
        name, number, year of birth, sex, participant type and array genotypes.
        """
        self.require_participant(participant_id)
        day = at or today()
        with registry_store.writing(self.engine) as connection:
            array_staging.settle(connection, self.folder)  # that nothing comes to its place later
            row = connection.execute(
                select(participants.c.withdrawn_at, participants.c.sealed).where(
                    participants.c.participant_id == participant_id
                )
            ).one()
            if row.withdrawn_at is None:
                identity = f"participants {participant_id}"
                values = self.ring.unseal(row.sealed, identity=identity)
                kept = {name: values[name] for name in KEPT_AFTER_WITHDRAWAL}
                connection.execute(
                    update(participants)
                    .where(participants.c.participant_id == participant_id)
                    .values(withdrawn_at=day.isoformat(), sealed=self.ring.seal(kept, identity=identity))
                )
                self.append_consent(
                    connection,
                    ConsentEvent(
                        participant_id=participant_id,
                        decision=Decision.WITHDRAWN,
                        scopes=ALL_SCOPES,
                        valid_from=day,
                    ),
                )
        for specimen in self.specimens_of(participant_id):
            self.array_path(specimen.specimen_id).unlink(missing_ok=True)
        return row.withdrawn_at is None


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def chunks(values: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """``values`` in parts that fit into one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
