"""The withdrawal of a participant from the freezes in a workspace."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from baekman.arrow import read_parquet, write_parquet
from baekman.errors import DamagedFile
from baekman.files.atomic import atomic_file
from baekman.files.digests import LIST, read_sealed, sha256_of, write_sealed
from baekman.freezes.files import PARTICIPANTS_FILE, SUMS_FILE, read_sums, remove_parts, write_sums
from baekman.freezes.folder import TABLES, is_freeze
from baekman.tables.files import files_of, remove_tables
from baekman.tables.seals import seals_digest


def leave_freezes(root: Path, names: Iterable[str], *, participant: str) -> None:
    """Take ``participant`` out of each freeze that has one of the files ``names``, by paths within ``root``."""
    folders = {parent for name in names for parent in (root / name).parents if parent.is_relative_to(root)}
    for folder in sorted(folders):
        if is_freeze(folder):
            leave_freeze(folder, participant=participant)


def leave_freeze(output: Path, *, participant: str) -> None:
    """Take ``participant`` out of a freeze: tables, row and sums, which are then those of one that never had them.

    Sites and the frequencies in others' tables count the participant still; the list of digests notes how many left. A
    second call changes nothing. A list that is damaged or absent stays as it is, for ``baekman verify`` to report.
    """
    remove_parts(output)
    remove_tables(output / TABLES, participant)
    for path in files_of(output / TABLES, participant):
        with suppress(OSError):  # of others' files
            path.parent.rmdir()
    _leave_participants(output, participant)
    try:
        noted = read_sealed(output / LIST)
    except (DamagedFile, FileNotFoundError):
        return
    count, seals = seals_digest(output / TABLES)
    changed = {**noted, "frozen": noted.get("frozen", noted["participants"]), "participants": count, "seals": seals}
    if (count, seals) != (noted["participants"], noted["seals"]):
        write_sealed(output / LIST, changed)
    _leave_sums(output, participant)


def _leave_participants(output: Path, participant: str) -> None:
    path = output / PARTICIPANTS_FILE
    if not path.is_file():
        return
    try:
        table = read_parquet(path)
    except DamagedFile:
        path.unlink()  # it may name the participant
        return
    ids = table.column("participant_id").to_pylist()
    if participant in ids:
        row = ids.index(participant)
        kept = [number for number in range(len(ids)) if number != row]
        write_parquet(table.take(kept).combine_chunks(), path)


def _leave_sums(output: Path, participant: str) -> None:
    """Write the sums again without the participant's tables, and with those of the files that changed."""
    path = output / SUMS_FILE
    if not path.is_file():
        return
    present = [name for name in (LIST, PARTICIPANTS_FILE) if (output / name).is_file()]
    changed = {name: sha256_of(output / name) for name in present}
    try:
        with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as sums:
            for sha256, name in read_sums(output):
                if participant not in name:
                    sums.write(f"{changed.get(name, sha256)}  {name}\n")
    except DamagedFile:
        write_sums(output)
