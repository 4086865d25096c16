"""The rows of the members of a release, bucket by bucket, with the scopes that each of them has granted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from baekman.records import reading
from baekman.records.schema import COVERAGE, EVENTS, FIRSTS
from baekman.releases.admission import DATA_SCOPES, Member
from baekman.releases.members import Members

if TYPE_CHECKING:
    from baekman.records.snapshot import RecordSnapshot
    from baekman.records.store import RecordStore
    from baekman.registry.records import Registry

RECORD_SCOPES = DATA_SCOPES[1:]
PERSONS = pa.schema(
    [
        pa.field("participant_id", pa.string(), nullable=False),
        pa.field("sex", pa.string()),
        pa.field("birth_year", pa.int32()),
        pa.field("institution", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class MemberRows:
    """The records of ``members`` at ``snapshot``. Without a ``store`` nobody has a record."""

    members: Members
    store: RecordStore | None = None
    snapshot: RecordSnapshot | None = None

    def buckets(self) -> Iterator[tuple[str, list[Member]]]:
        """Yield each bucket with its members."""
        return self.members.by_bucket()

    def events(self, bucket: str, members: list[Member]) -> pa.Table:
        """Return the events (EVENTS) of the ``members`` of a bucket, of the scopes that they have granted, sorted."""
        if self.store is None or self.snapshot is None:
            return EVENTS.empty_table()
        rows = reading.events(self.store, self.snapshot, bucket, scopes=denied_scopes(members))
        return _of_members(rows, members)

    def firsts(self, bucket: str, members: list[Member]) -> pa.Table:
        """Return the firsts (FIRSTS) of the ``members`` of a bucket; as ``events``."""
        if self.store is None or self.snapshot is None:
            return FIRSTS.empty_table()
        rows = reading.firsts(self.store, self.snapshot, bucket, scopes=denied_scopes(members))
        return _of_members(rows, members)

    def systems(self) -> Mapping[str, Collection[str]]:
        """Return the code systems of the events of each source in the snapshot."""
        if self.store is None or self.snapshot is None:
            return {}
        return reading.systems(self.store, self.snapshot)

    def coverage(self, bucket: str, members: list[Member]) -> pa.Table:
        """Return the covered days (COVERAGE) of the ``members`` of a bucket who have granted a scope of records."""
        if self.store is None or self.snapshot is None:
            return COVERAGE.empty_table()
        rows = reading.coverage(self.store, self.snapshot, bucket, scopes=denied_scopes(members))
        return _of_members(rows, members)


def denied_scopes(members: list[Member]) -> dict[str, tuple[str, ...]]:
    """Return the scopes that each of ``members`` has not granted, without members who have granted all."""
    return {member.participant_id: member.denied for member in members if member.denied}


def _of_members(rows: pa.Table, members: list[Member]) -> pa.Table:
    names = pa.array([member.participant_id for member in members], pa.string())
    return rows.filter(pc.is_in(rows["participant_id"], value_set=names))


def person_table(registry: Registry, members: list[Member]) -> pa.Table:
    """Return the persons (PERSONS) of ``members``, sorted by ID; null for what the registry does not have."""
    from baekman.registry.listing import persons

    ids = [member.participant_id for member in members]
    people = persons(registry, ids)
    known = [people[participant_id] for participant_id in ids]
    columns = [
        ids,
        [person.sex or None for person in known],
        [person.birth_year for person in known],
        [person.institution or None for person in known],
    ]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, PERSONS, strict=True)], PERSONS)
