"""A finished workspace with three participants, small enough for unit tests, and what can be asked of it."""

from __future__ import annotations

import base64
import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path

from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store, open_store
from baekman.privacy import leakscan
from baekman.privacy.leak_patterns import Identifier, matcher_of
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, create_registry
from baekman.tables import make as tables
from baekman.verdicts import Verdict, write_verdicts

from support.store_tools import block, gvcf_text, line

DELIVERY = "D0000000000000"
HEADER = "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from\tname\n"
BASES = "".join(random.Random(7).choices("ACGT", k=2000))


@dataclass
class Workspace:
    """A workspace with three participants who went all the way."""

    path: Path
    registry: Registry
    participants: list[str]
    specimens: list[str]

    def files(self) -> dict[str, bytes]:
        """Every file but the audit log's and locks, by path."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and path.name != ".lock" and "registry" not in path.parts
        }

    def leaks(self, number: int) -> list[str]:
        """Where the IDs of a participant still stand, the places apart left out."""
        ids = (self.participants[number], self.specimens[number])
        matcher = matcher_of([Identifier(value=one, place="line 1") for one in ids])
        apart = [self.path / name for name in ("audit", "receipts", "withdrawn", "registry")]
        return [leak.file for leak in leakscan.scan([self.path], matcher=matcher, exclude=apart).leaks]


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_calls(path: Path, participant: str, number: int) -> None:
    alt = "ACGT"["ACGT".index(BASES[99]) ^ 1]
    lines = [
        block(1, 99, BASES[0]),
        line(100, BASES[99], f"{alt},<NON_REF>", "0/1:60:30:15,15,0:400,0,400,450,450,800"),
        block(101, 1000 + number, BASES[100]),
    ]
    write(path, gzip.compress(gvcf_text(lines, contigs={"c1": 2000}, sample=participant).encode()))


def add_to_cohort(workspace: Path, name: str, participants: list[str]) -> None:
    members = [
        Member(participant_id=one, gvcf=str(workspace / "participants" / one / "calls.g.vcf.gz"), sex="female")
        for one in participants
    ]
    add_batch(open_store(workspace / "cohort"), batch=name, members=members)


def write_tables(workspace: Path) -> None:
    tables.make_tables(open_store(workspace / "cohort"), output=workspace / "tables")


def finished_workspace(tmp_path: Path) -> Workspace:
    """Three participants in one batch, with everything that a delivery leaves; their reference is in ``tmp_path``."""
    path = tmp_path / "w"
    registry, _ = create_registry(path)
    rows = [f"H\tB-000{n}\tSUBJ-{n}\trare\tfemale\tgranted\t2025-01-01\tName {n}\n" for n in range(3)]
    write(tmp_path / "registration.tsv", HEADER + "".join(rows))
    import_registrations(registry, [tmp_path / "registration.tsv"])
    records = [registry.specimen("H", f"B-000{n}") for n in range(3)]
    participants = [one.participant_id for one in records if one]
    specimens = [one.specimen_id for one in records if one]
    write(tmp_path / "reference.fa", f">c1\n{BASES}\n")
    create_store(path / "cohort", reference=tmp_path / "reference.fa")
    home = path / "deliveries" / DELIVERY
    manifest = "participant_id\tspecimen_id\tentry\tlane\tfile_1\tfile_2\tsex\tarray_genotypes\n"
    for number, (one, specimen) in enumerate(zip(participants, specimens, strict=True)):
        folder = path / "participants" / one
        write_calls(folder / "calls.g.vcf.gz", one, number)
        write(folder / "aligned.cram", b"CRAM")
        write(folder / "qc" / f"{one}.stats.txt", one)
        write(home / "staged" / one / "L1.fq.gz", gzip.compress(b"x"))
        write(path / "logs" / "align_reads" / f"{one}.log", "")
        write(path / "benchmarks" / "align_reads" / f"{one}.tsv", "")
        manifest += f"{one}\t{specimen}\tgvcf\tL1\tstaged/{one}/x.g.vcf.gz\t\tfemale\t\n"
        output = f"participants/{one}/aligned.cram".encode()
        metadata = path / ".snakemake" / "metadata" / base64.b64encode(output, b"_-").decode()
        write(metadata, json.dumps({"input": [f"staged/{one}"]}))
    write(home / "specimens.tsv", manifest)
    verdicts = [
        Verdict.of(specimen=specimen, participant=one, gate="intake", reasons=[])
        for one, specimen in zip(participants, specimens, strict=True)
    ]
    write_verdicts(home / "verdicts" / "intake.json", verdicts)
    write(home / "batch.json", json.dumps({"delivery": DELIVERY, "participants": participants, "snapshot": 1}))
    write(home / "report" / "manifest.json", json.dumps({"gvcfs": dict.fromkeys(participants, "ab"), "n": 3}))
    write(home / "report" / "verdicts.html", "<html>" + " ".join(participants))
    blob = base64.b64encode(gzip.compress(json.dumps(participants).encode()))
    write(home / "report" / "figures.html", b"<html>'" + blob + b"'")
    write(path / "logs" / "batch.log", "".join(f"read {one}\n" for one in participants) + "done\n")
    write(path / ".snakemake" / "log" / "x.snakemake.log", "".join(f"rule {one}\n" for one in participants))
    batch = base64.b64encode(b"deliveries/batch.json", b"_-").decode()
    write(path / ".snakemake" / "metadata" / batch, json.dumps({"input": participants}))
    write(path / "return" / "report.json", json.dumps({"specimen": "B-0001"}))
    add_to_cohort(path, DELIVERY, participants)
    write_tables(path)
    return Workspace(path, registry, participants, specimens)
