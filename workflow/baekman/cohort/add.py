"""The addition of a batch of participants to the cohort."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

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
from baekman.cohort.garbage import clean, clear_work, living, remove_folder
from baekman.cohort.gvcf_list import Member, WaitingMember, keep_waiting, read_waiting, stop_waiting
from baekman.cohort.index import find_batches, others_with_contents, update_index
from baekman.cohort.roster import read_contents, read_roster
from baekman.cohort.settings import BatchSettings, check_rules
from baekman.cohort.sites import SiteFilters
from baekman.cohort.snapshot import BatchEntry, Snapshot, read_snapshot
from baekman.cohort.store import BATCH_NAME, Store, check_names
from baekman.cohort.verify.handover import require_rows
from baekman.engine.local import Engine
from baekman.engine.tasks import MapTasks
from baekman.errors import InputRefused, Problem
from baekman.files.digests import sha256_of
from baekman.gvcf.thresholds import GvcfRules

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
    change = Change(require=_refuse_known, commit=_commit_addition)
    return commit_batch(store, batch=batch, members=members, engine=engine, settings=settings, change=change)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of the cohort by a new batch.

    ``require`` returns the latest snapshot and raises InputRefused for members that do not fit it; it is called before
    the work, and with the store's lock. ``commit`` then gets that snapshot, the entry of the batch and the site
    filters, and returns the new snapshot.
    """

    require: Callable[[Store, BatchPlan], Snapshot]
    commit: Callable[[Store, Snapshot, BatchEntry, SiteFilters, MapTasks], Snapshot]


def commit_batch(
    store: Store,
    *,
    batch: str,
    members: Sequence[Member],
    change: Change,
    engine: Engine | None,
    settings: BatchSettings | None,
) -> Snapshot:
    """Make a batch of ``members`` and commit the ``change`` with it; arguments and errors as in ``add_batch``."""
    check_names([batch], kind="--batch", pattern=BATCH_NAME)
    settings = settings or BatchSettings(rules=store.rules)
    if problems := check_rules(settings.rules, contigs=[contig.name for contig in store.contigs]):
        raise InputRefused(problems)
    with _planned(store, batch, members, rules=settings.rules) as plan:
        return _commit(store, plan, change, engine=engine or Engine(), filters=settings.filters)


@contextmanager
def _planned(store: Store, batch: str, members: Sequence[Member], *, rules: GvcfRules) -> Iterator[BatchPlan]:
    """Hold the work on a batch and yield its plan; clear the work at the end, not after a kill or a failure."""
    with store.work_lock(batch):
        plan = plan_batch(store, batch=batch, members=members, rules=rules)
        try:
            yield plan
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


def add_or_wait(
    store: Store,
    *,
    batch: str,
    members: Sequence[Member],
    settings: BatchSettings,
    engine: Engine | None = None,
    denied: Callable[[], Collection[str]] = frozenset,
) -> Snapshot:
    """Add a batch with the members of others that wait, if they are ``settings.least`` together; else let it wait.

    All of them become the one ``batch``. Returns the latest snapshot, without ``batch`` if this waits. gVCFs are read
    before they wait. ``denied`` returns the participants without consent in force now: they wait no longer, and are
    not added. Raises InputRefused as ``add_batch``, and for a member who waits in another batch.
    """
    if settings.least <= 1 and not store.waiting.is_dir():
        return add_batch(store, batch=batch, members=members, engine=engine, settings=settings)
    check_names([batch], kind="--batch", pattern=BATCH_NAME)
    with store.waiting_lock():
        leave_waiting(store, denied=denied())
        latest, own = read_snapshot(store), {member.participant_id for member in members}
        if _is_added_with_others(store, latest, batch, members):
            return latest
        # a delivery that is processed again may have another number: D, D.2
        others = [
            each
            for each in read_waiting(store.waiting)
            if each.batch != batch and not (_stem(each.batch) == _stem(batch) and each.member.participant_id in own)
        ]
        _refuse_waiting(store, own, others)
        if len(own) + len(others) < settings.least:
            rows = _read_to_wait(store, batch, members, others, engine=engine or Engine(), rules=settings.rules)
            with store.lock():
                stop_waiting(store.waiting, own)
                keep_waiting(store.waiting, batch, rows)
        else:
            everyone = [*members, *(_placed(store, each.member) for each in others)]
            latest = add_batch(store, batch=batch, members=everyone, engine=engine, settings=settings)
        leave_waiting(store, denied=denied())  # also those whose consent ended in the time since
        return latest


