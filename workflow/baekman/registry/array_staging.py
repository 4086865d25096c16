"""Array genotypes of an import: files beside those in use, until the import's transaction is there.

The transaction notes the name of their folder in ``settings``. A folder that is noted is of an import that was
done, and its files are put in their place, now or after a kill by whoever opens the registry next; any other is of
an import that was given up.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select

from baekman.files.atomic import fsync_folder
from baekman.registry import database as registry_store
from baekman.registry.database import settings

ARRAYS_FOLDER = "arrays"
STAGED_FOLDER = "arrays.staged"
SUFFIX = ".vcf.gz"


def array_path(folder: Path, specimen_id: str) -> Path:
    """Where the array genotypes of a specimen lie in a registry's ``folder``."""
    return folder / ARRAYS_FOLDER / f"{specimen_id}{SUFFIX}"


def new_stage(folder: Path) -> Path:
    """The folder, not made yet, for the arrays of one import into the registry in ``folder``."""
    return folder / STAGED_FOLDER / secrets.token_hex(8)


def note(connection: Connection, stage: Path) -> None:
    """Note in the import's transaction that what is in ``stage`` belongs to it."""
    fsync_folder(stage)
    connection.execute(settings.insert(), {"name": _name(stage), "value": "staged"})


def settle(connection: Connection, folder: Path) -> None:
    """Put in place what imports have staged that are done, and remove what others have left.

    ``connection`` is in a transaction of ``registry_store.writing``, so that no import is under way.
    """
    for stage in sorted((folder / STAGED_FOLDER).glob("*")):
        if _is_noted(connection, stage):
            for file in stage.glob(f"*{SUFFIX}"):
                place = array_path(folder, file.name.removesuffix(SUFFIX))
                place.parent.mkdir(exist_ok=True)
                file.replace(place)
            fsync_folder(folder / ARRAYS_FOLDER)
            connection.execute(delete(settings).where(settings.c.name == _name(stage)))
        shutil.rmtree(stage)


def settle_noted(engine: Engine, folder: Path) -> None:
    """``settle`` where an import is done and was killed before it could; waits for no import that is under way."""
    stages = list((folder / STAGED_FOLDER).glob("*"))
    if stages:
        with registry_store.reading(engine) as connection:
            is_noted = any(_is_noted(connection, stage) for stage in stages)
        if is_noted:
            with registry_store.writing(engine) as connection:
                settle(connection, folder)


def _is_noted(connection: Connection, stage: Path) -> bool:
    return connection.scalar(select(settings.c.name).where(settings.c.name == _name(stage))) is not None


def _name(stage: Path) -> str:
    return f"arrays {stage.name}"
