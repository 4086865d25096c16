"""A small world for the tests of intake: a reference, people, their files, registrations and deliveries."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pysam
from baekman.intake.reception import ReceivedDelivery
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, create_registry

INSTITUTION = "Hanbit Hospital"
CONTIGS = (("chr1", 3000), ("chr2", 2000))
SHEET = "delivery: {name}\ninstitution: {institution}\nplatform: ILLUMINA NovaSeq X\nreference: tiny\n"
NAME, NUMBER, SUBJECT = "김한빛", "850101-2345678", "HB-SUBJECT-17"


def bases(seed: int, length: int) -> str:
    """Draw random bases."""
    return "".join(random.Random(seed).choices("ACGT", k=length))


def write_reference(folder: Path, *, seed: int = 1) -> Path:
    """Write the reference ``tiny.fa`` with its index."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.fa"
    contigs = [(name, bases(seed + number, length)) for number, (name, length) in enumerate(CONTIGS)]
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs))
    pysam.faidx(str(path))
    return path


def fastq(seed: int, mate: int, *, pairs: int = 20, name: Callable[[int], str] | None = None) -> str:
    """Return FASTQ text; ``name`` makes the name line (without @) of a read from its number."""
    draw = random.Random(seed * 10 + mate)
    named = name or (lambda number: f"A00{seed}:7:FLOW:1:1101:{number}:99 {mate}:N:0:ACGT")
    return "".join(
        f"@{named(number)}\n{''.join(draw.choices('ACGT', k=50))}\n+\n{'F' * 50}\n" for number in range(pairs)
    )


def write_fastq(path: Path, text: str) -> None:
    """Gzip ``text`` as laboratories do, with the file's name inside."""
    with path.open("wb") as raw, gzip.GzipFile(path.name, "wb", fileobj=raw) as packed:
        packed.write(text.encode())


def write_alignment(
    path: Path,
    reference: Path,
    *,
    sample: str | None,
    seed: int,
    contigs: Sequence[tuple[str, int]] = CONTIGS,
    header: dict[str, object] | None = None,
    groups: Sequence[str] = ("LANE.1",),
    name: str = "A00:7:FLOW:1:1101",
    tag: str = "ward7",
) -> None:
    """Write a BAM or CRAM with ten pairs per read group from the reference; the last read has ``tag`` as its CO."""
    fasta = pysam.FastaFile(str(reference))
    described: dict[str, object] = {
        "HD": {"VN": "1.6", "SO": "unsorted"},
        "SQ": [{"SN": contig, "LN": length} for contig, length in contigs],
        "PG": [{"ID": "bwa", "PN": "bwa", "CL": "bwa mem /data/hospital/ward7/ref.fa"}],
        **(header or {}),
    }
    if sample is not None:
        described["RG"] = [{"ID": group, "SM": sample, "LB": "ward7", "PL": "ILLUMINA"} for group in groups]
    draw = random.Random(seed)
    mode = "wc" if path.suffix == ".cram" else "wb"
    with pysam.AlignmentFile(
        str(path),
        mode,
        header=described,
        reference_filename=str(reference),  # type: ignore[arg-type]
    ) as out:
        for number, group in enumerate([group for group in groups for _ in range(10)]):
            start = draw.randrange(0, 1500)
            for mate, position in ((1, start), (2, start + 150)):
                read = pysam.AlignedSegment(out.header)
                read.query_name = f"{name}:{number}"
                read.flag = 0x1 | 0x2 | (0x40 | 0x20 if mate == 1 else 0x80 | 0x10)
                read.reference_id, read.reference_start, read.mapping_quality = 0, position, 60
                read.cigarstring = "100M"
                read.next_reference_id, read.next_reference_start = 0, start + 150 if mate == 1 else start
                read.query_sequence = fasta.fetch(
                    contigs[0][0] if contigs is CONTIGS else "chr1", position, position + 100
                )
                read.query_qualities = pysam.qualitystring_to_array("I" * 100)
                if sample is not None:
                    read.set_tag("RG", group)
                read.set_tag("CO", tag if (number, mate) == (10 * len(groups) - 1, 2) else "ward7")
                out.write(read)


