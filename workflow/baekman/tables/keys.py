"""The keys of encrypted tables: one for each participant, sealed by a master key, destroyed by a withdrawal.

Where the folder ``<workspace>/table_keys`` exists (or a link to one elsewhere), tables are written encrypted:
Parquet modular encryption, AES-GCM with a key of 256 bits for footer and columns. The folder holds
``<two characters of the ID>/<ID>.key``, each sealed for that participant, and ``master.id``, the ID of the master key,
which reveals nothing about it. ``master.key`` is there unless ``BAEKMAN_TABLES_KEY`` gives the key. Without a
participant's key no copy of the participant's tables can be read anywhere, even with the master key.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet.encryption as parquet_encryption

from baekman import audit
from baekman.errors import InputRefused, Problem
from baekman.files import locks
from baekman.files.atomic import write_text
from baekman.files.secret_file import destroy_secret, write_secret
from baekman.key_ring import (
    ID_BYTES,
    KEY_BYTES,
    Key,
    KeyRing,
    Purpose,
    keys_from_environment,
    make_key_file,
    read_key_file,
    require_file,
)
from baekman.tables.owner import require_keys_if_encrypted
from baekman.workspace.identity import identify
from baekman.workspace.paths import Top, Workspace

FOLDER = Top.TABLE_KEYS
MASTER_FILE = "master.key"
MASTER_NAME = "master.id"
LOCK = ".lock"  # keeps a rotation and the making of keys apart
ROTATION = "keys of tables that other commands make or rotate"
LOOKED_AT = 100
ENCRYPTED = b"PARE"  # the last bytes of a Parquet file with an encrypted footer
TABLES = Purpose(
    "tables",
    "BAEKMAN_TABLES_KEY",
    "BAEKMAN_TABLES_KEY",
    "baekman table-keys init",
    remedy="restore the key from a back-up; without one, delete it and write the table again with `baekman tables`",
)


class TableKeys:
    """The participants' keys, opened with the master key. No representation and no error shows a key."""

    def __init__(self, folder: Path, ring: KeyRing) -> None:
        self.folder = folder
        self.ring = ring

    def encryption(self, participant: str) -> Any:
        """Return pyarrow's properties to write a participant's table; a missing key is made."""
        if not self.has(participant):
            with locks.shared(self.folder / LOCK, waits_for=ROTATION):
                self.ring.use(_master_name(self.folder))
                sealed = self._sealed(participant, secrets.token_bytes(KEY_BYTES))
                write_secret(_key_file(self.folder, participant), sealed, replace=False)
        return parquet_encryption.create_encryption_properties(self._key(participant))

    def decryption(self, participant: str) -> Any:
        """Return pyarrow's properties to read a participant's table; raises InputRefused without the key."""
        return parquet_encryption.create_decryption_properties(self._key(participant))

    def has(self, participant: str) -> bool:
        """Return whether there is a key for a participant's tables."""
        return _key_file(self.folder, participant).exists()

    def _key(self, participant: str) -> bytes:
        try:
            sealed = _key_file(self.folder, participant).read_bytes()
        except FileNotFoundError:
            raise InputRefused(
                Problem(
                    file="tables",
                    place=participant,
                    expected="the key of this participant's tables",
                    found="none",
                    action="it was destroyed by a withdrawal, or the tables are of another workspace",
                )
            ) from None
        return base64.b64decode(self.ring.unseal(sealed, identity=f"tables {participant}")["key"])

    def _sealed(self, participant: str, key: bytes) -> bytes:
        return self.ring.seal({"key": base64.b64encode(key).decode()}, identity=f"tables {participant}")

    def rotate(self) -> int:
        """Seal every key with a new master key, which replaces the old one in its file; returns the number of keys.

        The tables are not touched. A second call finishes a rotation that was stopped.
        """
        file = require_file(self.ring)
        with locks.exclusive(self.folder / LOCK, waits_for=ROTATION):
            self.ring.use(_master_name(self.folder))
            fresh = Key.new(TABLES)
            # until the end the file keeps every master key that a participant's key may be sealed with
            both = TableKeys(self.folder, KeyRing([fresh, *self.ring.keys]))
            make_key_file(file, both.ring.keys)
            participants = [path.name.removesuffix(".key") for path in sorted(self.folder.glob("*/*.key"))]
            for participant in participants:
                sealed = both._sealed(participant, both._key(participant))
                write_secret(_key_file(self.folder, participant), sealed)
            write_text(self.folder / MASTER_NAME, fresh.key_id.hex() + "\n")
            make_key_file(file, [fresh])
        self.ring = KeyRing([fresh], file=file)
        return len(participants)


def bucket_of(participant: str) -> str:
    """Return the name of the folder, one of about a thousand, of a participant's files: two characters of the ID."""
    return participant[1:3].replace(".", "_").ljust(2, "_")


