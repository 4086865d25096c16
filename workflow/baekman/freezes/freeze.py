"""A freeze: the sites and the tables of every participant at one snapshot, for a release."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from baekman.annotation.copies import copy_annotations
from baekman.annotation.stored import noted
from baekman.cohort.commit import sites_metadata
from baekman.cohort.index import excluded
from baekman.cohort.rewrite import subset
from baekman.cohort.roster import participants_of
from baekman.cohort.snapshot import Snapshot, numbers, read_snapshot, reading
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files import locks
from baekman.files.atomic import atomic_file, atomic_folder, fsync_folder
from baekman.files.digests import (
    LIST,
    digest_of,
    digests_of,
    listed_digest,
    read_sealed,
    read_whole,
    write_sealed,
)
from baekman.files.snapshots import SnapshotGone
from baekman.freezes.files import (
    DESCRIBING,
    PARTICIPANTS_FILE,
    SUMS_FILE,
    Types,
    count_rows,
    describe,
    is_summed,
    remove_parts,
    write_participants,
    write_sums,
)
from baekman.freezes.folder import ANNOTATIONS, EVIDENCE, SITES, TABLES, WORK, is_freeze
from baekman.tables.files import metadata_of, table_path
from baekman.tables.make import make_tables
from baekman.tables.seals import DATASETS, seals_digest
from baekman.workspace.denied import admission_of, held_denials
from baekman.workspace.identity import STORE_FILE
from baekman.workspace.paths import Workspace

ATTEMPTS = 10
SHOWN = 5  # participants in a message


def freeze(
    store: Store,
    *,
    output: Path,
    purpose: str = "",
    engine: Engine | None = None,
    record: Callable[[Snapshot], object] = lambda snapshot: None,
    types: Types = lambda participants: {},
) -> Snapshot:
    """Write ``sites/`` and ``tables/`` of everyone at the current snapshot below ``output``; returns it.

    Annotations of the snapshot are copied. Next to all of these lie the files that describe them (``freezes.files``).
    ``types`` returns the registered types of participants.

    Participants without consent to ``purpose`` in force are left out: sites and tables are those of a cohort that never
    had them. The freeze appears when it is whole and consent was asked again: if a consent ended while it was written,
    it is made again without that participant. A second run after a kill goes on where the first stopped. ``output`` is
    never overwritten with another snapshot. Each attempt calls ``record`` before it writes to ``output``, with the
    snapshot as it is shown: its content has no participant who is left out.

    Raises:
        InputRefused: ``output`` holds another freeze, or consents ended during each of many attempts.
    """
    workspace = None if store.is_bare else Workspace(store.workspace)
    for _ in range(ATTEMPTS):
        snapshot = read_snapshot(store)

        def left_out(snapshot: Snapshot = snapshot) -> frozenset[str]:
            return excluded(store, admission_of(workspace, purpose=purpose), at=snapshot)

        without, annotate = left_out(), partial(_annotate, store, snapshot)
        try:
            if without:
                with subset(store, snapshot, without=without, engine=engine) as (part, smaller):
                    record(smaller)
                    _write(part, smaller, output=output, engine=engine, types=types, annotate=annotate)
            else:
                record(snapshot)
                _write(store, snapshot, output=output, engine=engine, types=types, annotate=annotate)
        except (SnapshotGone, FileNotFoundError):
            if _is_there(store, snapshot):
                raise
            continue  # a withdrawal deleted the snapshot
        with held_denials(workspace) if workspace else nullcontext():
            if _is_there(store, snapshot) and left_out() <= without:
                _show(output)
                return snapshot
    raise InputRefused(
        Problem(
            file="cohort",
            expected="consent that stays in force while a freeze is written",
            found=f"consents that ended in each of {ATTEMPTS} attempts; no freeze appeared",
            action="run the same command again",
        )
    )


def _is_there(store: Store, snapshot: Snapshot) -> bool:
    return snapshot.number == 0 or snapshot.number in numbers(store)


def _show(output: Path) -> None:
    """Give the finished freeze its place; the sites come last, so a freeze with sites is whole."""
    work = output / WORK
    for path in sorted(work.iterdir(), key=lambda path: path.name == SITES) if work.is_dir() else ():
        path.rename(output / path.name)
    fsync_folder(output)
    shutil.rmtree(work, ignore_errors=True)


def _write(
    store: Store,
    snapshot: Snapshot,
    *,
    output: Path,
    engine: Engine | None,
    types: Types,
    annotate: Callable[[Path], object],
) -> None:
    """Write the freeze in ``WORK``, going on from what a killed command left of the same; a whole freeze stays."""
    wanted = sites_metadata(store, snapshot)
    first = f"{store.shards[0].name}.parquet"
    _require(not (output / STORE_FILE).exists(), found="the cohort store itself, or another")
    _require(not is_freeze(output.absolute().parent), found="a folder inside of a freeze")
    if (output / SITES).is_dir():
        # the list knows the settings of a freeze with damaged sites
        is_same = metadata_of(output / SITES / first) == wanted or _noted(output) == _identity(wanted)
        _require(is_same, found="a freeze of another snapshot, or with other settings")
        # what is damaged is written again, and what an earlier version left that was killed
        _complete(store, snapshot, output=output, engine=engine, types=types, annotate=annotate)
        return
    work = output / WORK
    names = (PARTICIPANTS_FILE, SUMS_FILE, LIST)
    others = (
        {path.name for path in output.iterdir()} - {*names, *DESCRIBING, TABLES, WORK, *_shown(work)}
        if output.is_dir()
        else ()
    )
    _require(all(name.startswith(".") for name in others), found="a folder with other files")
    for name in names:  # a command was killed before the sites appeared
        (output / name).unlink(missing_ok=True)
    for name in _shown(work):
        shutil.rmtree(output / name, ignore_errors=True)
    if (output / TABLES).is_dir():
        _require(work.is_dir() or not any((output / TABLES).iterdir()), found="tables of something else")
        if work.is_dir():  # a command was killed before the sites appeared
            (output / TABLES).rename(work / TABLES)
        else:
            (output / TABLES).rmdir()
    if work.is_dir() and not ((work / SITES).is_dir() and metadata_of(work / SITES / first) == wanted):
        shutil.rmtree(work)
    if snapshot.number and not (work / SITES).is_dir():
        with reading(store, snapshot), atomic_folder(work / SITES) as folder:
            _copy_sites(store, snapshot, folder)
    _complete(store, snapshot, output=work, engine=engine, types=types, annotate=annotate)


def _shown(work: Path) -> set[str]:
    """Return the folders that a command may have shown before it was killed, next to tables; its work is there."""
    return {ANNOTATIONS} if work.is_dir() else set()


def _annotate(store: Store, snapshot: Snapshot, output: Path) -> None:
    """Write the annotations of ``snapshot``, if it has any, for the sites of ``output``; whole ones stay."""
    folder = output / ANNOTATIONS
    if folder.is_dir():
        names = {path.relative_to(output).as_posix() for path in folder.iterdir()}
        listed = {name: digest for name, digest in _listed(output).items() if name.startswith(f"{ANNOTATIONS}/")}
        if listed and listed == digests_of(output, [output / name for name in names]):
            return
    if noted(store, snapshot) is None:
        return
    with locks.exclusive(store.annotations_lock, waits_for="another command that annotates this cohort"):
        shutil.rmtree(folder, ignore_errors=True)
        with atomic_folder(folder) as temporary:
            copy_annotations(store, snapshot, temporary, sites=output / SITES)


def _listed(output: Path) -> dict[str, str]:
    """Return the digests of sites and annotations in a freeze's list; empty without a whole list."""
    try:
        files: dict[str, str] = read_sealed(output / LIST)["files"]
    except (DamagedFile, FileNotFoundError):
        return {}
    return files


