"""The deliveries as institutions send them: reads, alignments, gVCFs, manifests, and the planted faults."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
import pysam.bcftools
from baekman.tools import programs as tools

from test_genome import reads
from test_genome.population import PEOPLE, Population
from test_genome.reads import ReadPairs
from test_genome.reference import MT, Reference, X, Y, pars
from test_genome.specimens import INSTITUTION, SPECIMENS, Specimen

REFERENCE_NAME = "baekman-test"
MANIFEST_COLUMNS = ("specimen_id", "file", "kind", "read_group", "sha256", "size")

_FLOW_CELL = {"first": "H7KLMDSX3", "second": "HWV2NDSX5"}
# Where the institutions keep their reference, as their files' headers say.
_REFERENCE_URI = f"/data/reference/{REFERENCE_NAME}.fa"
# The share of a truncated file that is left: its upload broke off.
_KEPT = 0.6


@dataclass(frozen=True)
class Delivered:
    """One file of a delivery; ``path`` is relative to the delivery's folder."""

    path: str
    kind: str
    read_group: str


def index(fasta: Path) -> None:
    """Index ``fasta`` for bwa and samtools."""
    subprocess.run(["bwa", "index", str(fasta)], check=True, stderr=subprocess.DEVNULL)
    pysam.faidx(str(fasta))


@dataclass(frozen=True)
class Sources:
    """The sources of all specimens; ``depth`` scales the depth of each."""

    seed: int
    fasta: Path
    reference: Reference
    population: Population
    depth: float


def write_deliveries(folder: Path, sources: Sources, *, workers: int) -> None:
    """Write each delivery's files, ``manifest.tsv`` and ``delivery.yaml`` in a folder of its name.

    ``workers`` specimens are made at a time: NumPy, zlib and the tools do not block Python's threads.
    """
    for name in INSTITUTION:
        for kind in ("fastq", "aligned"):
            (folder / name / kind).mkdir(parents=True)
    # The longest jobs first, so that no worker ends long after the others.
    order = sorted(range(len(SPECIMENS)), key=lambda number: SPECIMENS[number].entry == "fastq")
    with ThreadPoolExecutor(workers) as pool:
        written = dict(zip(order, pool.map(lambda number: _write(folder, number, sources), order), strict=True))
    for name, institution in INSTITUTION.items():
        rows = ["\t".join(MANIFEST_COLUMNS)]
        for number, specimen in enumerate(SPECIMENS):
            if specimen.delivery == name:
                rows += [_manifest_row(folder / name, specimen, file) for file in written[number]]
        (folder / name / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        (folder / name / "delivery.yaml").write_text(
            f"delivery: {institution}-2025-001\n"
            f"institution: {institution}\n"
            "platform: ILLUMINA\n"
            f"reference: {REFERENCE_NAME}\n",
            encoding="utf-8",
        )
        if not any((folder / name / "aligned").iterdir()):
            (folder / name / "aligned").rmdir()


def _write(folder: Path, number: int, sources: Sources) -> list[Delivered]:
    specimen = SPECIMENS[number]
    rng = np.random.default_rng([sources.seed, 20, number])
    people = [
        (reads.chromosomes(sources.reference, sources.population, key), specimen.depth * share * sources.depth)
        for key, share in specimen.mixture
    ]
    lanes = _lanes(rng, reads.draw_pairs(rng, people), specimen.lanes)
    return _write_files(folder / specimen.delivery, specimen, lanes, sources.fasta, sources.reference)


def _lanes(rng: np.random.Generator, pairs: ReadPairs, count: int) -> list[ReadPairs]:
    lane = rng.integers(count, size=len(pairs))
    return [pairs.take(np.flatnonzero(lane == number)) for number in range(count)]


def _write_files(
    folder: Path, specimen: Specimen, lanes: list[ReadPairs], fasta: Path, reference: Reference
) -> list[Delivered]:
    flow_cell = _FLOW_CELL[specimen.delivery]
    groups = [f"{flow_cell}.{lane}" for lane in range(1, len(lanes) + 1)]
    target = folder / ("fastq" if specimen.entry == "fastq" else "aligned")
    fastqs: list[list[Path]] = [[], []]
    delivered = []
    for number, (pairs, group) in enumerate(zip(lanes, groups, strict=True), start=1):
        for mate in (0, 1):
            path = target / f"{specimen.label}_L{number:03d}_R{mate + 1}_001.fastq.gz"
            reads.write_fastq(path, pairs, mate=mate, flow_cell=flow_cell, lane=number)
            fastqs[mate].append(path)
            delivered.append(Delivered(str(path.relative_to(folder)), f"fastq_{mate + 1}", group))
    if specimen.entry == "fastq":
        if specimen.damage == "truncated":
            os.truncate(fastqs[1][0], int(fastqs[1][0].stat().st_size * _KEPT))
        return delivered
    aligned = _align(target, specimen, fastqs, groups, fasta, reference)
    for path in fastqs[0] + fastqs[1]:
        path.unlink()
    if specimen.entry != "gvcf":
        return [Delivered(str(aligned.relative_to(folder)), specimen.entry, "")]
    called = _call(aligned, specimen, fasta, reference)
    aligned.unlink()
    return [Delivered(str(called.relative_to(folder)), "gvcf", "")]


def _manifest_row(folder: Path, specimen: Specimen, delivered: Delivered) -> str:
    content = (folder / delivered.path).read_bytes()
    if specimen.damage == "checksum" and delivered.kind == "fastq_2":
        digest = hashlib.sha256(b"the file as it was before it was changed").hexdigest()
    else:
        digest = hashlib.sha256(content).hexdigest()
    fields = (specimen.label, delivered.path, delivered.kind, delivered.read_group, digest, str(len(content)))
    return "\t".join(fields)


def _align(
    folder: Path,
    specimen: Specimen,
    fastqs: list[list[Path]],
    groups: list[str],
    fasta: Path,
    reference: Reference,
) -> Path:
    """Write a sorted BAM or CRAM with marked duplicates; each lane is a read group of the specimen's label."""
    sorted_bam = folder / f".{specimen.label}.sorted.bam"
    mates = " ".join(f"<(cat {shlex.join(map(str, files))})" for files in fastqs)
    quoted, samtools = shlex.quote(str(fasta)), shlex.join(tools.command("samtools"))
    # -K fixes the batch in which bwa estimates the insert size, whatever its threads.
    command = (
        f"set -o pipefail; bwa mem -v 1 -K 20000000 {quoted} {mates} | {samtools} fixmate --no-PG -u -m - -"
        f" | {samtools} sort --no-PG -u -T {shlex.quote(str(folder / specimen.label))} -"
        f" | {samtools} markdup --no-PG -u - {shlex.quote(str(sorted_bam))}"
    )
    subprocess.run(["bash", "-c", command], check=True, stderr=subprocess.DEVNULL)
    cram = specimen.entry == "cram"
    output = folder / f"{specimen.label}.{'cram' if cram else 'bam'}"
    header = _header(specimen, groups, reference)
    lane_group = {group.rpartition(".")[2]: group for group in groups}
    with (
        pysam.AlignmentFile(str(sorted_bam)) as source,
        pysam.AlignmentFile(str(output), "wc" if cram else "wb", header=header, reference_filename=str(fasta)) as out,
    ):
        for read in source:
            read.set_tag("RG", lane_group[read.query_name.split(":", 4)[3]])
            out.write(read)
    sorted_bam.unlink()
    if cram:
        _set_header(output, header)
    return output


def _set_header(cram: Path, header: pysam.AlignmentHeader) -> None:
    """Replace the header: htslib wrote the reference's path on this machine into it."""
    text = cram.with_suffix(".sam")
    text.write_text(str(header), encoding="utf-8")
    command = [*tools.command("samtools"), "reheader", "--no-PG", str(text), str(cram)]
    content = subprocess.run(command, check=True, capture_output=True).stdout
    cram.write_bytes(content)
    text.unlink()


def _header(specimen: Specimen, groups: list[str], reference: Reference) -> pysam.AlignmentHeader:
    """Make the header here: the tools' @PG lines would hold paths of this machine."""
    sequences = [
        {
            "SN": contig,
            "LN": len(bases),
            "M5": hashlib.md5(bases.tobytes(), usedforsecurity=False).hexdigest(),
            "AS": REFERENCE_NAME,
            "UR": _REFERENCE_URI,
        }
        for contig, bases in reference.contigs.items()
    ]
    read_groups = [
        {"ID": group, "SM": specimen.label, "LB": f"{specimen.label}-1", "PL": "ILLUMINA", "PU": group}
        for group in groups
    ]
    program = {
        "ID": "bwa",
        "PN": "bwa",
        "VN": "0.7.17-r1188",
        "CL": f"bwa mem reference.fa {specimen.label}_R1.fastq.gz {specimen.label}_R2.fastq.gz",
    }
    return pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": sequences, "RG": read_groups, "PG": [program]}
    )


