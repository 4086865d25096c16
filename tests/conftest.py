"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import psycopg
import pytest
import typer
from baekman.cohort.add import add_batch
from baekman.cohort.store import Store, create_store
from baekman.registry import database
from baekman.registry.records import Registry, create_registry
from sqlalchemy import Engine
from support import PROJECT, small_cohort
from support.finished_workspace import FinishedWorkspace, finished_workspace
from support.servers import postgresql
from support.store_tools import write_reference

MEMORY = Path("/dev/shm")


def pytest_configure(config: pytest.Config) -> None:
    """Put temporary files into memory where there is room: a store waits for the disk after each of its files.

    The option ``--basetemp`` or the variable ``TMPDIR`` gives another place. Commands have one worker where a test says
    nothing else: the start of more takes longer than most of what they do here.
    """
    os.environ.setdefault("BAEKMAN_WORKERS", "1")
    if config.option.basetemp is None and "TMPDIR" not in os.environ and _free_memory() >= 2**32:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _free_memory() -> int:
    return shutil.disk_usage(MEMORY).free if MEMORY.is_dir() else 0


@pytest.fixture(scope="session", autouse=True)
def _commands_are_built_once() -> Iterator[None]:
    """Keep the commands that Typer makes of an application: 0.1 s for each run of a command otherwise."""

    @lru_cache
    def built(app: typer.Typer, _groups: int) -> object:
        return typer.main.get_command(app)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", lambda app: built(app, len(app.registered_groups)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _statements_are_compiled_once() -> Iterator[None]:
    """Let the engines of all SQLite registries share their compiled statements: each test opens several registries."""
    connect = database._sqlite
    shared = connect(Path(":memory:"))
    shared.connect().close()  # what the dialect asks the driver at its first connection

    def connected(file: Path) -> Engine:
        engine = connect(file)
        engine.dialect = shared.dialect  # part of the key of a compiled statement
        engine._compiled_cache = shared._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_sqlite", connected)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real human data next to the project: optional on a laptop, required in CI."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        message = "real data is absent: no folder ../shared/data next to the project"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Return the URL of a PostgreSQL server: optional on a laptop, required in CI."""
    folder = postgresql.binaries()
    if folder is None:
        message = "no PostgreSQL server: Debian's package postgresql is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with postgresql.server(folder) as url:
        yield url


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder in memory for thousands of small files, or ``tmp_path`` where there is no such place."""
    if _free_memory() < 2**25:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="baekman-") as folder:
        yield Path(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Return the value of ``--registry``: none, or the URL of an empty database."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgresql_server")
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def registry(location: str | None, tmp_path: Path) -> Registry:
    """Return an empty registry, on SQLite and on PostgreSQL."""
    return create_registry(tmp_path, registry=location)[0]


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Registry:
    """Make an empty registry on SQLite, for tests that do not depend on the database."""
    return create_registry(tmp_path)[0]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """Write ``ref.fa`` in ``tmp_path``: the 120 bases of the contig ``c1``."""
    return write_reference(tmp_path / "ref.fa", {"c1": small_cohort.BASES})


@pytest.fixture
def store(tmp_path: Path, reference: Path) -> Store:
    """Return the empty store ``cohort`` in ``tmp_path``."""
    return create_store(tmp_path / "cohort", reference=reference)


@pytest.fixture
def cohort(store: Store, tmp_path: Path) -> Store:
    """Return the store with the participants ``P0``, ``P1`` and ``P2`` in the batch ``b1``."""
    add_batch(store, batch="b1", members=[small_cohort.member(tmp_path, number) for number in range(3)])
    return store


@pytest.fixture
def workspace(tmp_path: Path) -> FinishedWorkspace:
    """Return the workspace ``w`` in ``tmp_path``: three participants went from a delivery to their tables."""
    return finished_workspace(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests first, so that no worker ends long after the others."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