def count_waiting(store: Store) -> int:
    """Return the number of participants who wait for a batch."""
    waiting = [each.member.participant_id for each in read_waiting(store.waiting)]
    return len(waiting) - len(find_batches(store, waiting, at=read_snapshot(store)))


def waiting_sentence(participants: int, *, more: int) -> str:
    """Return the sentence on participants who wait; ``more`` participants complete their batch."""
    verb = "waits" if participants == 1 else "wait"
    return f"{participants} participant{'s' * (participants != 1)} {verb} for {more} more (cohort.min_batch)"


def leave_waiting(store: Store, *, denied: Collection[str]) -> None:
    """Delete those who are ``denied``, or in the cohort by now, from those who wait."""
    waiting = [each.member.participant_id for each in read_waiting(store.waiting)]
    if waiting:
        with store.lock():
            stop_waiting(store.waiting, {*denied, *find_batches(store, waiting, at=read_snapshot(store))})


def _is_added_with_others(store: Store, latest: Snapshot, batch: str, members: Sequence[Member]) -> bool:
    """Return whether an earlier run added ``members`` as ``batch`` together with others that waited."""
    entry = latest.entry(batch)
    if entry is None or entry.participants <= len(members):
        return False
    roster, _ = read_roster(store, batch)
    rows = roster.select(["participant_id", "sex", "gvcf_sha256"]).to_pylist()
    known = {tuple(row.values()) for row in rows}
    return all((each.participant_id, each.sex, sha256_of(Path(each.gvcf))) in known for each in members)


def _stem(batch: str) -> str:
    return batch.partition(".")[0]


def _placed(store: Store, member: Member) -> Member:
    """Return a member who waits with the path of the gVCF now: the workspace may have moved."""
    return replace(member, gvcf=str((store.workspace / member.gvcf).resolve()))


def _movable(store: Store, member: Member) -> Member:
    """Return a member with the path of the gVCF within the workspace, if it lies there."""
    path, home = Path(member.gvcf).resolve(), store.workspace.resolve()
    return replace(member, gvcf=str(path.relative_to(home) if path.is_relative_to(home) else path))


def _refuse_waiting(store: Store, own: Collection[str], others: Sequence[WaitingMember]) -> None:
    """Refuse members who wait in another batch, and gVCFs of others that are gone."""
    problems = []
    for each in others:
        place = f"participant {each.member.participant_id}"
        if each.member.participant_id in own:
            problems.append(
                Problem(
                    file="list of gVCFs",
                    place=place,
                    expected="participants who are not in the cohort yet",
                    found=f"one who waits in batch {each.batch}",
                    action="to replace a participant, withdraw them first",
                )
            )
        elif not Path(_placed(store, each.member).gvcf).is_file():
            problems.append(
                Problem(
                    file=f"batch {each.batch}",
                    place=place,
                    expected="the gVCF of a participant who waits",
                    found="no such file",
                    action="put it back, or withdraw the participant",
                )
            )
    if problems:
        raise InputRefused(problems)


def _read_to_wait(
    store: Store,
    batch: str,
    members: Sequence[Member],
    others: Sequence[WaitingMember],
    *,
    engine: Engine,
    rules: GvcfRules,
) -> list[WaitingMember]:
    """Read the gVCFs of members who will wait, and refuse what ``add_batch`` refuses; leave no work."""
    if problems := check_rules(rules, contigs=[contig.name for contig in store.contigs]):
        raise InputRefused(problems)
    with _planned(store, batch, members, rules=rules) as plan:
        _refuse_known(store, plan)
        with engine.open() as map_tasks:
            map_tasks("reading gVCFs", partial(read_participant, store, plan), len(plan.members))
        waiting = [
            WaitingMember(
                batch=batch, member=_movable(store, plan.members[index]), content=min(content), call_rows=call_rows
            )
            for index, (_, call_rows, content) in enumerate(_contents(store, plan))
        ]
        known = [(each.member.participant_id, each.call_rows, {each.content}) for each in others]
        _refuse_repeated_contents(store, [*_contents(store, plan), *known], at=read_snapshot(store))
        return waiting