def _call(aligned: Path, specimen: Specimen, fasta: Path, reference: Reference) -> Path:
    """Call a gVCF with bcftools: blocks have the least depth, and single chromosomes are haploid."""
    folder = aligned.parent
    sex = next(person.sex for person in PEOPLE if person.key == specimen.person)
    ploidy = folder / f".{specimen.label}.ploidy"
    ploidy.write_text(_ploidy_table(reference), encoding="utf-8")
    samples = folder / f".{specimen.label}.samples"
    samples.write_text(f"{specimen.label}\t{'M' if sex == 'male' else 'F'}\n", encoding="utf-8")
    pileup, plain = folder / f".{specimen.label}.bcf", folder / f".{specimen.label}.vcf"
    output = folder / f"{specimen.label}.g.vcf.gz"
    pysam.index(str(aligned))
    pysam.bcftools.mpileup(
        *("--no-version", "-f", str(fasta), "-a", "AD,DP", "-g", "1,10,20", "-Q", "15", "--indels-cns"),
        *("-Ou", "-o", str(pileup), str(aligned)),
        catch_stdout=False,
    )
    pysam.bcftools.call(
        *(
            "--no-version",
            "-m",
            "-g",
            "1,10,20",
            "-a",
            "GQ",
            "--ploidy-file",
            str(ploidy),
            "-S",
            str(samples),
        ),
        *("-Ov", "-o", str(plain), str(pileup)),
        catch_stdout=False,
    )
    text = plain.read_text(encoding="utf-8")
    with pysam.BGZFile(str(output), "wb") as out:
        out.write(re.sub(r"(?m)^##reference=.*$", f"##reference=file://{_REFERENCE_URI}", text).encode())
    for path in (ploidy, samples, pileup, plain, aligned.with_name(aligned.name + ".bai")):
        path.unlink()
    return output


def _ploidy_table(reference: Reference) -> str:
    """Return bcftools' ploidy file (contig, 1-based first and last base, sex, ploidy); the rest is diploid."""
    (first, second), length = pars(reference, X), len(reference.contigs[Y])
    lines = [f"{X} {first.end + 1} {second.start} M 1", f"{Y} 1 {length} M 1", f"{Y} 1 {length} F 0"]
    lines += [f"{MT} 1 {len(reference.contigs[MT])} {sex} 1" for sex in "MF"]
    return "\n".join(lines) + "\n"