def folder_of(workspace: Path) -> Path | None:
    """Return the folder of the keys of ``workspace``; None where tables are not encrypted."""
    folder = workspace / FOLDER
    # a broken link (a disk that is not mounted) does not permit plain tables
    return folder if folder.is_symlink() or folder.exists() else None


def create(workspace: Path) -> bool:
    """Encrypt the tables of ``workspace`` from now on; returns False when they are encrypted already.

    A master key is made in ``master.key`` (0600) unless ``BAEKMAN_TABLES_KEY`` gives one. A missing file that the
    variable names is made. A lost or damaged ``master.id`` is written again. InputRefused where the tables of the
    workspace are encrypted and their keys are gone.
    """
    folder = workspace / FOLDER
    if (folder / MASTER_NAME).is_file() or _sealing_ids(folder):
        if name := _lost_name(folder, _ring(folder)):
            audit.record(workspace, action="table-keys.init")
            with locks.exclusive(folder / LOCK, waits_for=ROTATION):
                write_text(folder / MASTER_NAME, name.hex() + "\n")
        open_keys(workspace)
        return False
    if folder_of(workspace) is None:
        require_keys_if_encrypted(workspace / Top.TABLES)
    identify(Workspace(workspace))
    audit.record(workspace, action="table-keys.init")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locks.exclusive(folder / LOCK, waits_for=ROTATION):
        if (folder / MASTER_NAME).is_file():
            return False
        master = keys_from_environment(TABLES) or folder / MASTER_FILE
        if isinstance(master, Path) and not master.exists():
            make_key_file(master, [Key.new(TABLES)])
        ring = master if isinstance(master, KeyRing) else read_key_file(master, TABLES)
        write_text(folder / MASTER_NAME, ring.current.hex() + "\n")
    return True


def open_keys(workspace: Path) -> TableKeys | None:
    """Return the keys of ``workspace``, None where tables are not encrypted; raises InputRefused without master key."""
    folder = folder_of(workspace)
    if folder is None:
        return None
    if not (folder / MASTER_NAME).is_file() and not _sealing_ids(folder):
        _master_name(folder)  # refuses: the disk with the keys is not there
    ring = _ring(folder)
    if _lost_name(folder, ring):
        raise InputRefused(
            Problem(
                file=FOLDER,
                place=MASTER_NAME,
                expected="the ID of the master key, which sealed the keys of participants",
                found="another, or none",
                action="`baekman table-keys init` writes it again",
            )
        )
    ring.use(_master_name(folder))
    return TableKeys(folder, ring)


def verify_keys(keys: TableKeys) -> Iterator[str]:
    """Yield a line for each key of a participant that the master key does not open."""
    for path in sorted(keys.folder.glob("*/*.key")):
        try:
            keys.decryption(path.name.removesuffix(".key"))
        except InputRefused as refusal:
            yield str(refusal.problems[0])


def destroy(workspace: Path, participant: str) -> bool:
    """Destroy a participant's key, without the master key; return False when there was none."""
    folder = folder_of(workspace)
    if folder is None or not folder.is_dir():
        return False
    with locks.exclusive(folder / LOCK, waits_for=ROTATION):
        return destroy_secret(_key_file(folder, participant))


def has_key(workspace: Path, participant: str) -> bool:
    """Return whether there is a key for a participant's tables."""
    folder = folder_of(workspace)
    return folder is not None and _key_file(folder, participant).exists()


def is_encrypted(table: Path) -> bool:
    """Return whether a Parquet file needs a key."""
    with table.open("rb") as file:
        file.seek(-len(ENCRYPTED), os.SEEK_END)
        return file.read() == ENCRYPTED


def _ring(folder: Path) -> KeyRing:
    master = keys_from_environment(TABLES) or folder / MASTER_FILE
    return master if isinstance(master, KeyRing) else read_key_file(master, TABLES)


def _sealing_ids(folder: Path) -> set[bytes]:
    """Return the IDs of the master keys that sealed the first of the participants' keys."""
    return {path.read_bytes()[:ID_BYTES] for path in islice(folder.glob("*/*.key"), LOOKED_AT)}


def _lost_name(folder: Path, ring: KeyRing) -> bytes | None:
    """Return the ID that ``master.id`` should have; None when it has one of ``ring``, or nothing shows which."""
    ids = [key.key_id for key in ring.keys]
    try:
        if _master_name(folder) in ids:
            return None
    except InputRefused:
        pass
    used = _sealing_ids(folder)
    return next((name for name in ids if name in used), None)


def _key_file(folder: Path, participant: str) -> Path:
    return folder / bucket_of(participant) / f"{participant}.key"


def _master_name(folder: Path) -> bytes:
    try:
        return bytes.fromhex((folder / MASTER_NAME).read_text("ascii").strip())
    except (OSError, ValueError):
        raise InputRefused(
            Problem(
                file=FOLDER,
                place=MASTER_NAME,
                expected="the ID of the master key",
                found="none",
                action="mount the disk with the keys, or restore them: without them the tables cannot be read",
            )
        ) from None