def _commit(store: Store, plan: BatchPlan, change: Change, *, engine: Engine, filters: SiteFilters | None) -> Snapshot:
    batch = plan.batch
    latest = change.require(store, plan)
    if latest.entry(batch) is not None:
        return latest
    store.require_sequence()
    with engine.open() as map_tasks:
        if not _is_sealed(store, plan):
            map_tasks("reading gVCFs", partial(read_participant, store, plan), len(plan.members))
            _refuse_repeated_contents(store, _contents(store, plan), at=latest)
            collect(store, plan)
            digests = map_tasks("building shards", partial(_build, store, plan), 2 * len(store.shards))
            require_rows(store, plan.folder(store) / "batch", batch=batch, map_tasks=map_tasks)
            seal(plan.folder(store) / "batch", digests, inputs=plan.folder(store).name)
        with store.lock():
            latest = change.require(store, plan)
            if store.batch(batch).exists() and (plan.folder(store) / "batch").exists():
                clean(store, latest)  # after a withdrawal or another add that died
            _refuse_repeated_contents(store, _contents(store, plan), at=latest)
            finish(store, plan)
            entry = entry_of(store, batch)
            committed = change.commit(store, latest, entry, filters or latest.filters, map_tasks)
            update_index(store, [each for each in committed.batches if each not in latest.batches])
    return committed


def _is_sealed(store: Store, plan: BatchPlan) -> bool:
    """Return whether an interrupted command made the batch of ``plan``; its work may be gone."""
    sealed = store.batch(plan.batch) / INPUTS
    return sealed.exists() and sealed.read_text() == plan.folder(store).name


def _commit_addition(
    store: Store, latest: Snapshot, entry: BatchEntry, filters: SiteFilters, map_tasks: MapTasks
) -> Snapshot:
    """Commit the snapshot that has a new batch too; the caller holds the lock."""
    snapshot = Snapshot(number=latest.number + 1, batches=(*latest.batches, entry), filters=filters)
    return commit(store, snapshot, previous=latest, added=[entry.name], map_tasks=map_tasks)


def name_problems(store: Store, plan: BatchPlan, *, latest: Snapshot) -> list[Problem]:
    """Return the problem of a name that a batch with other members has, or that only older snapshots have."""
    if latest.entry(plan.batch) is not None:
        found = "" if is_same(store, plan) else "with other members"
    else:
        is_older = store.batch(plan.batch).exists() and any(each.entry(plan.batch) for each in living(store))
        found = "of a batch that only older snapshots have" if is_older else ""
    if not found:
        return []
    return [
        Problem(
            file="--batch",
            expected="a new name, or the batch's own members",
            found=f"the name {plan.batch} {found}",
            action="a batch is immutable: choose another name",
        )
    ]


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
            action="to replace their gVCF, use `baekman cohort replace`",
        )
        for participant, other in known.items()
        if other != plan.batch
    ]
    if problems := [*problems, *name_problems(store, plan, latest=latest)]:
        raise InputRefused(problems)
    return latest


def repeated_contents(store: Store, batch: str) -> list[list[str]]:
    """Return the participants, with alleles, whose gVCFs have the content of a batch's; a list for each content.

    No older batch is read, only the index: an add costs the same however large the cohort is.
    """
    contents = read_contents(store, batch)
    with_alleles = [(participant, digests) for participant, rows, digests in contents if rows]
    others = others_with_contents(store, with_alleles, at=read_snapshot(store))
    return _alike(contents, least_rows=1) + [sorted(names) for *names, name in others if name != batch]


def _contents(store: Store, plan: BatchPlan) -> list[tuple[str, int, set[str]]]:
    """Return participant, number of call rows and content of each member, from the batch or from the work on it."""
    if _is_sealed(store, plan):
        contents = read_contents(store, plan.batch)  # with the evidence, which has points, as well
        return [(name, rows, {each for each in digests if "." not in each}) for name, rows, digests in contents]
    summaries = [plan.work_file(store, index).read_summary() for index in range(len(plan.members))]
    return [
        (member.participant_id, summary["call_rows"], {summary["gvcf_sha256"]})
        for member, summary in zip(plan.members, summaries, strict=True)
    ]


def _refuse_repeated_contents(store: Store, contents: Sequence[tuple[str, int, set[str]]], *, at: Snapshot) -> None:
    """Refuse members with the content of another's gVCF, a member's or a participant's of the snapshot ``at``.

    It has too many alleles for two people to have the same.
    """
    telling = [(participant, digests) for participant, rows, digests in contents if rows >= TELLING_ROWS]
    others = [sorted(names) for *names, _ in others_with_contents(store, telling, at=at)]
    problems = [
        Problem(
            file="list of gVCFs",
            place=f"participants {', '.join(participants)}",
            expected="a gVCF of their own for each participant",
            found="files with the same content",
            action="find out which participant the gVCF is of, and leave the others out",
        )
        for participants in [*_alike(contents, least_rows=TELLING_ROWS), *others]
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
