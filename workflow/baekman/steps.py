"""A delivery's accepted participants in the cohort, and their tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from baekman import audit, withdrawal
from baekman.cohort import rewrite, snapshot, store
from baekman.cohort.add import add_batch
from baekman.cohort.batch import read_roster
from baekman.cohort.gvcf_list import Member, read_members
from baekman.cohort.index import find_batches
from baekman.cohort.sites import SiteFilters
from baekman.engine.local import Engine
from baekman.files import atomic
from baekman.files.digests import sha256_of
from baekman.genome.reference import find_par
from baekman.gvcf.reader import Thresholds
from baekman.qc import measure as qc
from baekman.tables import keys as table_keys
from baekman.tables import make as tables
from baekman.verdicts import GateMode
from baekman.workspace import denied as standing
from baekman.workspace import sample_check, specimens

# of compressed gVCF: less than this is in the store almost as soon as one more worker is ready for it
BYTES_PER_WORKER = 8 << 20


def judge(delivery: Path, *, thresholds: Path, gate: GateMode, output: Path, accepted: Path) -> None:
    """Judge the participants of the delivery in the folder ``delivery`` by their metrics.

    ``output`` gets the verdicts; ``accepted`` a line (participant, gVCF, sex) for each who goes on, the
    gVCF's path relative to the workspace. In the gate's mode ``report`` all go on.
    """
    sexes = {row.participant_id: row.sex for row in specimens.read(delivery / "specimens.tsv")}
    metrics = [Path("participants") / one / "qc" / "metrics.json" for one in sorted(sexes)]
    verdicts = qc.gate(metrics, thresholds=thresholds, output=output)
    going_on = sorted(one.participant for one in verdicts if one.participant and one.passes(gate))
    lines = [f"{one}\tparticipants/{one}/calls.g.vcf.gz\t{sexes[one]}\n" for one in going_on]
    atomic.write_text(accepted, "".join(lines))


def add(
    delivery: str,
    *,
    accepted: Path,
    cohort_folder: Path,
    reference: Path,
    shards: Path,
    thresholds: Mapping[str, Any],
    filters: Mapping[str, Any],
    par: str = "",
    engine: Engine,
    output: Path,
) -> None:
    """Add the batch ``delivery`` to the cohort in ``cohort_folder``, which is made when it is not there.

    ``accepted`` lists participant, gVCF and sex; ``thresholds`` and ``filters`` are the sections ``cohort``
    and ``sites`` of the configuration, ``par`` a BED of the PARs or the name of a known reference, else the
    reference's own name tells them. An existing cohort keeps its own thresholds and PARs. ``output`` gets the
    batch's participants and the snapshot that has them; with nobody accepted the cohort is left alone.
    Raises InputRefused when a gVCF is another participant's.
    """
    workspace = cohort_folder.parent
    members = read_members(accepted) if accepted.read_text(encoding="utf-8").strip() else []
    # consent may have ended since intake
    denied = standing.denied(workspace)
    members = [one for one in members if one.participant_id not in denied]
    for member in members:
        sample_check.require_owner(Path(member.gvcf), participant=member.participant_id)
    result: dict[str, Any] = {"delivery": delivery, "participants": [], "snapshot": None}
    if members:
        if (cohort_folder / "store.json").is_file():
            opened = store.open_store(cohort_folder)
        else:
            names = {field.name for field in fields(Thresholds)}
            kept = {key: value for key, value in thresholds.items() if key in names}
            opened = store.create_store(
                cohort_folder,
                reference=reference,
                shards_file=shards,
                thresholds=Thresholds(**{**kept, "gq_bands": tuple(kept["gq_bands"])}),
                aliases=thresholds["contig_aliases"],
                par_regions=find_par(par) if par else None,
            )
        engine = worthwhile(engine, (Path(member.gvcf) for member in members))
        committed = snapshot.read_snapshot(opened)
        # done before this job noted it; a withdrawal or a compaction has put them into another batch since
        if committed.entry(delivery) is not None or not _are_added(opened, members, at=committed):
            committed = add_batch(
                opened,
                batch=delivery,
                members=members,
                engine=engine,
                filters=SiteFilters(**filters),
            )
        # or have ended while the batch was written; a withdrawal from here on finds the batch itself
        gone = {member.participant_id for member in members} & standing.denied(workspace)
        if gone:
            committed = rewrite.withdraw(opened, sorted(gone), engine=engine)
        result["participants"] = sorted({member.participant_id for member in members} - gone)
        result["snapshot"] = committed.number
        consent_hash = standing.denied_hash(workspace)
        audit.record_use(workspace, action="cohort.add", object=delivery, consent_hash=consent_hash)
    atomic.write_text(output, json.dumps(result, indent=1) + "\n")
    withdrawal.sweep(workspace)


def _are_added(opened: store.Store, members: Sequence[Member], *, at: snapshot.Snapshot) -> bool:
    """Whether all ``members`` are in the cohort at a snapshot, with the gVCFs and sexes that they have here."""
    batches = find_batches(opened, [member.participant_id for member in members], at=at)
    if len(batches) < len(members):
        return False
    rosters = [
        read_roster(opened, name)[0].select(["participant_id", "sex", "gvcf_sha256"]) for name in {*batches.values()}
    ]
    known = {tuple(row.values()) for roster in rosters for row in roster.to_pylist()}
    return all((member.participant_id, member.sex, sha256_of(Path(member.gvcf))) in known for member in members)


def worthwhile(engine: Engine, gvcfs: Iterable[Path]) -> Engine:
    """What of ``engine`` the ``gvcfs`` are worth: one worker for a small delivery, whatever the job may use."""
    worth = 1 + sum(gvcf.stat().st_size for gvcf in gvcfs if gvcf.is_file()) // BYTES_PER_WORKER
    return Engine(workers=min(engine.workers, worth), scheduler=engine.scheduler if worth > 1 else None)


def write_tables(
    batch: Path, *, cohort_folder: Path, output: Path, engine: Engine, report: Path, encrypt: bool = False
) -> None:
    """Write the tables of the participants in ``batch`` (what ``add`` wrote) to the folder ``output``.

    ``encrypt``: they are encrypted from now on, as they are where the workspace has keys already.
    ``report`` gets the snapshot and, per participant, the rows of table and reference blocks as the finished
    files tell them. Who has withdrawn since the batch was added is left out.
    """
    added = json.loads(batch.read_text(encoding="utf-8"))
    members = added["participants"]
    result: dict[str, Any] = {"snapshot": None, "tables": {}}
    if encrypt and table_keys.create(cohort_folder.parent):
        audit.record(cohort_folder.parent, action="table-keys.init")
    if members:
        opened = store.open_store(cohort_folder)
        gvcfs = (cohort_folder.parent / "participants" / one / "calls.g.vcf.gz" for one in members)
        engine = worthwhile(engine, gvcfs)
        present, latest = tables.make_latest_tables(opened, output=output, participants=members, engine=engine)
        audit.record_use(opened.workspace, action="tables", object=added["delivery"])
        result["snapshot"] = latest.number
        result["tables"] = {
            one: {"rows": rows, "reference_rows": reference_rows}
            for one, (rows, reference_rows) in tables.row_counts(opened, output, present).items()
        }
    atomic.write_text(report, json.dumps(result, indent=1) + "\n")
    withdrawal.sweep(cohort_folder.parent)
