"""A freeze: the sites and the tables of every participant at one snapshot, for a release."""

from __future__ import annotations

import shutil
from pathlib import Path

from baekman.cohort.commit import sites_metadata
from baekman.cohort.index import find_batches
from baekman.cohort.snapshot import Snapshot, read_snapshot, reading
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_folder
from baekman.tables.files import metadata_of
from baekman.tables.make import make_tables
from baekman.workspace.denied import denied_participants, require_consent
from baekman.workspace.paths import Workspace


def freeze(store: Store, *, output: Path, engine: Engine | None = None) -> Snapshot:
    """Write ``sites/`` and ``tables/`` of everyone at the current snapshot below ``output``; returns the snapshot.

    A second run after a kill goes on where the first stopped. ``output`` is never overwritten with another snapshot.

    Raises:
        InputRefused: a participant's consent is not in force, or ``output`` holds another freeze.
    """
    snapshot = read_snapshot(store)
    denied = sorted(denied_participants(Workspace(store.workspace)))
    require_consent(Workspace(store.workspace), find_batches(store, denied, at=snapshot), file="cohort")
    existing = output / "sites"
    if existing.is_dir():
        if metadata_of(existing / f"{store.shards[0].name}.parquet") != sites_metadata(store, snapshot):
            raise InputRefused(
                Problem(
                    file="--output",
                    expected="a new folder, or one with a freeze of this snapshot",
                    found="a freeze of another snapshot, or with other settings",
                    action="choose another folder: a freeze is never overwritten",
                )
            )
    elif snapshot.number:
        for stale in output.glob(".sites.*.tmp"):  # left by a killed run
            shutil.rmtree(stale)
        with reading(store, snapshot), atomic_folder(existing) as folder:
            for shard in store.shards:
                name = f"{shard.name}.parquet"
                shutil.copyfile(store.sites(snapshot.number) / name, folder / name)
    make_tables(store, output=output / "tables", snapshot=snapshot, engine=engine)
    return snapshot
