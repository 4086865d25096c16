"""A new key for the registry, safe against a stop at any instant.

The key file first gets the new key beside the old one; then one transaction seals everything anew and notes
the new key's name; then the key file drops the old one. The store always says which of the keys at hand it
is sealed with, so whatever step was the last, the registry opens, and the same command finishes the work.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, update

from baekman.key_ring import Key, KeyRing, make_key_file, require_file
from baekman.registry import database as registry_store
from baekman.registry.database import consent_events, deliveries, participants, settings, specimens, verdicts
from baekman.registry.lookalikes import skeleton
from baekman.registry.records import Registry


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
    """Seal every record with ``new``, a page at a time; how many there are."""

    def of_participant(values: dict[str, Any]) -> dict[str, str]:
        return {"participant_index": new.blind_index("participant", values["institution"], values["participant"])}

    def of_specimen(values: dict[str, Any]) -> dict[str, str]:
        institution, label = values["institution"], values["specimen_id"]
        return {
            "specimen_index": new.blind_index("specimen", institution, label),
            "lookalike_index": new.blind_index("lookalike", institution, skeleton(label)),
        }

    def of_delivery(values: dict[str, Any]) -> dict[str, str]:
        return {"delivery_index": new.blind_index("delivery", values["institution"], values["name"])}

    count = 0
    for table, identity, indexes in (
        (participants, "participants {participant_id}", of_participant),
        (specimens, "specimens {specimen_id}", of_specimen),
        (deliveries, "deliveries {delivery_id}", of_delivery),
        (consent_events, "consent {participant_id}", _no_index),
        (verdicts, "verdicts {delivery_id} {specimen_id}", _no_index),
    ):
        key, *others = sorted(table.columns, key=lambda column: not column.primary_key)
        for page in registry_store.pages(connection, key, *others):
            anew = []
            for row in page:
                name = identity.format(**row._mapping)
                values = old.unseal(row.sealed, identity=name)
                anew.append({"key": row[0], "sealed": new.seal(values, identity=name), **indexes(values)})
            connection.execute(update(table).where(key == bindparam("key")), anew)
            count += len(anew)
    return count


def _no_index(_values: dict[str, Any]) -> dict[str, str]:
    return {}
