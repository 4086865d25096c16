"""The sealing of all records again: with another key, or bound to another context."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, update

from baekman.key_ring import KeyRing
from baekman.registry import database
from baekman.registry.database import consent_events, deliveries, participants, specimens, verdicts
from baekman.registry.lookalikes import skeleton


def seal_all(connection: Connection, old: KeyRing, new: KeyRing) -> int:
    """Seal every record with ``new``, a page at a time; return the number of records.

    The seals of owners and the head are the caller's. Raises InputRefused for a record that ``old`` does not open.
    """

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
