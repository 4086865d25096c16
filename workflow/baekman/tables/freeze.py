"""A freeze: the sites and the tables of every participant at one snapshot, for a release."""

from __future__ import annotations

import shutil
from pathlib import Path

from baekman.cohort.commit import sites_metadata
from baekman.cohort.index import excluded
from baekman.cohort.rewrite import subset
from baekman.cohort.snapshot import Snapshot, read_snapshot, reading, refuse_gone
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_folder
from baekman.tables.files import metadata_of
from baekman.tables.make import make_tables
from baekman.workspace.denied import admission_of
from baekman.workspace.paths import Workspace


def freeze(store: Store, *, output: Path, purpose: str = "", engine: Engine | None = None) -> Snapshot:
    """Write ``sites/`` and ``tables/`` of everyone at the current snapshot below ``output``; returns it.

    Participants without consent to ``purpose`` in force are left out: sites and tables are those of a cohort that never
    had them. A second run after a kill goes on where the first stopped. ``output`` is never overwritten with another
    snapshot.

    Raises:
        InputRefused: ``output`` holds another freeze, or the consent of a participant ended while it was written.
    """
    snapshot = read_snapshot(store)
    workspace = None if store.is_bare else Workspace(store.workspace)
    without = excluded(store, admission_of(workspace, purpose=purpose), at=snapshot)
    if not without:
        _write(store, snapshot, output=output, engine=engine)
    else:
        try:
            with subset(store, snapshot, without=without, engine=engine) as (part, smaller):
                _write(part, smaller, output=output, engine=engine)
        except FileNotFoundError:
            refuse_gone(store, [snapshot.number])
            raise
    ended = excluded(store, admission_of(workspace, purpose=purpose), at=snapshot) - without
    if ended:
        shutil.rmtree(output / "sites", ignore_errors=True)
        shutil.rmtree(output / "tables", ignore_errors=True)
        raise InputRefused(
            Problem(
                file="cohort",
                expected="consent that stays in force while a freeze is written",
                found=f"{len(ended)} participants without it now; the freeze was deleted",
                action="run the same command again",
            )
        )
    return snapshot


def _write(store: Store, snapshot: Snapshot, *, output: Path, engine: Engine | None) -> None:
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
