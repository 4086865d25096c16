"""The location of a registry: its database, the folder of its arrays, and its key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from baekman.key_ring import KeyRing, keys_from_environment, read_key_file
from baekman.registry.database import DATABASE_NAME
from baekman.workspace.paths import Top

REGISTRY_VARIABLE = "BAEKMAN_REGISTRY"
KEY_FILE_NAME = "registry.key"


@dataclass(frozen=True)
class Location:
    """A registry's database (an SQLite file or a PostgreSQL URL), and the folder of its arrays and, by default, key."""

    database: str | Path
    folder: Path

    def key_source(self, key_file: Path | None = None) -> KeyRing | Path:
        """Return ``key_file``, else the key that ``BAEKMAN_REGISTRY_KEY`` gives, else the key file in the folder."""
        return key_file or keys_from_environment() or self.folder / KEY_FILE_NAME

    def key_ring(self, key_file: Path | None = None) -> KeyRing:
        """Return the keys of ``key_source``; InputRefused when there are none."""
        source = self.key_source(key_file)
        return source if isinstance(source, KeyRing) else read_key_file(source)


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
