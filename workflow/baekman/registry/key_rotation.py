"""A new key for the registry, safe against a stop at any instant.

First the key file gets the new key next to the old one. Then one transaction seals every record again and notes the
name of the new key. Last the key file drops the old key. The store always names the key that seals it. So the
registry opens after a stop at any step, and the same command finishes the work.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, update

from baekman.errors import InputRefused
from baekman.key_ring import Key, KeyRing, make_key_file, require_file
from baekman.registry import database
from baekman.registry.database import consent_events, deliveries, participants, settings, specimens, verdicts
from baekman.registry.lookalikes import skeleton
from baekman.registry.records import Registry
from baekman.registry.seal.change import require_head
from baekman.registry.seal.guard import Guard, seal_everything
from baekman.registry.seal.verification import all_problems


def rotate_key(registry: Registry) -> int:
    """Seal the registry with a new key, which replaces the old one in the key file; return the number of records.

    InputRefused when the key did not come from a file, or rows were changed by hand.
    """
    file = require_file(registry.ring)
    used = next(key for key in registry.ring.keys if key.key_id == registry.ring.current)
    fresh = Key.new()
    make_key_file(file, [fresh, used])
    old, new = KeyRing([used]), KeyRing([fresh], file=file)
    with database.writing(registry.engine) as connection:
        head = require_head(connection, ring=old)
        if problems := all_problems(connection, head=head, ring=old):
            raise InputRefused(problems)  # sealed again, they would not be noticed any more
        count = _seal_all(connection, old, new)
        seal_everything(connection, ring=new, head=head)
        connection.execute(update(settings).where(settings.c.name == "key_id").values(value=new.current.hex()))
    make_key_file(file, [fresh])
    registry.ring, registry.guard = new, Guard(registry.engine, new)
    return count


def _seal_all(connection: Connection, old: KeyRing, new: KeyRing) -> int:
    """Seal every record with ``new``, a page at a time; return the number of records."""

    def of_participant(values: dict[str, Any]) -> dict[str, str]:
        return {"participant_index": new.blind_index("participant", values["institution"], values["participant"])}

    def of_specimen(values: dict[str, Any]) -> dict[str, str]:
        institution, barcode = values["institution"], values["specimen_id"]
        return {
            "specimen_index": new.blind_index("specimen", institution, barcode),
            "lookalike_index": new.blind_index("lookalike", institution, skeleton(barcode)),
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
        for page in database.pages(connection, key, *others):
            records = []
            for row in page:
                name = identity.format(**row._mapping)
                values = old.unseal(row.sealed, identity=name)
                records.append({"key": row[0], "sealed": new.seal(values, identity=name), **indexes(values)})
            connection.execute(update(table).where(key == bindparam("key")), records)
            count += len(records)
    return count


def _no_index(_values: dict[str, Any]) -> dict[str, str]:
    return {}
