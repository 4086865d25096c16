"""The addition of a batch of participants to the cohort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from baekman.cohort.batch import (
    INPUTS,
    BatchPlan,
    build_calls,
    build_reference,
    collect,
    finish,
    is_same,
    plan_batch,
    read_participant,
    seal,
)
from baekman.cohort.commit import commit, entry_of
from baekman.cohort.garbage import clean, clear_work, remove_folder
from baekman.cohort.gvcf_list import Member
from baekman.cohort.index import find_batches, update_index
from baekman.cohort.roster import read_contents
from baekman.cohort.settings import BatchSettings, check_rules
from baekman.cohort.sites import SiteFilters
from baekman.cohort.snapshot import Snapshot, read_snapshot
from baekman.cohort.store import BATCH_NAME, Store, check_names
from baekman.cohort.verify.handover import require_rows
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem

# two gVCFs with so many alleles and the same content are of one person; a small test genome may have equal people
TELLING_ROWS = 100


def add_batch(
    store: Store,
    *,
    batch: str,
    members: Sequence[Member],
    engine: Engine | None = None,
    settings: BatchSettings | None = None,
) -> Snapshot:
    """Add a batch and commit the snapshot that has it; touch no file of an older batch.

    After a kill, the same call continues the work. When the batch is committed, it changes nothing. Raises InputRefused
    for a bad gVCF (nothing is added then), a participant who is in the cohort already, a batch name with other
    members, and rules that do not fit the store's reference. ``settings``: by default the rules of the store and the
    site filters of the latest snapshot.
    """
    check_names([batch], kind="--batch", pattern=BATCH_NAME)
    settings = settings or BatchSettings(rules=store.rules)
    if problems := check_rules(settings.rules, contigs=[contig.name for contig in store.contigs]):
        raise InputRefused(problems)
    with store.work_lock(batch):
        plan = plan_batch(store, batch=batch, members=members, rules=settings.rules)
        try:
            committed = _add(store, plan, engine=engine or Engine(), filters=settings.filters)
        except InputRefused:
            # corrected files are other inputs: no run would continue this work
            clear_work(store, batch)
            raise
        except FileNotFoundError:
            if (plan.folder(store) / "plan.json").exists():
                raise
            remove_folder(plan.folder(store))
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


def _add(store: Store, plan: BatchPlan, *, engine: Engine, filters: SiteFilters | None) -> Snapshot:
    batch = plan.batch
    inputs = plan.folder(store).name
    sealed = store.batch(batch) / INPUTS
    latest = _refuse_known(store, plan)
    if latest.entry(batch) is not None:
        return latest
    store.require_sequence()
    with engine.open() as map_tasks:
        if not (sealed.exists() and sealed.read_text() == inputs):
            map_tasks("reading gVCFs", partial(read_participant, store, plan), len(plan.members))
            _refuse_repeated_contents(store, plan)
            collect(store, plan)
            digests = map_tasks("building shards", partial(_build, store, plan), 2 * len(store.shards))
            require_rows(store, plan.folder(store) / "batch", batch=batch, map_tasks=map_tasks)
            seal(plan.folder(store) / "batch", digests, inputs=inputs)
        with store.lock():
            latest = _refuse_known(store, plan)
            if store.batch(batch).exists() and (plan.folder(store) / "batch").exists():
                clean(store, latest)  # after a withdrawal or another add that died
            finish(store, plan)
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
            update_index(store, [entry for entry in committed.batches if entry.name == batch])
    return committed


def _refuse_known(store: Store, plan: BatchPlan) -> Snapshot:
    """Return the latest snapshot; refuse members of other batches, and other members of a batch that is there."""
    latest = read_snapshot(store)
    known = find_batches(store, [member.participant_id for member in plan.members], at=latest)
    problems = [
        Problem(
            file="list of gVCFs",
            place=f"participant {participant}",
            expected="participants who are not in the cohort yet",
            found=f"one who is in batch {other}",
            action="to replace a participant, withdraw them first",
        )
        for participant, other in known.items()
        if other != plan.batch
    ]
    if latest.entry(plan.batch) is not None and not is_same(store, plan):
        problems.append(
            Problem(
                file="--batch",
                expected="a new name, or the batch's own members",
                found=f"the name {plan.batch} with other members",
                action="a batch is immutable: choose another name",
            )
        )
    if problems:
        raise InputRefused(problems)
    return latest


def repeated_contents(store: Store, batch: str) -> list[list[str]]:
    """Return the participants of a batch, with alleles, whose gVCFs have the same content; a list for each content.

    Older batches are not read: an add costs the same however large the cohort is.
    """
    return _alike(read_contents(store, batch), least_rows=1)


def _refuse_repeated_contents(store: Store, plan: BatchPlan) -> None:
    """Refuse two members with the same file, where two people cannot have the same."""
    summaries = [plan.work_file(store, index).read_summary() for index in range(len(plan.members))]
    contents = [
        (
            member.participant_id,
            summary["call_rows"],
            {summary["gvcf_sha256"]},
        )
        for member, summary in zip(plan.members, summaries, strict=True)
    ]
    problems = [
        Problem(
            file="list of gVCFs",
            place=f"participants {', '.join(participants)}",
            expected="a gVCF of their own for each participant",
            found="files with the same content",
            action="find out which participant the gVCF is of, and leave the others out",
        )
        for participants in _alike(contents, least_rows=TELLING_ROWS)
    ]
    if problems:
        raise InputRefused(problems)


def _alike(contents: Iterable[tuple[str, int, set[str]]], *, least_rows: int) -> list[list[str]]:
    """Return the participants that share a digest of ``contents``: participant, call rows and digests."""
    participants: dict[str, list[str]] = {}
    for participant, rows, digests in contents:
        if rows >= least_rows:
            for digest in sorted(digests):
                participants.setdefault(digest, []).append(participant)
    groups = [set(alike) for alike in dict.fromkeys(map(tuple, participants.values())) if len(alike) > 1]
    return [sorted(group) for group in groups if not any(group < other for other in groups)]


def _build(store: Store, plan: BatchPlan, task: int) -> dict[str, str]:
    shard, of_reference = divmod(task, 2)
    return (build_reference if of_reference else build_calls)(store, plan, shard)
