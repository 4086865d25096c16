"""The snapshots of tables: ``af``, joint genotypes and filters of two snapshots are of different participants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from baekman.cohort.snapshot import numbers, read_snapshot
from baekman.cohort.store import Store
from baekman.errors import InputRefused
from baekman.tables.files import metadata_of
from baekman.tables.keys import TableKeys, is_encrypted
from baekman.tables.seals import read_footer

SHOWN = 3  # snapshots in a sentence
# a key of the file's metadata and its value, as Parquet's footer has them: field, length, bytes (Thrift compact)
_CONTENT = re.compile(rb"baekman\.snapshot\x18@([0-9a-f]{64})")
_PARTICIPANTS = re.compile(rb"baekman\.participants\x18.(\d+)", re.DOTALL)


class TableSnapshot(NamedTuple):
    """The snapshot of a table: the digest of its participants, and their number."""

    content: str
    participants: int


def snapshot_of(path: Path, *, keys: TableKeys | None) -> TableSnapshot:
    """Return the snapshot of a participant's table by its footer; without its key one without a digest."""
    if not is_encrypted(path):
        footer = read_footer(path)
        content, participants = _CONTENT.search(footer), _PARTICIPANTS.search(footer)
        if content and participants:
            return TableSnapshot(content[1].decode(), int(participants[1]))
    metadata = metadata_of(path, participant=path.stem, keys=keys)
    return TableSnapshot(metadata.get("baekman.snapshot", ""), int(metadata.get("baekman.participants", 0)))


def mixed_sentence(paths: Iterable[Path], *, keys: TableKeys | None, store: Store | None) -> str:
    """Return the sentence on tables of several snapshots that are read together; "" for those of one.

    ``store``: the cohort that knows the numbers of its snapshots.
    """
    tables = Counter(snapshot_of(path, keys=keys) for path in paths)
    if len(tables) < 2:
        return ""
    ordered = sorted(tables, key=lambda each: (each.participants, each.content))
    names = numbers_of([each.content for each in ordered], store=store)
    parts = [f"{names[each.content]} of {_people(each)}: {_count(tables[each])}" for each in ordered[:SHOWN]]
    return (
        f"tables of {len(tables)} snapshots are read together ({'; '.join(parts)}{'; …' * (len(tables) > SHOWN)}): "
        "af, joint genotypes and filter differ between them; `baekman cohort freeze` or `baekman tables` writes all "
        "tables at one snapshot"
    )


def other_sentence(path: Path, *, keys: TableKeys | None, store: Store, of_sites: TableSnapshot) -> str:
    """Return the sentence on a table of another snapshot than ``of_sites``, that of the sites; "" for the same."""
    snapshot = snapshot_of(path, keys=keys)
    if snapshot.content in ("", of_sites.content):
        return ""
    name = numbers_of([snapshot.content], store=store)[snapshot.content]
    return (
        f"af, joint genotypes and filter of this table are of {name} of {_people(snapshot)}; the sites are of "
        f"{_people(of_sites)}: `baekman cohort freeze` or `baekman tables` writes all tables at one snapshot"
    )


def numbers_of(contents: Sequence[str], *, store: Store | None) -> Mapping[str, str]:
    """Return the name of each snapshot by its digest: its number where the store has it, else its first characters."""
    names = {content: f"snapshot {content[:8]}…" for content in contents}
    if store is None or not store.snapshots.is_dir():  # no cohort at hand, or a freeze
        return names
    for number in numbers(store):
        try:
            content = read_snapshot(store, number).content
        except InputRefused:  # damaged, or deleted by another command
            continue
        if content in names:
            names[content] = f"snapshot {number}"
    return names


def _people(snapshot: TableSnapshot) -> str:
    return "1 participant" if snapshot.participants == 1 else f"{snapshot.participants} participants"


def _count(tables: int) -> str:
    return "1 table" if tables == 1 else f"{tables} tables"
