"""The SHA-256 of the array genotypes that the registry keeps, sealed in the record of their specimen.

The seals bind this record to its participant, so neither the file nor its place can be exchanged for another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from baekman.errors import Problem
from baekman.files.digests import sha256_of
from baekman.key_ring import KeyRing
from baekman.registry import database
from baekman.registry.array_genotypes.staging import array_path
from baekman.registry.database import chunks, participants, specimens
from baekman.registry.seal.change import SealedChange

DELIVERED = "array_digest"  # SHA-256 of the institution's file, in the sealed values of a specimen
KEPT = "array_kept"  # SHA-256 of the registry's own file
ACTION = "import the registration table of this specimen again; array genotypes were changed or removed by hand"


def is_kept(folder: Path, *, specimen_id: str, values: Mapping[str, Any]) -> bool:
    """Return whether the array file in a registry's ``folder`` is the one in the sealed ``values`` of a specimen."""
    return _found(folder, specimen_id=specimen_id, values=values) == ""


def _found(folder: Path, *, specimen_id: str, values: Mapping[str, Any]) -> str:
    """Return a description of what is wrong with the array file of a specimen; "" when it is right."""
    if KEPT not in values:
        return "a file that an earlier version registered without its digest"
    try:
        digest = sha256_of(array_path(folder, specimen_id=specimen_id))
    except OSError:
        return "no file, or one that cannot be read"
    return "" if digest == values[KEPT] else "another file"


def bind(change: SealedChange, digests: Mapping[str, str], *, ring: KeyRing) -> None:
    """Seal the SHA-256 of new array files in the records of their specimens; ``digests``: by specimen ID."""
    for some in chunks(sorted(digests)):
        rows = change.connection.execute(select(specimens).where(specimens.c.specimen_id.in_(some))).all()
        change.open([row.participant_id for row in rows])
        records = []
        for row in rows:
            identity = f"specimens {row.specimen_id}"
            values = ring.unseal(row.sealed, identity=identity) | {KEPT: digests[row.specimen_id]}
            records.append({**row._mapping, "sealed": ring.seal(values, identity=identity)})
        change.update(specimens, records)
        change.flush()


def problems(connection: Connection, *, folder: Path, ring: KeyRing) -> Iterator[Problem]:
    """Yield a problem for each specimen with array genotypes that are not the registered ones."""
    query = (
        select(specimens.c.specimen_id, specimens.c.sealed)
        .join_from(specimens, participants)
        .where(participants.c.withdrawn_at.is_(None))
        .order_by(specimens.c.specimen_id)
    )
    for specimen_id, sealed in connection.execute(query, execution_options={"yield_per": database.PAGE}):
        values = ring.unseal(sealed, identity=f"specimens {specimen_id}")
        if DELIVERED in values and (found := _found(folder, specimen_id=specimen_id, values=values)):
            expected = "the array genotypes that were registered"
            yield Problem(file="registry", place=specimen_id, expected=expected, found=found, action=ACTION)
