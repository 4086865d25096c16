"""Relatedness on disk: a folder for each snapshot, deleted with the last snapshot of the same people and sites."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import numpy_of, read_listed
from baekman.cohort.snapshot import RELATEDNESS, Snapshot
from baekman.cohort.store import Store
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.digests import LIST, digests_of, read_digests, read_sealed
from baekman.relatedness.schema import COMPONENTS, DEGREE_NAMES, FILES, KINSHIP

NOTE = "relatedness.json"
NEXT_STEP = "run: baekman cohort relatedness"


def folder_of(store: Store, snapshot: Snapshot) -> Path:
    """Return the folder of a snapshot's relatedness; snapshots of the same people and sites share it."""
    return store.path / RELATEDNESS / snapshot.state


def noted(store: Store, snapshot: Snapshot) -> dict[str, Any] | None:
    """Return the note on a snapshot's relatedness: versions, options, numbers; None where it is not computed."""
    try:
        return read_sealed(folder_of(store, snapshot) / NOTE)
    except FileNotFoundError:
        return None


def pairs(store: Store, snapshot: Snapshot, *, without: Collection[str] = ()) -> pa.Table:
    """Return the pairs of relatives of the third degree or closer (schema PAIRS), sorted by their IDs.

    Pairs with a participant in ``without`` are left out: pass those who are left out for the purpose. Raises
    InputRefused where the relatedness of the snapshot is not computed, DamagedFile for another file than was written.
    """
    table = _read(store, snapshot, KINSHIP)
    denied = pa.array(sorted(without), pa.string())
    is_out = [pc.is_in(table.column(name), value_set=denied) for name in ("participant_1", "participant_2")]
    return table.filter(pc.invert(pc.or_(*is_out)))


def people(store: Store, snapshot: Snapshot, *, without: Collection[str] = ()) -> pa.Table:
    """Return components, inbreeding and outliers of each participant (schema PEOPLE), sorted by ID.

    Participants in ``without`` have no row. Raises as ``pairs`` does.
    """
    table = _read(store, snapshot, COMPONENTS)
    denied = pa.array(sorted(without), pa.string())
    return table.filter(pc.invert(pc.is_in(table.column("participant_id"), value_set=denied)))


def degrees(store: Store, snapshot: Snapshot, *, without: Collection[str] = ()) -> dict[str, int]:
    """Return the number of pairs by degree, the most related first, with the names of ``DEGREE_NAMES``."""
    counts = np.bincount(numpy_of(pairs(store, snapshot, without=without), "degree"), minlength=len(DEGREE_NAMES))
    return dict(zip(DEGREE_NAMES, counts.tolist(), strict=True))


def _read(store: Store, snapshot: Snapshot, name: str) -> pa.Table:
    if noted(store, snapshot) is None:
        raise InputRefused(
            Problem(
                file="cohort",
                expected=f"the relatedness of snapshot {snapshot.number}",
                found="none",
                action=NEXT_STEP,
            )
        )
    return read_listed(folder_of(store, snapshot), name)


def damaged_relatedness(store: Store) -> Iterator[str]:
    """Yield a line for each folder of relatedness without the files that were written."""
    for folder in sorted((store.path / RELATEDNESS).glob("[!.]*/")):
        if not is_whole(folder):
            yield f"{RELATEDNESS}/{folder.name}: damaged; write it again with `baekman cohort relatedness`"


def has_relatedness(store: Store, snapshot: Snapshot, settings: Mapping[str, Any]) -> bool:
    """Return whether a snapshot has undamaged relatedness that was computed with ``settings``."""
    try:
        note = noted(store, snapshot)
        made = None if note is None else {key: note.get(key) for key in settings}
        return made == json.loads(json.dumps(settings)) and is_whole(folder_of(store, snapshot))
    except DamagedFile:
        return False


def is_whole(folder: Path) -> bool:
    """Return whether the tables are there with the digests of their list, and the note on them too."""
    try:
        read_sealed(folder / NOTE)
        listed = read_digests(folder / LIST) or {}
        return set(listed) == {*FILES} and listed == digests_of(folder, folder.glob("*.parquet"))
    except (DamagedFile, FileNotFoundError):
        return False