def gvcf_text(
    reference: Path,
    *,
    sample: str,
    contigs: Sequence[tuple[str, int]] = CONTIGS,
    meta: Sequence[str] = ("##source=/data/hospital/ward7/call.sh",),
    samples: Sequence[str] = (),
) -> str:
    """Return a gVCF with two blocks and one variant."""
    fasta = pysam.FastaFile(str(reference))
    first = fasta.fetch("chr1", 99, 100)
    other = "A" if first != "A" else "C"
    lines = [
        "##fileformat=VCFv4.2",
        *meta,
        *(f"##contig=<ID={name},length={length},assembly=/data/hospital/ref.fa>" for name, length in contigs),
        '##ALT=<ID=NON_REF,Description="any">',
        '##FILTER=<ID=LowQual,Description="ward7">',
        '##INFO=<ID=END,Number=1,Type=Integer,Description="end, of ward7">',
        '##INFO=<ID=WARD,Number=1,Type=String,Description="ward">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="g">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="d">',
        '##FORMAT=<ID=PL,Number=G,Type=Integer,Description="p">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", sample, *samples]),
    ]
    contig = contigs[0][0]
    records = [
        (1, ".", fasta.fetch("chr1", 0, 1), "<NON_REF>", "END=99;WARD=ward7", "0/0:60:30:0,60,900"),
        (100, "ward7", first, f"{other},<NON_REF>", "WARD=ward7", "0/1:99:31:400,0,420,500,510,900"),
        (101, ".", fasta.fetch("chr1", 100, 101), "<NON_REF>", "END=2000", "0/0:60:30:0,60,900"),
    ]
    for position, name, ref, alt, info, call in records:
        calls = [call] * (1 + len(samples))
        lines.append("\t".join([contig, str(position), name, ref, alt, ".", ".", info, "GT:GQ:DP:PL", *calls]))
    return "\n".join(lines) + "\n"


def write_gvcf(path: Path, text: str) -> None:
    """Write ``text`` as BGZF."""
    with pysam.BGZFile(str(path), "wb") as packed:  # type: ignore[call-arg]
        packed.write(text.encode())


@dataclass
class DeliveryBuilder:
    """A delivery in the making."""

    folder: Path
    reference: Path
    name: str = "HB-2026-01"
    institution: str = INSTITUTION
    rows: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)

    def add(self, label: str, file: str, kind: str, lane: str = "", *, sha256: str = "", size: int = -1) -> None:
        """Add a file to the manifest, by default with its true checksum and size."""
        path = self.folder / file
        content = path.read_bytes() if path.is_file() and not sha256 else b""
        digest = sha256 or hashlib.sha256(content).hexdigest()
        count = size if size >= 0 else (path.stat().st_size if path.is_file() else 10)
        self.rows.append([label, file, kind, lane, digest, str(count)])

    def pair(
        self,
        label: str,
        *,
        seed: int,
        lane: str = "LANE1",
        stem: str = "",
        change: Callable[[int, str], str] = lambda mate, text: text,
        name: Callable[[int], str] | None = None,
    ) -> tuple[Path, Path]:
        """Write and add a FASTQ pair; ``change`` makes the text of a file from mate and text."""
        paths = []
        for mate in (1, 2):
            file = f"{stem or label}_{lane}_R{mate}.fastq.gz"
            write_fastq(self.folder / file, change(mate, fastq(seed, mate, name=name)))
            self.add(label, file, f"fastq_{mate}", lane)
            paths.append(self.folder / file)
        return paths[0], paths[1]

    def finish(self) -> Path:
        """Write the manifest and the sheet; return the folder."""
        columns = ["specimen_id", "file", "kind", "read_group", "sha256", "size"]
        lines = ["\t".join(row) for row in [columns, *self.rows]]
        (self.folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.folder / "delivery.yaml").write_text(
            SHEET.format(name=self.name, institution=self.institution), encoding="utf-8"
        )
        return self.folder


def registration(label: str, number: int, **fields: str) -> dict[str, str]:
    """Return a row of a registration table; every person has a name and number of their own."""
    row = {
        "institution": INSTITUTION,
        "specimen_id": label,
        "participant": f"HB-SUBJECT-{number:03d}",
        "participant_type": "general",
        "registered_sex": "female" if number % 2 else "male",
        "consent": "granted",
        "consent_from": "2025-01-01",
        "consent_to": "",
        "name": f"Zyx{chr(97 + number % 26)}{chr(97 + number // 26)}w Kim",
        "resident_registration_number": f"850101-{2345000 + number}",
    }
    return {**row, **fields}


def write_registrations(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """Write a registration table."""
    columns = list(rows[0])
    lines = ["\t".join(columns), *("\t".join(row.get(name, "") for name in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_workspace(folder: Path, reference: Path, rows: Sequence[dict[str, str]], *, more: str = "") -> Registry:
    """Make a workspace with a configuration and a registry that holds ``rows``; return the registry."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"reference: {reference}\n{more}")
    registry, _ = create_registry(folder)
    import_registrations(registry, [write_registrations(folder.parent / f"{folder.name}.registration.tsv", rows)])
    return registry


def simple_delivery(folder: Path, reference: Path, *labels: str, name: str = "D-1", seed: int = 5) -> Path:
    """Write a delivery of one FASTQ pair per label; return its folder."""
    builder = DeliveryBuilder(folder, reference, name=name)
    for number, label in enumerate(labels):
        builder.pair(label, seed=seed + number)
    return builder.finish()


def codes(received: ReceivedDelivery) -> list[tuple[str, list[str]]]:
    """Return the verdicts of a delivery, each with the codes of its reasons."""
    return [(verdict.verdict, [reason.code for reason in verdict.reasons]) for verdict in received.verdicts]


def fastq_records(path: Path) -> list[tuple[str, str, str, str]]:
    """Return the records of a gzipped FASTQ, four lines each."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [tuple(lines[start : start + 4]) for start in range(0, len(lines), 4)]  # type: ignore[misc]
