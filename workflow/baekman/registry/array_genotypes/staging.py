"""Array genotypes of an import: staged files that wait until the import's transaction is done.

The transaction notes the name of the stage's folder in ``settings``. A noted folder is of an import that is done: its
files go to their place, now, or after a kill when the registry is opened next. A folder without a note is of an import
that was given up.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select

from baekman.files.atomic import fsync_folder
from baekman.registry import database
from baekman.registry.database import settings

ARRAYS_FOLDER = "arrays"
STAGED_FOLDER = "arrays.staged"
SUFFIX = ".vcf.gz"


def array_path(folder: Path, *, specimen_id: str) -> Path:
    """Return the path of a specimen's array genotypes in a registry's ``folder``."""
    return folder / ARRAYS_FOLDER / f"{specimen_id}{SUFFIX}"


def new_stage(folder: Path) -> Path:
    """Return a new path for the arrays of one import into the registry in ``folder``; the folder is not made."""
    return folder / STAGED_FOLDER / secrets.token_hex(8)


def note(connection: Connection, *, stage: Path) -> None:
    """Note in the import's transaction that the files in ``stage`` belong to it."""
    fsync_folder(stage)
    connection.execute(settings.insert(), {"name": _name(stage), "value": "staged"})


def settle(connection: Connection, *, folder: Path) -> None:
    """Put the files of noted stages in their place, and remove other stages.

    ``connection`` is in a transaction of ``database.writing``, so no import is under way.
    """
    for stage in sorted((folder / STAGED_FOLDER).glob("*")):
        if _is_noted(connection, stage):
            for file in stage.glob(f"*{SUFFIX}"):
                path = array_path(folder, specimen_id=file.name.removesuffix(SUFFIX))
                path.parent.mkdir(exist_ok=True)
                file.replace(path)
            fsync_folder(folder / ARRAYS_FOLDER)
            connection.execute(delete(settings).where(settings.c.name == _name(stage)))
        shutil.rmtree(stage)


def settle_noted(engine: Engine, *, folder: Path) -> None:
    """Call ``settle`` if an import was killed after its transaction; do not wait for an import that is under way."""
    stages = list((folder / STAGED_FOLDER).glob("*"))
    if stages:
        with database.reading(engine) as connection:
            is_noted = any(_is_noted(connection, stage) for stage in stages)
        if is_noted:
            with database.writing(engine) as connection:
                settle(connection, folder=folder)


def _is_noted(connection: Connection, stage: Path) -> bool:
    return connection.scalar(select(settings.c.name).where(settings.c.name == _name(stage))) is not None


def _name(stage: Path) -> str:
    return f"arrays {stage.name}"
