"""The registry's database, on SQLite or PostgreSQL: its location, tables and connections.

Columns in the clear are pseudonyms, blind indexes, dates and sequence numbers. Every value from an institution is in
``sealed``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    collate,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.pool import NullPool

from baekman.errors import InputRefused, Problem
from baekman.workspace.paths import Top

REGISTRY_VARIABLE = "BAEKMAN_REGISTRY"
KEY_FILE_NAME = "registry.key"
SCHEMA_VERSION = "3"
UNBOUND_VERSION = "2"  # sealed, but its records open without the seals; the next command binds them
UNSEALED_VERSION = "1"  # without heads and seals; `baekman registry upgrade` adds them
VERSIONS = (UNSEALED_VERSION, UNBOUND_VERSION, SCHEMA_VERSION)
DATABASE_NAME = "registry.sqlite"
PAGE = 5_000
# for the transaction of another command: an import of a million rows takes minutes, and holds up SQLite's readers too
# as soon as it no longer fits into the cache
WAIT_SECONDS = 900
CACHE_KIB = 256 << 10  # SQLite's memory at most: an import touches every page of the indexes

metadata = MetaData()

settings = Table(
    "settings",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)
participants = Table(
    "participants",
    metadata,
    Column("participant_id", String(14), primary_key=True),
    Column("participant_index", String(64), nullable=False, unique=True),
    Column("withdrawn_at", String(10)),
    Column("sealed", LargeBinary, nullable=False),
)
specimens = Table(
    "specimens",
    metadata,
    Column("specimen_id", String(14), primary_key=True),
    Column("specimen_index", String(64), nullable=False, unique=True),
    Column("lookalike_index", String(64), nullable=False, index=True),
    Column("participant_id", ForeignKey("participants.participant_id"), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
)
# SQLite numbers rows by itself only in a column of type INTEGER
_sequence = BigInteger().with_variant(Integer, "sqlite")
consent_events = Table(
    "consent_events",
    metadata,
    Column("sequence", _sequence, primary_key=True, autoincrement=True),
    Column("participant_id", ForeignKey("participants.participant_id"), nullable=False, index=True),
    Column("recorded_at", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", String(14), primary_key=True),
    Column("delivery_index", String(64), nullable=False, unique=True),
    Column("received_at", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
verdicts = Table(
    "verdicts",
    metadata,
    Column("sequence", _sequence, primary_key=True, autoincrement=True),
    Column("delivery_id", ForeignKey("deliveries.delivery_id"), nullable=False, index=True),
    Column("specimen_id", String(14), index=True),
    Column("recorded_at", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
# Each participant and delivery has a seal over all of its rows; the head has sums over all seals (``seal``).
seals = Table(
    "seals",
    metadata,
    Column("owner_id", String(14), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,  # a shelf is read in one piece
)
heads = Table(
    "heads",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class Location:
    """A registry's database (an SQLite file or a PostgreSQL URL), and the folder of its arrays and, by default, key."""

    database: str | Path
    folder: Path

    @property
    def key_file(self) -> Path:
        """The key file, unless an option or a variable gives another."""
        return self.folder / KEY_FILE_NAME


def locate(workspace: Path, *, registry: Path | str | None = None) -> Location:
    """Return the location of the registry of ``workspace``.

    ``registry`` is a folder, an ``.sqlite`` file or a PostgreSQL URL. Without it ``BAEKMAN_REGISTRY`` counts, else
    the folder ``registry`` of the workspace.
    """
    chosen = registry or os.environ.get(REGISTRY_VARIABLE) or workspace / Top.REGISTRY
    if "://" in str(chosen):
        return Location(str(chosen), workspace / Top.REGISTRY)
    path = Path(chosen)
    if path.suffix == ".sqlite":
        return Location(path, path.parent)
    return Location(path / DATABASE_NAME, path)


