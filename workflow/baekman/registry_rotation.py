"""A new key for the registry, safe against a stop at any instant.

The key file first gets the new key beside the old one; then one transaction seals everything anew and notes
the new key's name; then the key file drops the old one. The store always says which of the keys at hand it
is sealed with, so whatever step was the last, the registry opens, and the same command finishes the work.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, select, update

from baekman import registry_store
from baekman.key_ring import Key, KeyRing, make_key_file, require_file
from baekman.lookalikes import skeleton
from baekman.registry import Registry
from baekman.registry_store import consent_events, deliveries, participants, settings, specimens, verdicts


def rotate_key(registry: Registry) -> int:
    """Seal the registry with a new key and write it to the key file; the number of records sealed anew."""
    file = require_file(registry.ring)
    used = next(key for key in registry.ring.keys if key.key_id == registry.ring.current)
    fresh = Key.new()
    make_key_file(file, [fresh, used])
    old, new = KeyRing([used]), KeyRing([fresh], file=file)
    with registry_store.writing(registry.engine) as connection:
        count = _seal_anew(connection, old, new)
        connection.execute(update(settings).where(settings.c.name == "key_id").values(value=new.current.hex()))
    make_key_file(file, [fresh])
    registry.ring = new
    return count


def _seal_anew(connection: Connection, old: KeyRing, new: KeyRing) -> int:
    count = 0

    def each(table: Table, identity: str) -> list[tuple[Any, dict[str, Any], bytes]]:
        nonlocal count
        found = []
        for row in connection.execute(select(table)).all():
            name = identity.format(**row._mapping)
            values = old.unseal(row.sealed, identity=name)
            found.append((row, values, new.seal(values, identity=name)))
        count += len(found)
        return found

    for row, values, sealed in each(participants, "participants {participant_id}"):
        index = new.blind_index("participant", values["institution"], values["participant"])
        connection.execute(
            update(participants)
            .where(participants.c.participant_id == row.participant_id)
            .values(participant_index=index, sealed=sealed)
        )
    for row, values, sealed in each(specimens, "specimens {specimen_id}"):
        institution, label = values["institution"], values["specimen_id"]
        connection.execute(
            update(specimens)
            .where(specimens.c.specimen_id == row.specimen_id)
            .values(
                specimen_index=new.blind_index("specimen", institution, label),
                lookalike_index=new.blind_index("lookalike", institution, skeleton(label)),
                sealed=sealed,
            )
        )
    for row, values, sealed in each(deliveries, "deliveries {delivery_id}"):
        index = new.blind_index("delivery", values["institution"], values["name"])
        connection.execute(
            update(deliveries)
            .where(deliveries.c.delivery_id == row.delivery_id)
            .values(delivery_index=index, sealed=sealed)
        )
    for table, identity in (
        (consent_events, "consent {participant_id}"),
        (verdicts, "verdicts {delivery_id} {specimen_id}"),
    ):
        for row, _, sealed in each(table, identity):
            connection.execute(update(table).where(table.c.sequence == row.sequence).values(sealed=sealed))
    return count
