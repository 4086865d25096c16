"""The registry: pre-registered specimens and participants, their pseudonyms and their consent.

It is the only place that holds the link between an institution's specimen and a participant. Every value from an
institution is sealed (``key_ring``), and records are found by blind index. The jobs of the workflow get the
pseudonymous manifest alone and never open the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, select, update

from baekman import audit, consent, pseudonyms
from baekman.consent import ALL_SCOPES, ConsentEvent, ConsentState, Decision, Scope, today
from baekman.errors import InputRefused, Problem
from baekman.key_ring import Key, KeyRing, keys_from_environment, make_key_file, read_key_file
from baekman.registry import database
from baekman.registry.array_genotypes import kept, staging
from baekman.registry.database import chunks, consent_events, participants, specimens
from baekman.registry.lookalikes import skeleton
from baekman.registry.seal.change import SealedChange, changing, require_head
from baekman.registry.seal.guard import Guard, seal_everything
from baekman.registry.seal.head import Head, write_head
from baekman.registry.seal.upgrade import CONTEXT, Unsealed, upgrade
from baekman.registry.specimen import SpecimenRecord, confidential_strings
from baekman.workspace.identity import is_workspace, no_workspace

# a withdrawal keeps these, so that a later delivery or registration of the same person is recognised and refused
KEPT_AFTER_WITHDRAWAL = ("institution", "participant")


class Standing(NamedTuple):
    """The consent of a participant at a date: states by scope, and the events in the order of their recording."""

    participant_id: str
    is_withdrawn: bool
    states: Mapping[Scope, ConsentState]
    events: list[ConsentEvent]


def create_registry(
    workspace: Path, *, registry: Path | str | None = None, key_file: Path | None = None
) -> tuple[Registry, bool]:
    """Make the registry of ``workspace`` and, if none is given, its key; return it, and whether it is new.

    A registry that is there already stays as it is. A key file that is named and absent is made.
    """
    location = database.locate(workspace, registry=registry)
    engine = database.connect(location.database)
    location.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if database.exists(engine):
        return open_registry(workspace, registry=registry, key_file=key_file), False
    audit.record(workspace, action="registry.init")
    source = key_file or keys_from_environment() or location.key_file
    if isinstance(source, Path) and not source.exists():
        make_key_file(source, [Key.new()])
    ring = source if isinstance(source, KeyRing) else read_key_file(source)
    ring = ring.within(CONTEXT)
    with database.creating(engine, key_id=ring.current) as connection:
        seal_everything(connection, ring=ring, head=Head())
    return Registry(engine, ring, folder=location.folder), True


def open_registry(
    workspace: Path,
    *,
    registry: Path | str | None = None,
    key_file: Path | None = None,
    unsealed: Unsealed = Unsealed.REFUSE,
) -> Registry:
    """Return the registry of ``workspace``.

    InputRefused when it or its key is absent, it has another key, or it has no seals and ``unsealed`` refuses that.
    """
    location = database.locate(workspace, registry=registry)
    engine = database.connect(location.database)
    if not database.exists(engine):
        if registry is None and not is_workspace(workspace):
            raise no_workspace(workspace)
        raise InputRefused(
            Problem(
                file="registry",
                expected="an initialised registry",
                found="none",
                action="run `baekman registry init` with the same --workspace and --registry",
            )
        )
    source = key_file or keys_from_environment() or location.key_file
    ring = source if isinstance(source, KeyRing) else read_key_file(source)
    version, key_id = database.version_and_key(engine)
    ring.use(key_id)
    was_unsealed = version != database.SCHEMA_VERSION and upgrade(
        engine, ring=ring, workspace=workspace, unsealed=unsealed
    )
    staging.settle_noted(engine, folder=location.folder)
    opened = Registry(engine, ring.within(CONTEXT), folder=location.folder)
    opened.was_unsealed = was_unsealed
    opened.guard.require_opened()
    return opened


class Registry:
    """An open registry. Every method is one transaction; several processes may use one registry.

    ``was_unsealed``: it had no seals, of an earlier version, and this command sealed it.
    """

    def __init__(self, engine: Engine, ring: KeyRing, *, folder: Path) -> None:
        self.engine = engine
        self.ring = ring
        self.folder = folder
        self.guard = Guard(engine, ring)
        self.was_unsealed = False

    @contextmanager
    def changing(self) -> Iterator[SealedChange]:
        """Yield a transaction that changes rows, with their seals and the registry's head."""
        with changing(self.engine, ring=self.ring) as change:
            yield change
        if change.is_changed:
            self.guard.own_change = change.head.sequence

    def note(self, name: str, value: Any) -> None:
        """Keep ``value``, of JSON types, under ``name`` in the sealed head; this counts as no change."""
        with database.writing(self.engine) as connection:
            head = require_head(connection, ring=self.ring)
            if head.notes.get(name) != value:
                head.notes[name] = value
                write_head(connection, head, ring=self.ring)

    def noted(self, name: str) -> Any:
        """Return the value that ``note`` kept under ``name``; None without one."""
        return self.guard.head().notes.get(name)

    # -- specimens and participants

    def specimen(self, institution: str, barcode: str) -> SpecimenRecord | None:
        """Return the specimen that ``institution`` registered under exactly ``barcode`` (after NFC), if any."""
        index = self.ring.blind_index("specimen", institution, barcode)
        return next(self._specimens(specimens.c.specimen_index == index), None)

    def lookalikes(self, institution: str, barcode: str) -> list[SpecimenRecord]:
        """Return other specimens of ``institution`` with barcodes that look like this one (O and 0, a Cyrillic A)."""
        exact = self.ring.blind_index("specimen", institution, barcode)
        index = self.ring.blind_index("lookalike", institution, skeleton(barcode))
        return list(self._specimens((specimens.c.lookalike_index == index) & (specimens.c.specimen_index != exact)))

    def specimens_of(self, participant_id: str) -> list[SpecimenRecord]:
        """Return a participant's specimens, sorted by ID."""
        return list(self._specimens(specimens.c.participant_id == participant_id))

    def _specimens(self, condition: Any) -> Iterator[SpecimenRecord]:
        query = (
            select(specimens.c.specimen_id, specimens.c.sealed, participants)
            .join_from(specimens, participants)
            .where(condition)
            .order_by(specimens.c.specimen_id)
        )
        with database.reading(self.engine) as connection:
            rows = connection.execute(query).all()
        self.guard.require([row.participant_id for row in rows])
        for row in rows:
            specimen_id, participant_id = row.specimen_id, row.participant_id
            own = self.ring.unseal(row[1], identity=f"specimens {specimen_id}")
            values = self.ring.unseal(row._mapping[participants.c.sealed], identity=f"participants {participant_id}")
            has_array = kept.DELIVERED in own and row.withdrawn_at is None
            yield SpecimenRecord(
                specimen_id=specimen_id,
                participant_id=participant_id,
                participant_type=values.get("participant_type", "unknown"),
                registered_sex=values.get("registered_sex", "unknown"),
                array_genotypes=str(self.array_path(specimen_id)) if has_array else None,
                array_digest=own.get(kept.KEPT) if has_array else None,
            )

    def array_path(self, specimen_id: str) -> Path:
        """Return the path of a specimen's array genotypes, which need not exist."""
        return staging.array_path(self.folder, specimen_id=specimen_id)

    def require_arrays(self) -> None:
        """Raise InputRefused when array genotypes are not those that were registered."""
        with database.paging(self.engine) as connection:
            problems = list(kept.problems(connection, folder=self.folder, ring=self.ring))
        if problems:
            raise InputRefused(problems)

    def identifiers_of(self, specimen: SpecimenRecord) -> list[str]:
        """Return the confidential strings of a specimen and its participant; none of them may be in its files.

        They are the name, the resident registration number (with and without hyphen), the subject code and the
        barcode; after a withdrawal only the last two.
        """
        query = (
            select(specimens.c.sealed, participants.c.participant_id, participants.c.sealed)
            .join_from(specimens, participants)
            .where(specimens.c.specimen_id == specimen.specimen_id)
        )
        with database.reading(self.engine) as connection:
            sealed_specimen, participant_id, sealed_participant = connection.execute(query).one()
        barcode = self.ring.unseal(sealed_specimen, identity=f"specimens {specimen.specimen_id}")["specimen_id"]
        values = self.ring.unseal(sealed_participant, identity=f"participants {participant_id}")
        return confidential_strings(values, barcode=barcode)

    def require_participant(self, participant_id: str) -> str:
        """Return ``participant_id`` if it is registered; InputRefused otherwise."""
        pseudonyms.check(participant_id, "P")
        with database.reading(self.engine) as connection:
            known = connection.scalar(
                select(participants.c.participant_id).where(participants.c.participant_id == participant_id)
            )
        self.guard.require([participant_id])
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
        """Return a participant's consent events in the order of their recording."""
        self.guard.require([participant_id])
        with database.reading(self.engine) as connection:
            return self.events_by_participant(connection, [participant_id]).get(participant_id, [])

    def events_by_participant(
        self, connection: Connection, participant_ids: Sequence[str]
    ) -> dict[str, list[ConsentEvent]]:
        """Return participant ID -> consent events in the order of their recording; nothing for an ID without any."""
        events: dict[str, list[ConsentEvent]] = {}
        columns = (consent_events.c.participant_id, consent_events.c.sealed)
        for some in chunks(participant_ids):
            query = select(*columns).where(columns[0].in_(some)).order_by(consent_events.c.sequence)
            for participant_id, sealed in connection.execute(query):
                values = self.ring.unseal(sealed, identity=f"consent {participant_id}")
                events.setdefault(participant_id, []).append(ConsentEvent.from_json(values))
        return events

    def consent_states(self, participant_id: str, *, at: date | None = None) -> dict[Scope, ConsentState]:
        """Return the state of every scope at the date ``at`` (today by default); all withdrawn after a withdrawal."""
        if self.is_withdrawn(participant_id):
            return dict.fromkeys(ALL_SCOPES, ConsentState.WITHDRAWN)
        return consent.states(self.consent_events(participant_id), at=at or today())

    def active_consent(
        self, participant_id: str, scope: Scope | str = Scope.GENOME, at: date | None = None
    ) -> ConsentState:
        """Return the state of one scope at the date ``at`` (today by default)."""
        return self.consent_states(participant_id, at=at)[Scope(scope)]

    def add_consent(self, event: ConsentEvent) -> bool:
        """Append ``event``; return False when it is recorded and in force. InputRefused after a withdrawal."""
        self.require_participant(event.participant_id)
        with self.changing() as change:
            change.open([event.participant_id])
            withdrawn_at = change.connection.scalar(
                select(participants.c.withdrawn_at).where(participants.c.participant_id == event.participant_id)
            )
            if withdrawn_at is not None:
                raise InputRefused(
                    Problem(
                        file="registry",
                        place=event.participant_id,
                        expected="a participant who has not withdrawn",
                        found=f"a withdrawal of {withdrawn_at}",
                        action="if they join again, register the person under another subject code",
                    )
                )
            known = self.events_by_participant(change.connection, [event.participant_id])
            if consent.is_recorded(event, known.get(event.participant_id, [])):
                return False
            self.append_consent(change, event)
        return True

    def last_sequence(self) -> int:
        """Return the number of the consent event that was recorded last; 0 without one."""
        return self.guard.head().last.get(consent_events.name, 0)

    def last_recorded(self) -> str:
        """Return the time of the newest change (UTC, ISO 8601)."""
        return self.guard.head().changed

    def append_consent(self, change: SealedChange, *events: ConsentEvent) -> None:
        """Append ``events`` of participants that ``change`` has opened or inserted."""
        recorded_at = now()
        change.insert(
            consent_events,
            [
                {
                    "sequence": change.next_sequence(consent_events),
                    "participant_id": event.participant_id,
                    "recorded_at": recorded_at,
                    "sealed": self.ring.seal(event.to_json(), identity=f"consent {event.participant_id}"),
                }
                for event in events
            ],
        )

    def consent_hash(self, participant_ids: Iterable[str] | None = None, *, at: date | None = None) -> str:
        """Return the SHA-256 of the consent in force at ``at`` of ``participant_ids`` (by default of everybody)."""
        return consent.state_hash(
            (standing.participant_id, standing.states, standing.events)
            for standing in self.standing(participant_ids, at=at)
        )

    def standing(self, participant_ids: Iterable[str] | None = None, *, at: date | None = None) -> Iterator[Standing]:
        """Yield the standing at ``at`` (today by default) of ``participant_ids`` (by default of everybody), by ID."""
        day = at or today()
        if participant_ids is None:
            self.guard.require_totals()
        with database.paging(self.engine) as connection:
            for withdrawn in self._withdrawn(connection, participant_ids):
                self.guard.require(list(withdrawn))
                recorded = self.events_by_participant(connection, list(withdrawn))
                for participant_id, is_withdrawn in withdrawn.items():
                    events = recorded.get(participant_id, [])
                    states = consent.states(events, at=day)
                    if is_withdrawn:
                        states = dict.fromkeys(ALL_SCOPES, ConsentState.WITHDRAWN)
                    yield Standing(participant_id, is_withdrawn, states, events)

    def _withdrawn(self, connection: Connection, participant_ids: Iterable[str] | None) -> Iterator[dict[str, bool]]:
        """Yield in parts, by ID: ID -> whether withdrawn, of ``participant_ids`` (of everybody when None)."""
        columns = (participants.c.participant_id, participants.c.withdrawn_at)
        if participant_ids is None:
            for page in database.pages(connection, *columns):
                yield {row.participant_id: row.withdrawn_at is not None for row in page}
            return
        for some in chunks(sorted(set(participant_ids))):
            rows = connection.execute(select(*columns).where(columns[0].in_(some)))
            yield dict.fromkeys(some, False) | {row.participant_id: row.withdrawn_at is not None for row in rows}

    # -- withdrawal

    def is_withdrawn(self, participant_id: str) -> bool:
        """Return whether the participant has withdrawn, which is final."""
        self.guard.require([participant_id])
        query = select(participants.c.withdrawn_at).where(participants.c.participant_id == participant_id)
        with database.reading(self.engine) as connection:
            return connection.scalar(query) is not None

    def not_withdrawn(self, participant_ids: Iterable[str | None]) -> list[str]:
        """Return the registered participants of ``participant_ids`` who have not withdrawn, sorted."""
        column = participants.c.participant_id
        ids = sorted(filter(None, participant_ids))
        with database.reading(self.engine) as connection:
            return [
                participant_id
                for some in chunks(ids)
                for participant_id in connection.scalars(
                    select(column).where(column.in_(some), participants.c.withdrawn_at.is_(None)).order_by(column)
                )
            ]

    def withdraw(self, participant_id: str, *, at: date | None = None) -> bool:
        """Mark the withdrawal at ``at`` (today by default) and erase; return False when it was marked before.

        Kept, sealed: the institution, the subject code, the barcodes and the consent events. Erased: name, number,
        year of birth, sex, participant type and array genotypes.
        """
        self.require_participant(participant_id)
        day = at or today()
        with self.changing() as change:
            staging.settle(change.connection, folder=self.folder)  # so that no array comes to its place later
            change.open([participant_id])
            query = select(participants).where(participants.c.participant_id == participant_id)
            row = change.connection.execute(query).one()
            if row.withdrawn_at is None:
                identity = f"participants {participant_id}"
                values = self.ring.unseal(row.sealed, identity=identity)
                kept = {name: values[name] for name in KEPT_AFTER_WITHDRAWAL}
                new = {"withdrawn_at": day.isoformat(), "sealed": self.ring.seal(kept, identity=identity)}
                change.connection.execute(
                    update(participants).where(participants.c.participant_id == participant_id).values(new)
                )
                change.note_updated(participants, [{**row._mapping, **new}])
                event = ConsentEvent(
                    participant_id=participant_id, decision=Decision.WITHDRAWN, scopes=ALL_SCOPES, valid_from=day
                )
                self.append_consent(change, event)
        for specimen in self.specimens_of(participant_id):
            self.array_path(specimen.specimen_id).unlink(missing_ok=True)
        return row.withdrawn_at is None


def now() -> str:
    """Return the time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