def connect(database: str | Path) -> Engine:
    """Return an engine for ``database``: the path of an SQLite file, or a PostgreSQL URL.

    No exception ever shows the values of a statement (``hide_parameters``).
    """
    if isinstance(database, Path):
        return _sqlite(database)
    url = database
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    return create_engine(url, hide_parameters=True, poolclass=NullPool)


def _sqlite(file: Path) -> Engine:
    waiting = {"timeout": WAIT_SECONDS}
    engine = create_engine(f"sqlite:///{file}", hide_parameters=True, connect_args=waiting, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not in the driver
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: two readers that both become writers would block each other
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction; no other writer of the registry runs at the same time."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE settings IN EXCLUSIVE MODE"))
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Yield a connection for single reads, each of the newest state; it never holds up a writer."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def paging(engine: Engine) -> Iterator[Connection]:
    """Yield a connection for ``pages``; it never holds up a writer."""
    # on PostgreSQL a reader holds up nobody, and a cursor of the server lasts as long as its transaction
    with engine.connect() if engine.dialect.name == "postgresql" else reading(engine) as connection:
        yield connection


def pages(connection: Connection, key: Column[Any], *others: Column[Any]) -> Iterator[Sequence[Row[Any]]]:
    """Yield ``key``, a table's primary key, and ``others`` of all rows, ``PAGE`` rows at a time, in byte order.

    On SQLite each page is of the newest state; on PostgreSQL all pages are of one state.
    """
    query = select(key, *others)
    if connection.dialect.name == "postgresql":
        # pages by key, as on SQLite, would need an index in byte order; the order of the database may be another
        ordered = query.order_by(collate(key, "C") if isinstance(key.type, String) else key)
        yield from connection.execute(ordered, execution_options={"yield_per": PAGE}).partitions()
        return
    page = connection.execute(query.order_by(key).limit(PAGE)).all()
    while page:
        yield page
        page = connection.execute(query.where(key > page[-1][0]).order_by(key).limit(PAGE)).all()


@contextmanager
def creating(engine: Engine, *, key_id: bytes) -> Iterator[Connection]:
    """Yield a transaction that creates the tables and notes the name of the key that seals them."""
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database))
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    with engine.begin() as connection:
        metadata.create_all(connection)
        values = {"schema_version": SCHEMA_VERSION, "key_id": key_id.hex()}
        connection.execute(settings.insert(), [{"name": name, "value": value} for name, value in values.items()])
        yield connection


def exists(engine: Engine) -> bool:
    """Return whether the registry's tables are there."""
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database))
        if not file.is_file():
            return False
        file.open("rb").close()  # SQLite's own failure does not name the file that may not be read
    return inspect(engine).has_table(settings.name)


def version_and_key(engine: Engine) -> tuple[str, bytes]:
    """Return the schema version and the name of the key; InputRefused for a version that is not known."""
    with reading(engine) as connection:
        values = {row.name: row.value for row in connection.execute(select(settings))}
    version = values.get("schema_version", "")
    _require_tables(engine, version, has_key="key_id" in values)
    if version not in VERSIONS:
        raise InputRefused(
            Problem(
                file="registry",
                expected=f"schema version {UNSEALED_VERSION} to {SCHEMA_VERSION}",
                found="another version",
                action="use the version of baekman that made it",
            )
        )
    return version, bytes.fromhex(values["key_id"])


def _require_tables(engine: Engine, version: str, *, has_key: bool) -> None:
    """Raise InputRefused when a table, or the name of the key, was deleted by hand."""
    missing = sorted(set(metadata.tables) - set(inspect(engine).get_table_names()))
    if (version != UNSEALED_VERSION and missing) or not has_key:
        raise InputRefused(
            Problem(
                file="registry",
                expected="all tables of a registry, and the name of its key",
                found=f"no {', no '.join(missing if has_key else ['name of a key'])}: deleted by hand",
                action="restore the registry from a back-up, then run `baekman restore check`",
            )
        )


def chunks(values: Sequence[str], *, size: int = 500) -> Iterator[Sequence[str]]:
    """Yield ``values`` in parts that fit into one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
