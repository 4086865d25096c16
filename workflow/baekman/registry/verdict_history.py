"""The deliveries that a registry has seen, and their verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from sqlalchemy import Connection, select

from baekman import pseudonyms
from baekman.registry import database
from baekman.registry.database import deliveries, verdicts
from baekman.registry.records import Registry, now
from baekman.verdicts import Verdict

DeliveryStatus = Literal["new", "same", "changed"]


def noted_delivery(registry: Registry, institution: str, name: str) -> tuple[str, str] | None:
    """Return ID and digest of the delivery that ``institution`` names ``name``; None before it is noted."""
    index = registry.ring.blind_index("delivery", institution, name)
    with database.reading(registry.engine) as connection:
        row = connection.execute(select(deliveries).where(deliveries.c.delivery_index == index)).one_or_none()
    if row is None:
        return None
    registry.guard.require([row.delivery_id])
    values = registry.ring.unseal(row.sealed, identity=f"deliveries {row.delivery_id}")
    return row.delivery_id, values["digest"]


def institutions_of(registry: Registry, delivery_ids: Iterable[str]) -> dict[str, str]:
    """Return the institution of each of ``delivery_ids`` that the registry has noted."""
    wanted = sorted(set(delivery_ids))
    registry.guard.require(wanted)
    institutions = {}
    with database.reading(registry.engine) as connection:
        for some in database.chunks(wanted):
            for row in connection.execute(select(deliveries).where(deliveries.c.delivery_id.in_(some))):
                values = registry.ring.unseal(row.sealed, identity=f"deliveries {row.delivery_id}")
                institutions[row.delivery_id] = values["institution"]
    return institutions


def note_delivery(registry: Registry, institution: str, name: str, digest: str) -> tuple[str, DeliveryStatus]:
    """Return the ID of a delivery and its status; note a new delivery with the ``digest`` of its content.

    The institution and the name identify a delivery. ``same``: noted before with this digest; ``changed``: noted
    before with another.
    """
    index = registry.ring.blind_index("delivery", institution, name)
    with registry.changing() as change:
        query = select(deliveries).where(deliveries.c.delivery_index == index)
        row = change.connection.execute(query).one_or_none()
        if row is not None:
            change.open([row.delivery_id])
            values = registry.ring.unseal(row.sealed, identity=f"deliveries {row.delivery_id}")
            return row.delivery_id, "same" if values["digest"] == digest else "changed"
        delivery_id = pseudonyms.new("D")
        values = {"institution": institution, "name": name, "digest": digest}
        sealed = registry.ring.seal(values, identity=f"deliveries {delivery_id}")
        record = {"delivery_id": delivery_id, "delivery_index": index, "received_at": now(), "sealed": sealed}
        change.insert(deliveries, [record])
    return delivery_id, "new"


def record_verdicts(registry: Registry, delivery_id: str, new: Iterable[Verdict]) -> int:
    """Append the verdicts ``new`` of a delivery; return how many.

    A verdict that equals the last of its specimen and gate is not appended again.
    """
    with registry.changing() as change:
        change.open([delivery_id])
        known = _verdicts(registry, change.connection, verdicts.c.delivery_id == delivery_id)
        last = {(verdict.specimen_id, verdict.gate): verdict for _, _, verdict in known}
        fresh = [verdict for verdict in new if last.get((verdict.specimen_id, verdict.gate)) != verdict]
        change.insert(
            verdicts,
            [
                {
                    "sequence": change.next_sequence(verdicts),
                    "delivery_id": delivery_id,
                    "specimen_id": verdict.specimen_id,
                    "recorded_at": now(),
                    "sealed": registry.ring.seal(
                        verdict.to_json(), identity=f"verdicts {delivery_id} {verdict.specimen_id}"
                    ),
                }
                for verdict in fresh
            ],
        )
    return len(fresh)


def verdict_history(registry: Registry, specimen_id: str) -> list[tuple[str, str, Verdict]]:
    """Return (delivery ID, time in UTC, verdict) of a specimen over all deliveries, oldest first."""
    with database.reading(registry.engine) as connection:
        return _verdicts(registry, connection, verdicts.c.specimen_id == specimen_id)


def _verdicts(registry: Registry, connection: Connection, condition: Any) -> list[tuple[str, str, Verdict]]:
    query = select(verdicts).where(condition).order_by(verdicts.c.sequence)
    return [
        (
            row.delivery_id,
            row.recorded_at,
            Verdict.from_json(
                registry.ring.unseal(row.sealed, identity=f"verdicts {row.delivery_id} {row.specimen_id}")
            ),
        )
        for row in connection.execute(query)
    ]