def _complete(
    store: Store,
    snapshot: Snapshot,
    *,
    output: Path,
    engine: Engine | None,
    types: Types,
    annotate: Callable[[Path], object],
) -> None:
    """Write what is absent or damaged in a freeze, and then the lists of its digests."""
    if snapshot.number:
        with reading(store, snapshot):
            _copy_sites(store, snapshot, output / SITES)
    make_tables(store, output=output / TABLES, snapshot=snapshot, is_frozen=True, engine=engine)
    _require_tables(store, snapshot, output / TABLES)
    remove_parts(output)
    annotate(output)
    # registered types may have changed since a freeze was written, and a freeze never changes
    if not is_summed(output, PARTICIPANTS_FILE):
        write_participants(output, store, snapshot, types=types)
    rows = count_rows(output, store, snapshot)
    describe(output, store, snapshot, rows=rows)
    write_sealed(output / LIST, _description(output, sites_metadata(store, snapshot), rows=rows))
    write_sums(output)


def _identity(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of participants and settings in the metadata of sites."""
    return {"snapshot": metadata["baekman.snapshot"], "settings": metadata["baekman.settings"]}


def _noted(output: Path) -> dict[str, str]:
    """Return the digests of participants and settings that a freeze's list names; empty without a whole list."""
    try:
        noted = read_sealed(output / LIST)
    except (DamagedFile, FileNotFoundError):
        return {}
    return {name: str(noted.get(name, "")) for name in ("snapshot", "settings")}


def _require(is_fit: bool, *, found: str) -> None:
    if not is_fit:
        raise InputRefused(
            Problem(
                file="--output",
                expected="a new folder, or one with a freeze of this snapshot",
                found=found,
                action="choose another folder: a freeze is never overwritten",
            )
        )


def _require_tables(store: Store, snapshot: Snapshot, folder: Path) -> None:
    """Raise InputRefused unless ``folder`` has both tables of each participant of the snapshot."""
    for dataset in DATASETS:
        participants = (name for entry in snapshot.batches for name in participants_of(store, entry.name))
        absent = (name for name in participants if not table_path(folder, name, dataset=dataset).is_file())
        missing = list(islice(absent, SHOWN + 1))
        if missing:
            raise InputRefused(
                Problem(
                    file="--output",
                    place=f"tables/{dataset}",
                    expected=f"tables of {snapshot.participants} participants",
                    found=f"none of {', '.join(missing[:SHOWN])}" + (", …" if len(missing) > SHOWN else ""),
                    action="run the same command again",
                )
            )


def _copy_sites(store: Store, snapshot: Snapshot, folder: Path) -> None:
    """Copy the sites that are not in ``folder`` yet, or are damaged there."""
    source = store.sites(snapshot.number)
    for shard in store.shards:
        name = f"{shard.name}.parquet"
        digest = listed_digest(source, name)
        if not (folder / name).is_file() or digest_of(folder / name) != digest:
            with atomic_file(folder / name) as temporary:
                temporary.write_bytes(read_whole(source / name, digest=digest))


def _description(output: Path, metadata: Mapping[str, str], *, rows: Mapping[str, int]) -> dict[str, Any]:
    """Return the content of a freeze's ``hashes.json``: digests of files, and one of the seals of all tables."""
    count, seals = seals_digest(output / TABLES)
    names = [path for folder in (SITES, ANNOTATIONS) for path in sorted((output / folder).glob("[!.]*"))]
    sites = digests_of(output, [path for path in names if path.name != LIST])
    described = digests_of(output, [output / name for name in DESCRIBING])
    identity = _identity(metadata)
    return {
        **identity,
        "files": sites,
        "described": described,
        "participants": count,
        "rows": dict(rows),
        "tables": EVIDENCE,
        "seals": seals,
    }
