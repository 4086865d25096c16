"""A finished workspace with three participants, small enough for unit tests."""

from __future__ import annotations

import base64
import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baekman import withdrawal
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store, open_store
from baekman.privacy import leakscan
from baekman.privacy.leak_patterns import Identifier, matcher_of
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, create_registry
from baekman.tables import make as tables
from baekman.verdicts import Verdict, write_verdicts
from baekman.workspace.paths import DeliveryFolder, Workspace
from support.store_tools import block, gvcf_text, line

DELIVERY = "D0000000000000"
HEADER = "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from\tname\n"
BASES = "".join(random.Random(7).choices("ACGT", k=2000))


@dataclass(frozen=True)
class FinishedWorkspace(Workspace):
    """A workspace with three participants in one batch of the delivery ``DELIVERY``."""

    opened_registry: Registry
    participant_ids: list[str]
    specimen_ids: list[str]

    @property
    def home(self) -> DeliveryFolder:
        """The folder of the delivery."""
        return self.delivery(DELIVERY)

    def files(self) -> dict[str, bytes]:
        """Return the content of every file except the registry's and locks, by path."""
        return {
            self.relative(path): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.name != ".lock" and "registry" not in path.parts
        }

    def leaks(self, number: int) -> list[str]:
        """Return the files that contain an ID of a participant, except where the IDs may remain."""
        ids = (self.participant_ids[number], self.specimen_ids[number])
        matcher = matcher_of([Identifier(value=value, place="line 1") for value in ids])
        apart = [self.audit, self.receipts, self.withdrawn, self.registry]
        return [leak.file for leak in leakscan.scan([self.root], matcher=matcher, exclude=apart).leaks]


def write(path: Path, content: str | bytes) -> None:
    """Write a file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_calls(path: Path, participant: str, number: int) -> None:
    """Write a gVCF with one variant and reference blocks; ``number`` moves their end."""
    alt = "ACGT"["ACGT".index(BASES[99]) ^ 1]
    lines = [
        block(1, 99, BASES[0]),
        line(100, BASES[99], f"{alt},<NON_REF>", "0/1:60:30:15,15,0:400,0,400,450,450,800"),
        block(101, 1000 + number, BASES[100]),
    ]
    write(path, gzip.compress(gvcf_text(lines, contigs={"c1": 2000}, sample=participant).encode()))


def add_to_cohort(workspace: Workspace, name: str, participants: list[str]) -> None:
    """Add ``participants``, with the gVCFs of their folders, as the batch ``name``."""
    members = [
        Member(participant_id=participant_id, gvcf=str(workspace.participant(participant_id).gvcf), sex="female")
        for participant_id in participants
    ]
    add_batch(open_store(workspace.cohort), batch=name, members=members)


def write_tables(workspace: Workspace) -> None:
    """Write the tables of everybody in the cohort."""
    tables.make_tables(open_store(workspace.cohort), output=workspace.tables)


def finished_workspace(tmp_path: Path) -> FinishedWorkspace:
    """Make three participants in one batch, with all files of a delivery; their reference is in ``tmp_path``."""
    root = tmp_path / "w"
    registry, _ = create_registry(root)
    rows = [f"H\tB-000{n}\tSUBJ-{n}\trare\tfemale\tgranted\t2025-01-01\tName {n}\n" for n in range(3)]
    write(tmp_path / "registration.tsv", HEADER + "".join(rows))
    import_registrations(registry, [tmp_path / "registration.tsv"])
    records = [record for n in range(3) if (record := registry.specimen("H", f"B-000{n}"))]
    participants = [record.participant_id for record in records]
    workspace = FinishedWorkspace(root, registry, participants, [record.specimen_id for record in records])
    write(tmp_path / "reference.fa", f">c1\n{BASES}\n")
    create_store(workspace.cohort, reference=tmp_path / "reference.fa")
    for number, participant_id in enumerate(participants):
        _write_participant(workspace, participant_id, number)
    _write_delivery(workspace)
    add_to_cohort(workspace, DELIVERY, participants)
    write_tables(workspace)
    return workspace


def _write_participant(workspace: FinishedWorkspace, participant_id: str, number: int) -> None:
    folder = workspace.participant(participant_id)
    write_calls(folder.gvcf, participant_id, number)
    write(folder.cram, b"CRAM")
    write(folder.qc / f"{participant_id}.stats.txt", participant_id)
    write(workspace.home.staged / participant_id / "L1.fq.gz", gzip.compress(b"x"))
    write(workspace.logs / "align_reads" / f"{participant_id}.log", "")
    write(workspace.root / "benchmarks" / "align_reads" / f"{participant_id}.tsv", "")
    output = base64.b64encode(f"participants/{participant_id}/aligned.cram".encode(), b"_-").decode()
    write(workspace.snakemake / "metadata" / output, json.dumps({"input": [f"staged/{participant_id}"]}))


def _write_delivery(workspace: FinishedWorkspace) -> None:
    home, participants = workspace.home, workspace.participant_ids
    pairs = list(zip(participants, workspace.specimen_ids, strict=True))
    manifest = "participant_id\tspecimen_id\tentry\tlane\tfile_1\tfile_2\tsex\tarray_genotypes\n"
    for participant_id, specimen_id in pairs:
        manifest += f"{participant_id}\t{specimen_id}\tgvcf\tL1\tstaged/{participant_id}/x.g.vcf.gz\t\tfemale\t\n"
    write(home.specimens, manifest)
    verdicts = [
        Verdict.of(specimen_id=specimen_id, participant_id=participant_id, gate="intake", reasons=[])
        for participant_id, specimen_id in pairs
    ]
    write_verdicts(home.verdicts("intake"), verdicts)
    write(home.batch, json.dumps({"delivery": DELIVERY, "participants": participants, "snapshot": 1}))
    write(home.run_manifest, json.dumps({"gvcfs": dict.fromkeys(participants, "ab"), "n": 3}))
    write(home.report / "verdicts.html", "<html>" + " ".join(participants))
    blob = base64.b64encode(gzip.compress(json.dumps(participants).encode()))
    write(home.report / "figures.html", b"<html>'" + blob + b"'")
    write(
        workspace.logs / "batch.log", "".join(f"read {participant_id}\n" for participant_id in participants) + "done\n"
    )
    log = "".join(f"rule {participant_id}\n" for participant_id in participants)
    write(workspace.snakemake / "log" / "x.snakemake.log", log)
    batch = base64.b64encode(b"deliveries/batch.json", b"_-").decode()
    write(workspace.snakemake / "metadata" / batch, json.dumps({"input": participants}))
    write(workspace.returned / "report.json", json.dumps({"specimen": "B-0001"}))


def withdraw(workspace: FinishedWorkspace, number: int = 1) -> dict[str, Any]:
    """Withdraw a participant; return the receipt."""
    participant_id = workspace.participant_ids[number]
    return withdrawal.withdraw(workspace, participant_id, registry=workspace.opened_registry)
