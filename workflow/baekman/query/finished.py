"""The finished tables of a workspace."""

from __future__ import annotations

from pathlib import Path

from baekman.cohort.store import Store
from baekman.errors import InputRefused
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.tables.files import metadata_of, table_path
from baekman.tables.keys import open_keys
from baekman.workspace.paths import Workspace


def finished_tables(store: Store, participant: str) -> Path | None:
    """Return the folder of tables in the workspace of ``store``; None where ``participant`` has none that is readable.

    An encrypted table without its key is not readable, nor is one with a damaged footer.
    """
    folder = Workspace(store.workspace).tables
    if store.is_bare or not PARTICIPANT_ID.fullmatch(participant) or not table_path(folder, participant).is_file():
        return None
    try:
        keys = open_keys(store.workspace)
        metadata = metadata_of(table_path(folder, participant), participant=participant, keys=keys)
    except InputRefused:
        return None
    return folder if metadata else None
