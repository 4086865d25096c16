"""Adding a batch of participants to the cohort."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from baekman.cohort import batch as batches
from baekman.cohort import snapshot as snapshots
from baekman.cohort.commit import commit, entry_of
from baekman.cohort.garbage import clean, clear_work, remove_folder
from baekman.cohort.gvcf_list import Member
from baekman.cohort.index import find_batches, open_index
from baekman.cohort.sites import SiteFilters
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import BATCH_NAME, Store, check_names
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem


def _refuse_known(store: Store, planned: batches.BatchPlan) -> Snapshot:
    """The latest snapshot; refuses members of other batches, and other members of a batch that is there."""
    latest = snapshots.read_snapshot(store)
    known = find_batches(store, [member.participant_id for member in planned.members], at=latest)
    reasons = [
        Problem(
            file="list of gVCFs",
            place=f"participant {participant}",
            expected="participants who are not in the cohort yet",
            found=f"one who is in batch {other}",
            action="withdraw first what is to be replaced",
        )
        for participant, other in known.items()
        if other != planned.batch
    ]
    if latest.entry(planned.batch) is not None and not batches.is_same(store, planned):
        reasons.append(
            Problem(
                file="--batch",
                expected="a new name, or the batch's own members",
                found=f"the name {planned.batch} with other members",
                action="a batch is immutable: choose another name",
            )
        )
    if reasons:
        raise InputRefused(reasons)
    return latest


def add_batch(
    store: Store,
    *,
    batch: str,
    members: Sequence[Member],
    engine: Engine | None = None,
    filters: SiteFilters | None = None,
) -> Snapshot:
    """Add a batch and commit the snapshot that has it; touches no file of an older batch.

    Run again after a kill it takes up where it stopped; run again when done it changes nothing. Raises
    InputRefused for a bad gVCF (nothing is added), a participant who is in the cohort already, or a batch
    name that is taken by other members.
    """
    check_names([batch], kind="--batch", pattern=BATCH_NAME)
    with store.work_lock(batch):
        planned = batches.plan(store, batch=batch, members=members)
        try:
            committed = _add(store, planned, engine=engine or Engine(), filters=filters)
        except InputRefused:
            # what is mended has other inputs: nobody would ever take this work up again
            clear_work(store, batch)
            raise
        except FileNotFoundError:
            if (planned.folder(store) / "plan.json").exists():
                raise
            remove_folder(planned.folder(store))
            raise InputRefused(
                Problem(
                    file="list of gVCFs",
                    expected="participants who stay",
                    found="one who was withdrawn while their gVCF was read",
                    action="leave them out",
                )
            ) from None
        clear_work(store, batch)
        return committed


def _add(store: Store, planned: batches.BatchPlan, *, engine: Engine, filters: SiteFilters | None) -> Snapshot:
    batch = planned.batch
    inputs = planned.folder(store).name
    made = store.batch(batch) / "inputs"
    latest = _refuse_known(store, planned)
    if latest.entry(batch) is not None:
        return latest
    with engine.open() as map_tasks:
        if not (made.exists() and made.read_text() == inputs):
            map_tasks("reading gVCFs", partial(_read, store, planned), len(planned.members))
            batches.collect(store, planned)
            built = map_tasks("building shards", partial(_build, store, planned), 2 * len(store.shards))
            batches.seal(planned.folder(store) / "batch", built, inputs=inputs)
        with store.lock():
            latest = _refuse_known(store, planned)
            if store.batch(batch).exists() and (planned.folder(store) / "batch").exists():
                clean(store, latest)  # of a withdrawal or another add that died
            batches.finish(store, planned)
            committed = commit(
                store,
                Snapshot(
                    number=latest.number + 1,
                    batches=(*latest.batches, entry_of(store, batch)),
                    filters=filters or latest.filters,
                ),
                previous=latest,
                added=[batch],
                map_tasks=map_tasks,
            )
            with open_index(store, live=[batch]):
                pass
    return committed


def _read(store: Store, planned: batches.BatchPlan, index: int) -> None:
    batches.read_participant(store, planned, index)


def _build(store: Store, planned: batches.BatchPlan, task: int) -> dict[str, str]:
    shard, of_reference = divmod(task, 2)
    return (batches.build_reference if of_reference else batches.build_calls)(store, planned, shard)
