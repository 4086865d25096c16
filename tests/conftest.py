"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from baekman.registry.records import Registry, create_registry
from support import postgresql

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real human data beside the project: optional on a laptop, required in CI."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        message = "real data is absent: no folder ../shared/data beside the project"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: optional on a laptop, required in CI."""
    folder = postgresql.binaries()
    if folder is None:
        message = "no PostgreSQL server: Debian's package postgresql is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with postgresql.server(folder) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """What ``--registry`` says: nothing, or the URL of an empty database."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgresql_server")
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def registry(location: str | None, tmp_path: Path) -> Registry:
    """An empty registry, on SQLite and on PostgreSQL."""
    return create_registry(tmp_path, registry=location)[0]


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Registry:
    """An empty registry, for what does not depend on the database."""
    return create_registry(tmp_path)[0]
