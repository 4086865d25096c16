"""The ways to a cohort: open a store or a freeze, or create a store."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from baekman.api.cohort import Cohort
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import create_store, open_store, store_folder
from baekman.consent import scopes_of
from baekman.engine.local import Engine

Location = str | PathLike[str]


def open_cohort(
    path: Location,
    *,
    snapshot: int | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    insecure: bool = False,
    workspace: Location | None = None,
    purpose: str = "",
) -> Cohort:
    """Open the cohort store of the workspace ``path``, or in the folder ``path``, at a snapshot, by default the latest.

    The folder of a freeze is opened as by ``open_freeze``. The store's workspace, found by its ID or named by
    ``workspace``, is asked for consent. ``purpose`` is ``research`` (the default), ``commercial``, ``overseas``, or
    several with commas: participants without consent to it are left out. ``workers`` is the number of local processes
    for methods with many tasks; ``scheduler`` a Dask cluster instead: its address or scheduler file, or ``slurm:N``.
    ``insecure`` allows a scheduler without TLS. Raises InputRefused for no store, no such snapshot, a store of another
    schema version, a scheduler without TLS, an unknown purpose, or a workspace that is not found.

    Example:
        >>> import baekman
        >>> baekman.open_cohort("W/cohort")
        <Cohort cohort, snapshot 1: 2 participants>
    """
    engine = Engine(workers=workers, scheduler=scheduler, insecure=insecure)
    if not (Path(path) / "store.json").exists():
        from baekman.api.frozen_cohort import open_freeze
        from baekman.freezes.folder import is_freeze

        if is_freeze(Path(path)):
            return open_freeze(path, snapshot=snapshot, workspace=workspace, purpose=purpose, engine=engine)
    scopes_of(purpose)
    store = open_store(Path(path), workspace=Path(workspace) if workspace is not None else None)
    return Cohort(store, read_snapshot(store, snapshot), engine=engine, purpose=purpose)


def create_cohort(
    path: Location,
    *,
    reference: Location,
    shards: Location | None = None,
    config: Location | None = None,
    workspace: Location | None = None,
) -> Cohort:
    """Create an empty cohort store that is bound to a reference; an equal store that is there already is opened.

    ``reference`` is a FASTA, plain or bgzip; ``shards`` a shard table, without which the reference is tiled; ``config``
    a configuration, by default ``config.yaml`` next to a folder named ``cohort``. The store belongs to ``workspace``,
    by default to the workspace that ``path`` lies in. Raises InputRefused when one of them does not fit, or ``path``
    holds something else.

    Example:
        >>> baekman.create_cohort("new", reference="ref.fa")
        <Cohort new, snapshot 0: 0 participants>
    """
    from baekman.cohort.settings import read_settings, settings_of_store

    place = store_folder(Path(path))
    settings = read_settings(place, Path(config) if config else None)
    chosen = (settings_of_store(settings) if settings else {}) | ({"shards_file": Path(shards)} if shards else {})
    chosen["workspace"] = Path(workspace) if workspace is not None else None
    store = create_store(place, reference=Path(reference), **chosen)
    return Cohort(store, read_snapshot(store), engine=Engine())
