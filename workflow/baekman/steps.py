"""The jobs on the cohort: the accepted participants of a delivery are added to it, and their tables are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from baekman import audit, withdrawal
from baekman.annotation.annotate import annotate
from baekman.annotation.sources import sources_of
from baekman.call.gate import judge_calls
from baekman.cohort import snapshot, store
from baekman.cohort.add import add_or_wait, count_waiting, leave_waiting
from baekman.cohort.garbage import living
from baekman.cohort.gvcf_list import Member, read_members, read_waiting
from baekman.cohort.index import find_batches
from baekman.cohort.rewrite import leave_batch, replace_batch
from baekman.cohort.roster import participants_of, read_remarks, read_roster
from baekman.cohort.settings import Areas, BatchSettings, applied_settings, fixed_problems, rules_of, thresholds_of
from baekman.cohort.sites import SiteFilters
from baekman.cohort.verify.refused import refused_gvcfs
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.files import atomic
from baekman.files.digests import sha256_of
from baekman.files.sidecar import read_checked, write_checked
from baekman.genome.par import find_par
from baekman.genome.reference import contig_lengths
from baekman.genome.regions import Region
from baekman.genome.targets import DEFAULT_PADDING
from baekman.tables import files as table_files
from baekman.tables import keys as table_keys
from baekman.tables import make as tables
from baekman.tables.owner import note_owner
from baekman.workspace import sample_check, specimens
from baekman.workspace.currency import note_cohort
from baekman.workspace.current_reads import read_current
from baekman.workspace.denied import denied_hash, denied_participants
from baekman.workspace.identity import identify
from baekman.workspace.paths import Workspace
from baekman.workspace.runs.failures import read_failures

# Bytes of compressed gVCF: a smaller delivery is in the store almost as soon as a second worker has started.
BYTES_PER_WORKER = 8 << 20


@dataclass(frozen=True, kw_only=True)
class CohortSettings:
    """The settings of a cohort.

    ``thresholds`` and ``filters`` are the sections ``cohort`` and ``sites`` of the configuration. ``par`` is a BED
    of the pseudo-autosomal regions or the name of a known reference; without it the reference's own name decides.
    ``targets`` is the workspace's BED of the target regions, None for the whole genome.
    An existing cohort keeps its own reference, shards, thresholds, PARs and targets: other ones are refused.
    """

    reference: Path
    shards: Path
    thresholds: Mapping[str, Any]
    filters: Mapping[str, Any]
    par: str = ""
    targets: Path | None = None
    padding: int = DEFAULT_PADDING

    def create(self, folder: Path) -> store.Store:
        """Create an empty cohort in ``folder``."""
        return store.create_store(
            folder,
            reference=self.reference,
            shards_file=self.shards,
            thresholds=thresholds_of(self.thresholds),
            rules=rules_of(self.thresholds),
            areas=Areas(par=self._par_regions(), targets=self.targets, padding=self.padding),
        )

    def open(self, folder: Path) -> store.Store:
        """Open the cohort in ``folder``, or create an empty one; raise InputRefused when it was made with others."""
        if not (folder / "store.json").is_file():
            return self.create(folder)
        opened = store.open_store(folder)
        lengths = {contig.name: contig.length for contig in opened.contigs}
        areas = Areas(par=self._par_regions(), targets=self.targets, padding=self.padding)
        wanted: dict[str, Any] = areas.description("", contigs=lengths, aliases={}) | {"thresholds": self.thresholds}
        if not self.par:
            del wanted["par_regions"]
        if problems := fixed_problems(opened.description(), wanted, file="configuration"):
            raise InputRefused(problems)
        return opened

    def of_batch(self) -> BatchSettings:
        """Return the settings of a batch."""
        return BatchSettings(
            rules=rules_of(self.thresholds),
            filters=SiteFilters(**self.filters),
            least=self.thresholds.get("min_batch", 1),
        )

    def _par_regions(self) -> Sequence[Region] | None:
        return find_par(self.par, contigs=contig_lengths(self.reference)) if self.par else None


def add_delivery(
    workspace: Workspace, delivery_id: str, *, accepted: Path, settings: CohortSettings, engine: Engine, output: Path
) -> None:
    """Add the participants in ``accepted`` to the cohort as one batch; create the cohort when there is none.

    With fewer than ``cohort.min_batch`` participants they wait for others: no snapshot has them. The delivery with
    which there are enough adds all who wait, as its own batch.

    The verdicts of the gate ``call`` are written: a gVCF that is not complete, or that the cohort refuses, stays out.
    Participants whom an earlier run of the delivery added stay as they are. Participants in the cohort whose reads
    of this delivery count, by the decision of a person, get their new gVCF in one snapshot; then the others are
    added.

    Args:
        workspace: The workspace of the cohort.
        delivery_id: The delivery, and the name of the batch.
        accepted: Lines of participant ID, gVCF and sex, without a header; may be empty.
        settings: The settings of a new cohort, and the site filters.
        engine: Runs the work; a small delivery uses fewer workers.
        output: JSON for ``delivery``, ``participants`` (added, sorted, also those of other deliveries who waited),
            ``snapshot`` and its ``settings`` (both None when nobody is added), ``remarks`` (the remarks on the gVCFs by
            participant, see gvcf.remarks), ``waiting`` (the delivery's participants who wait, sorted) and ``more``
            (the number of participants whom they wait for; 0 when nobody waits). ``replaced``, where there are some:
            participants with earlier reads, in the cohort with those of this delivery or with both.

    Raises:
        InputRefused: A gVCF is another participant's, none can be read, or a participant is in with other calls.
    """
    members, unprocessed = _accepted_members(workspace, delivery_id, accepted=accepted)
    has_cohort = (workspace.cohort / "store.json").is_file()
    # consent may have ended since intake, or since this job was killed
    denied = denied_participants(workspace)
    if has_cohort and denied:
        leave_batch(store.open_store(workspace.cohort), denied, batch=delivery_id, engine=engine)
    members = [member for member in members if member.participant_id not in denied]
    judged = [member.participant_id for member in members] + [each for each in unprocessed if each not in denied]
    complete = judge_calls(workspace, workspace.delivery(delivery_id), judged)
    members = [member for member in members if member.participant_id in complete]
    for member in members:
        sample_check.require_owner(Path(member.gvcf), participant=member.participant_id)
    result: dict[str, Any] = {"delivery": delivery_id, "participants": [], "snapshot": None}
    result |= {"settings": None, "remarks": {}, "waiting": [], "more": 0}
    if members:
        identify(workspace)
        opened = settings.open(workspace.cohort)
        engine = worthwhile(engine, (Path(member.gvcf) for member in members))
        consent_hash = denied_hash(workspace)
        with audit.use(workspace.root, action="cohort.add", object=delivery_id, consent_hash=consent_hash):
            committed, members = _added_but_refused(
                opened, workspace, delivery_id, members, judged=judged, settings=settings.of_batch(), engine=engine
            )
        # consent may have ended while the batch was written; a later withdrawal finds the batch itself
        gone = denied_participants(workspace)
        committed = leave_batch(opened, gone, batch=delivery_id, engine=engine) or committed
        result |= _result(opened, workspace, delivery_id, members, at=committed)
        if result["waiting"]:
            result["more"] = max(settings.of_batch().least - count_waiting(opened), 0)
    write_checked(output, json.dumps(result, indent=1) + "\n")
    withdrawal.sweep(workspace)
    note_cohort(workspace)


def _added_but_refused(
    opened: store.Store,
    workspace: Workspace,
    delivery_id: str,
    members: list[Member],
    *,
    judged: Iterable[str],
    settings: BatchSettings,
    engine: Engine,
) -> tuple[snapshot.Snapshot, list[Member]]:
    """Return the snapshot with those of ``members`` whose gVCFs can be read, and these; the others are held.

    ``judged`` are the participants with a verdict of the gate ``call``. If no gVCF can be read, the error is raised.
    """
    add = partial(_added, opened, workspace, delivery_id, settings=settings, engine=engine)
    try:
        return add(members), members
    except InputRefused as refusal:
        refused = refused_gvcfs(opened, members, refusal, rules=settings.rules, engine=engine)
        if not refused or len(refused) == len(members):
            raise
    complete = judge_calls(workspace, workspace.delivery(delivery_id), judged, refused=refused)
    readable = [member for member in members if member.participant_id in complete]
    return add(readable), readable


def _accepted_members(workspace: Workspace, delivery_id: str, *, accepted: Path) -> tuple[list[Member], list[str]]:
    """Return the members in ``accepted`` with calls, and the participants in it of whom a job of calling failed.

    A later delivery may have brought other reads of a participant since the gate; that one is in neither list.
    """
    listed = [line.split("\t")[0] for line in read_checked(accepted).splitlines()]
    superseded = specimens.superseded(workspace, delivery_id, listed)
    failed = read_failures(workspace.delivery(delivery_id), ("call",))
    absent = superseded.union(failed)
    members = read_members(accepted, without=absent) if set(listed) - absent else []
    return members, [each for each in listed if each in failed and each not in superseded]


def _result(
    opened: store.Store, workspace: Workspace, batch: str, members: Sequence[Member], *, at: snapshot.Snapshot
) -> dict[str, Any]:
    """Return the part of the result of ``add_delivery`` that follows from the cohort at a snapshot."""
    own = [member.participant_id for member in members]
    own_rows = {row.participant_id for row in specimens.read(workspace.delivery(batch).specimens)}
    added = set(find_batches(opened, own, at=at))
    # those of other deliveries waited; a compaction may have moved them since, and their tables are there then
    for name in (entry.name for entry in at.batches if entry.name == batch or entry.name.startswith(f"{batch}.")):
        added |= set(participants_of(opened, name)) - own_rows
    waiting = {each.member.participant_id for each in read_waiting(opened.waiting)}
    result: dict[str, Any] = {"participants": sorted(added), "waiting": sorted(waiting.intersection(own) - added)}
    again = {member.participant_id for member in _came_again(workspace, batch, members)}
    if again & added:
        result["replaced"] = sorted(again & added)
    if added:
        result["snapshot"] = at.number
        result["remarks"] = _remarks(opened, result["participants"], at=at)
        last = find_batches(opened, result["participants"][-1:], at=at)
        result["settings"] = applied_settings(opened, at, batch=next(iter(last.values()), None))
    return result


def _added(
    opened: store.Store,
    workspace: Workspace,
    batch: str,
    members: Sequence[Member],
    *,
    settings: BatchSettings,
    engine: Engine,
) -> snapshot.Snapshot:
    """Return the snapshot after ``members``; those that no earlier run of the job added are added now, or wait.

    A batch is immutable. Members of a delivery that is in the cohort already, such as a specimen that was held and
    processed again, become a batch of their own: ``<delivery>.2``, ``<delivery>.3``, ….
    """
    latest = snapshot.read_snapshot(opened)
    # a withdrawal or a compaction may have moved them into another batch since
    missing = _not_added(opened, members, at=latest)
    if not missing:
        return latest
    deciding = _came_again(workspace, batch, missing)
    known = find_batches(opened, [member.participant_id for member in deciding], at=latest)
    again = [member for member in deciding if member.participant_id in known]
    if again:
        with audit.use(workspace.root, action="cohort.replace", object=batch, consent_hash=denied_hash(workspace)):
            free = _free_name(opened, batch, at=latest)
            latest = replace_batch(opened, batch=free, members=again, engine=engine, settings=settings)
    new = [member for member in missing if member not in again]
    if not new:
        return latest
    leave_waiting(opened, denied={member.participant_id for member in deciding})  # with their earlier gVCF
    denied = partial(denied_participants, workspace)
    free = _free_name(opened, batch, at=latest)
    return add_or_wait(opened, batch=free, members=new, engine=engine, settings=settings, denied=denied)


def _came_again(workspace: Workspace, delivery_id: str, members: Sequence[Member]) -> list[Member]:
    """Return the ``members`` with earlier reads whose reads of this delivery count, by the decision of a person."""
    currents = [(member, read_current(workspace.participant(member.participant_id))) for member in members]
    return [member for member, current in currents if current is not None and current.delivery == delivery_id]


def _free_name(opened: store.Store, batch: str, *, at: snapshot.Snapshot) -> str:
    """Return the name of a batch of the delivery that no batch of a snapshot has."""
    names = chain([batch], (f"{batch}.{number}" for number in count(2)))
    taken = {entry.name for each in [*living(opened), at] for entry in each.batches}
    return next(name for name in names if name not in taken)


def _not_added(opened: store.Store, members: Sequence[Member], *, at: snapshot.Snapshot) -> list[Member]:
    """Return the ``members`` that are not in the cohort at a snapshot with their gVCF and sex."""
    batches = find_batches(opened, [member.participant_id for member in members], at=at)
    rosters = [
        read_roster(opened, name)[0].select(["participant_id", "sex", "gvcf_sha256"]) for name in {*batches.values()}
    ]
    known = {tuple(row.values()) for roster in rosters for row in roster.to_pylist()}
    return [
        member
        for member in members
        if member.participant_id not in batches
        or (member.participant_id, member.sex, sha256_of(Path(member.gvcf))) not in known
    ]


def _remarks(opened: store.Store, participants: Sequence[str], *, at: snapshot.Snapshot) -> dict[str, dict[str, int]]:
    """Return the remarks on the gVCFs of ``participants``, by ID; participants without a remark are left out."""
    batches = {*find_batches(opened, participants, at=at).values()}
    remarks = {participant: counts for name in batches for participant, counts in read_remarks(opened, name).items()}
    return {participant: remarks[participant] for participant in sorted(participants) if participant in remarks}


def worthwhile(engine: Engine, gvcfs: Iterable[Path]) -> Engine:
    """Return ``engine`` with the workers that the size of ``gvcfs`` is worth, one worker for a small delivery."""
    worth = 1 + sum(gvcf.stat().st_size for gvcf in gvcfs if gvcf.is_file()) // BYTES_PER_WORKER
    return replace(engine, workers=min(engine.workers, worth), scheduler=engine.scheduler if worth > 1 else None)


def annotate_cohort(workspace: Workspace, *, settings: Mapping[str, Any], engine: Engine, output: Path) -> None:
    """Annotate the alleles of the latest snapshot; ``output`` is JSON for ``snapshot`` and its number of ``alleles``.

    ``settings`` has the settings ``annotate`` and ``cohort``. A cohort without a snapshot, since all deliveries wait or
    were rejected, is left as it is.
    """
    result: dict[str, Any] = {"snapshot": None, "alleles": 0}
    if workspace.cohort.is_dir() and snapshot.numbers(opened := store.open_store(workspace.cohort)):
        done = annotate(opened, sources_of(settings), engine=engine)
        result = {"snapshot": done.snapshot.number, "alleles": done.alleles}
    atomic.write_text(output, json.dumps(result, indent=1) + "\n")


def write_tables(workspace: Workspace, *, batch: Path, engine: Engine, report: Path, encrypt: bool = False) -> None:
    """Write the tables of the participants in ``batch``, except those who have withdrawn since.

    Args:
        workspace: The workspace of cohort and tables.
        batch: The output of ``add_delivery``.
        engine: Runs the work; a small delivery uses fewer workers.
        report: JSON for ``snapshot``, ``encrypted`` (the workspace has keys) and ``tables``: by participant ``rows``
            and ``reference_rows``, as counted in the finished files.
        encrypt: Encrypt tables from now on; they are encrypted anyway where the workspace has keys.
    """
    added = json.loads(read_checked(batch))
    members = added["participants"]
    result: dict[str, Any] = {"snapshot": None, "tables": {}, "encrypted": False}
    if encrypt:
        table_keys.create(workspace.root)
    if members:
        opened = store.open_store(workspace.cohort)
        engine = worthwhile(engine, (workspace.participant(participant_id).gvcf for participant_id in members))
        output = workspace.tables
        is_encrypted = table_keys.folder_of(workspace.root) is not None
        note_owner(output, identify(workspace), encrypted=is_encrypted)
        with audit.use(workspace.root, action="tables", object=added["delivery"]):
            present, latest = _admitted_tables(opened, workspace, members, engine=engine)
        result["snapshot"] = latest.number
        result["tables"] = {
            participant_id: {"rows": rows, "reference_rows": reference_rows}
            for participant_id, (rows, reference_rows) in tables.row_counts(opened, output, present).items()
        }
    result["encrypted"] = table_keys.folder_of(workspace.root) is not None
    atomic.write_text(report, json.dumps(result, indent=1) + "\n")
    withdrawal.sweep(workspace)


def _admitted_tables(
    opened: store.Store, workspace: Workspace, members: Sequence[str], *, engine: Engine
) -> tuple[list[str], snapshot.Snapshot]:
    """Write the tables of ``members`` without those denied; return the participants with tables, and the snapshot.

    Tables of members who are denied when all are written are deleted, also those of a job that was killed.
    """
    denied = denied_participants(workspace)
    admitted = [participant_id for participant_id in members if participant_id not in denied]
    present, latest = tables.make_latest_tables(opened, output=workspace.tables, participants=admitted, engine=engine)
    denied = denied_participants(workspace)
    for participant_id in denied.intersection(members):
        table_files.remove_tables(workspace.tables, participant_id)
    return [participant_id for participant_id in present if participant_id not in denied], latest
