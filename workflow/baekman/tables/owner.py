"""The workspace that a folder of tables belongs to, and whether they are encrypted, in ``tables.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.digests import unsealed, write_sealed
from baekman.workspace.identity import KEY, id_in
from baekman.workspace.paths import Top

OWNER_FILE = "tables.json"
ENCRYPTED = "encrypted"


def owner_of(folder: Path) -> str:
    """Return the ID of the workspace that the tables in ``folder`` belong to; "" for those of a release.

    Raises DamagedFile when ``tables.json`` has other bytes than were written.
    """
    path = folder / OWNER_FILE
    try:
        owner = id_in(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if owner is None:
        raise DamagedFile(path)
    return owner


def note_owner(folder: Path, owner: str, *, encrypted: bool) -> None:
    """Note in ``folder`` that its tables belong to the workspace with the ID ``owner``; "" notes nothing.

    A damaged note, and one of an earlier version, is written again.

    Raises:
        InputRefused: The tables there belong to another workspace.
    """
    path = folder / OWNER_FILE
    try:
        present = owner_of(folder)
    except DamagedFile:
        present = ""
    if present and present != owner:
        raise InputRefused(
            Problem(
                file="--output",
                expected="a new folder, or one with tables of this workspace",
                found="tables of another workspace",
                action="choose another folder",
            )
        )
    value = {KEY: owner, ENCRYPTED: encrypted or is_noted_encrypted(folder)}
    if owner and not (path.is_file() and unsealed(path.read_bytes()) == value):
        write_sealed(path, value)


def is_noted_encrypted(folder: Path) -> bool:
    """Return whether the tables in ``folder`` are noted as encrypted."""
    path = folder / OWNER_FILE
    return path.is_file() and bool((unsealed(path.read_bytes()) or {}).get(ENCRYPTED))


def require_keys_if_encrypted(folder: Path) -> None:
    """Raise InputRefused when the tables in ``folder`` are encrypted; call it where the workspace has no keys."""
    if is_noted_encrypted(folder):
        raise InputRefused(
            Problem(
                file=Top.TABLE_KEYS,
                expected="the keys of these tables, which are encrypted",
                found="none",
                action="mount the disk with the keys, or restore the folder from a back-up; "
                "if they are lost for ever, delete the tables and write them again",
            )
        )


def verify_owner(folder: Path, *, owner: str) -> Iterator[str]:
    """Yield a line when ``tables.json`` of the workspace's own tables is absent, damaged or of another workspace."""
    again = "write it again with `baekman tables --output TABLES`"
    try:
        present = owner_of(folder)
    except DamagedFile:
        yield f"{OWNER_FILE}: damaged; {again}"
        return
    if not present:
        yield f"{OWNER_FILE}: absent; {again}"
    elif present != owner:
        yield f"{OWNER_FILE}: of another workspace; if the tables are of this one, delete it and {again}"
