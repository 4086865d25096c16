"""Annotations on disk: a folder for each set of sites, deleted with the last snapshot that has these sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from baekman.arrow import read_listed
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.digests import LIST, digests_of, read_digests, read_sealed

NOTE = "sources.json"
NEXT_STEP = "configure `annotate` (config/README.md), then run: baekman cohort annotate"


def noted(store: Store, snapshot: Snapshot) -> dict[str, Any] | None:
    """Return the sources of a snapshot's annotations: names, SHA-256 and versions; None where it is not annotated."""
    try:
        return read_sealed(store.annotations(snapshot.sites) / NOTE) if snapshot.sites else None
    except FileNotFoundError:
        return None


def annotation_files(store: Store, snapshot: Snapshot, shards: Sequence[int]) -> dict[Path, list[str]]:
    """Return the files of the annotations of ``shards`` by the folder that lists their digests; empty without any."""
    if noted(store, snapshot) is None:
        return {}
    return {store.annotations(snapshot.sites): [f"{store.shards[shard].name}.parquet" for shard in shards]}


def require_annotated(store: Store, snapshot: Snapshot) -> dict[str, Any]:
    """Return ``noted``; raise InputRefused for a snapshot without annotations."""
    sources = noted(store, snapshot)
    if sources is None:
        raise InputRefused(
            Problem(
                file="cohort",
                expected=f"annotations of snapshot {snapshot.number}",
                found="none",
                action=NEXT_STEP,
            )
        )
    return sources


def read_annotations(store: Store, snapshot: Snapshot, shard: int, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the annotations (schema ANNOTATIONS) of one shard, a row per row of its sites, or some columns."""
    return read_listed(store.annotations(snapshot.sites), f"{store.shards[shard].name}.parquet", columns=columns)


def damaged_annotations(store: Store) -> Iterator[str]:
    """Yield a line for each folder of annotations with other files than were written."""
    for folder in sorted((store.path / "annotations").glob("[!.]*/")):
        if not is_whole(folder):
            yield f"annotations/{folder.name}: damaged; write it again with `baekman cohort annotate`"


def has_annotations(store: Store, snapshot: Snapshot, sources: Mapping[str, Any]) -> bool:
    """Return whether a snapshot has undamaged annotations from ``sources``, as ``noted`` returns them."""
    try:
        return noted(store, snapshot) == sources and is_whole(store.annotations(snapshot.sites))
    except DamagedFile:
        return False


def is_whole(folder: Path) -> bool:
    """Return whether the files of annotations are all there with the digests of their list, and their sources too."""
    try:
        read_sealed(folder / NOTE)
        listed = read_digests(folder / LIST) or {}
        return bool(listed) and listed == digests_of(folder, folder.glob("*.parquet"))
    except (DamagedFile, FileNotFoundError):
        return False
