"""Registries of earlier versions, and registries that lost their seals.

Version 1 had no seals. Version 2 had seals, but its records opened without them: who could write the database could
delete the seals and set the version back. Records of version 3 are bound to it (``CONTEXT``), so a version 1 that was
made from them does not open. No command seals a version 1 by itself.
"""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, update

from baekman import audit
from baekman.errors import InputRefused, Problem
from baekman.key_ring import KeyRing
from baekman.registry import database
from baekman.registry.database import consent_events, deliveries, heads, participants, seals, settings, specimens
from baekman.registry.seal.change import require_head
from baekman.registry.seal.guard import seal_everything
from baekman.registry.seal.head import Head
from baekman.registry.seal.resealing import seal_all
from baekman.registry.seal.verification import ACTION, all_problems

CONTEXT = "sealed registry: "
_IDENTITIES = {
    participants: "participants {participant_id}",
    specimens: "specimens {specimen_id}",
    consent_events: "consent {participant_id}",
    deliveries: "deliveries {delivery_id}",
}


class Unsealed(Enum):
    """The step that a command takes with a registry that has no seals.

    ``SEAL``: seal it where nothing shows that there were seals. ``RESTORED``: seal it where the workspace has seen
    seals, since a check of the whole workspace follows. ``REFUSE``: neither.
    """

    REFUSE = auto()
    SEAL = auto()
    RESTORED = auto()


def upgrade(engine: Engine, *, ring: KeyRing, workspace: Path, unsealed: Unsealed) -> bool:
    """Bring a registry to this version; return whether it had no seals before.

    ``ring`` has no context. Raises InputRefused when rows of version 2 do not match their seals, or when a registry of
    version 1 lost its seals, or may not be sealed by this command.
    """
    with database.writing(engine) as connection:
        version = connection.scalar(select(settings.c.value).where(settings.c.name == "schema_version"))
        if version == database.SCHEMA_VERSION:  # another process was first
            return False
        bound = ring.within(CONTEXT)
        if version == database.UNBOUND_VERSION:
            head = require_head(connection, ring=ring)
            if problems := all_problems(connection, head=head, ring=ring):
                raise InputRefused(problems)
            seal_all(connection, ring, bound)
        else:
            _require_never_sealed(connection, bound=bound)
            _require_allowed(workspace, unsealed)
            database.metadata.create_all(connection)
            head = Head()
            try:
                seal_all(connection, ring, bound)
            except InputRefused as refusal:
                raise _stripped(f"something else at {refusal.problems[0].place}") from None
        seal_everything(connection, ring=bound, head=head)
        statement = update(settings).where(settings.c.name == "schema_version")
        connection.execute(statement.values(value=database.SCHEMA_VERSION))
    return version == database.UNSEALED_VERSION


def _require_never_sealed(connection: Connection, *, bound: KeyRing) -> None:
    """Raise InputRefused when tables of seals are there, or the first record of a kind is bound to this version."""
    names = inspect(connection).get_table_names()
    if seals.name in names or heads.name in names:
        raise _stripped("tables of seals in a registry that calls itself an older one")
    for table, identity in _IDENTITIES.items():
        row = connection.execute(select(table).limit(1)).one_or_none()
        if row is not None and _opens(bound, row.sealed, identity=identity.format(**row._mapping)):
            raise _stripped("records that were sealed, without their seals")


def _opens(ring: KeyRing, sealed: bytes, *, identity: str) -> bool:
    try:
        ring.unseal(sealed, identity=identity)
    except InputRefused:
        return False
    return True


def _require_allowed(workspace: Path, unsealed: Unsealed) -> None:
    has_seen = _has_seen_seals(workspace)
    if has_seen and unsealed is not Unsealed.RESTORED:
        raise InputRefused(
            Problem(
                file="registry",
                expected="the seals that this workspace has seen",
                found="a copy from before the registry was sealed, or one that lost its seals",
                action="restore the newest back-up of the registry, then run `baekman restore check`, which seals an "
                "older copy and applies every withdrawal and refusal again that the workspace knows",
            )
        )
    if not has_seen and unsealed is not Unsealed.SEAL:
        raise InputRefused(
            Problem(
                file="registry",
                expected=f"a sealed registry (schema version {database.SCHEMA_VERSION})",
                found="one of an earlier version, without seals",
                action="if nobody else could write its database, run `baekman registry upgrade`, which seals its "
                "records as they are, once",
            )
        )


def _has_seen_seals(workspace: Path) -> bool:
    """Return whether ``workspace`` has seen a sealed registry: it noted a change, or an event of the log has one."""
    try:
        if audit.read_seen(workspace).registry > 0:
            return True
    except InputRefused:  # damaged: something was noted
        return True
    return any(event.get("registry", 0) for event in audit.kept_events(workspace))


def _stripped(found: str) -> InputRefused:
    problem = Problem(file="registry", expected="records with the seals that they had", found=found, action=ACTION)
    return InputRefused(problem)
