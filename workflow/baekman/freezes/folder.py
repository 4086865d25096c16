"""The folder of a freeze, known without opening one of its files: every command that opens a cohort looks."""

from __future__ import annotations

from pathlib import Path

from baekman.files.digests import LIST
from baekman.workspace.identity import STORE_FILE

SITES, TABLES = "sites", "tables"
ANNOTATIONS = "annotations"  # of a snapshot that was annotated
EVIDENCE = 2  # the version of tables with all of the evidence (schemas FROZEN_TABLES), in the list of digests
WORK = ".freeze"  # the unfinished freeze in the folder of the output


def is_freeze(path: Path) -> bool:
    """Return whether the folder ``path`` is a finished freeze, of an earlier version too, and no cohort store."""
    has_sites = (path / SITES).is_dir() or ((path / LIST).is_file() and not (path / WORK).is_dir())
    return (path / TABLES).is_dir() and has_sites and not (path / STORE_FILE).exists()
