"""The garbage of a store: work that is done or that nobody continues, and files that no snapshot names any more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from baekman.cohort import index as participant_index
from baekman.cohort.gvcf_list import stop_waiting
from baekman.cohort.snapshot import RELATEDNESS, Snapshot, numbers, read_snapshot
from baekman.cohort.store import Store
from baekman.errors import DamagedFile
from baekman.files.digests import read_sealed
from baekman.files.snapshots import standing

DONE_WORK = ".done."  # prefix of a work folder that waits to be deleted


def clear_work(store: Store, batch: str) -> None:
    """Delete all work on a batch, also work of other inputs; after a kill its remains have a name that marks them."""
    for folder, plan in unfinished(store, f"{batch}.*"):
        if plan["batch"] == batch:
            _set_aside(folder)
    for done in store.work.glob(f"{DONE_WORK}{batch}.*"):
        remove_folder(done)


def unfinished(store: Store, folders: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the folders of unfinished work, and their plans; another command may delete them at any moment.

    Work with a damaged plan is deleted: nobody knows the participants in it, and the same command does it again.
    """
    for plan in store.work.glob(f"{folders}/plan.json"):
        try:
            yield plan.parent, read_sealed(plan)
        except DamagedFile:
            remove_folder(_set_aside(plan.parent))
        except FileNotFoundError:
            pass


def _set_aside(folder: Path) -> Path:
    """Rename a folder of work to one that waits to be deleted, and return that; an add may be using the folder."""
    done = folder.with_name(f"{DONE_WORK}{folder.name}")
    shutil.rmtree(done, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rename(done)
    return done


def remove_folder(folder: Path) -> None:
    """Delete a folder that another command may be deleting at the same time."""

    def failed(_function: object, _path: str, error: tuple[type[BaseException], BaseException, object]) -> None:
        if not isinstance(error[1], FileNotFoundError):
            raise error[1]

    shutil.rmtree(folder, onerror=failed)


def clean(store: Store, latest: Snapshot, *, without: Sequence[str] = (), keep: int | None = None) -> None:
    """Delete files that ``latest`` does not need, and all traces of the participants ``without``.

    The caller holds the store's lock. ``keep``: as in ``sweep``.
    """
    entries = {entry.name: entry for snapshot in [*living(store, keep=keep), latest] for entry in snapshot.batches}
    staying = Snapshot(number=latest.number, batches=tuple(entries.values()))
    forget(store, without, at=staying)  # first, so that no name of a batch outlives its files in the index
    sweep(store, latest, keep=keep)
    # a reader of an older snapshot may have put its batches back into the index; from here on no reader can
    participant_index.forget(store, without, at=staying)


def living(store: Store, *, keep: int | None = None) -> list[Snapshot]:
    """Return the ``standing`` snapshots of the last ``keep``, oldest first; a command that was killed left others."""
    existing = numbers(store)
    kept = set(existing[-keep:] if keep else existing)
    return [each for each in standing([read_snapshot(store, number) for number in existing]) if each.number in kept]


def forget(store: Store, participants: Sequence[str], *, at: Snapshot) -> None:
    """Delete all traces of participants in the index, in batches that wait and in unfinished work."""
    participant_index.forget(store, participants, at=at)
    stop_waiting(store.waiting, participants)
    for done in store.work.glob(f"{DONE_WORK}*"):
        remove_folder(done)
    gone = set(participants)
    for folder, plan in unfinished(store, "*"):
        if any(member["participant_id"] in gone for member in plan["members"]):
            remove_folder(_set_aside(folder))


def sweep(store: Store, latest: Snapshot, *, keep: int | None = None) -> None:
    """Delete the snapshots with a batch that a later one dropped, and the batches that no snapshot has then.

    Also deletes all snapshots but the last ``keep``, and sites and snapshots of writers that died. The caller holds the
    store's lock.
    """
    staying = {snapshot.number: snapshot for snapshot in [*living(store, keep=keep), latest]}
    named = {entry.name for snapshot in staying.values() for entry in snapshot.batches}
    for number in numbers(store):  # the oldest first: the snapshot that dropped their batches is there until the end
        if number not in staying:
            (store.snapshots / f"{number:08d}.json").unlink()
            shutil.rmtree(store.sites(number), ignore_errors=True)
    for folder in (store.path / "batches").iterdir():
        if folder.name not in named:
            shutil.rmtree(folder)
    whole = {store.sites(number) for number in numbers(store)}
    for folder in (store.path / "sites").iterdir():
        if folder not in whole:
            shutil.rmtree(folder)
    kept = {store.annotations(snapshot.sites) for snapshot in staying.values() if snapshot.sites}
    kept |= {store.path / RELATEDNESS / snapshot.state for snapshot in staying.values()}
    for folder in chain.from_iterable((store.path / kind).glob("*/") for kind in ("annotations", RELATEDNESS)):
        if folder.with_name(folder.name.removeprefix(".").removesuffix(".tmp")) not in kept:  # also unfinished ones
            remove_folder(folder)
    for stale in store.snapshots.glob(".*.tmp"):
        stale.unlink()
    for folder in store.work.glob("rewrite.*"):
        shutil.rmtree(folder)
