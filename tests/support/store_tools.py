"""Small gVCFs, references and stores for the tests of the cohort store, and their content as plain Python."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from baekman.arrow import strings
from baekman.cohort.batch import seal
from baekman.cohort.schema import FLAG_CALLED, FLAG_GENOTYPED, STATE_CALLED, STATE_MISSING, STATE_WEAK
from baekman.files.digests import LIST, digests_of, sealed_text, sha256_of, write_digests
from baekman.gvcf.piece import ROW_COLUMNS
from baekman.gvcf.reader import Genome, GvcfReader, ReadCounts, read_in_pieces
from baekman.gvcf.thresholds import Thresholds
from support.servers import forks

STATES = {STATE_CALLED: "called", STATE_WEAK: "weak", STATE_MISSING: "missing"}
FORMAT = "GT:GQ:DP:AD:PL"
BASES = "ACGTTGCAAC" * 30
C1 = {"c1": BASES}  # the contig of small gVCFs


def line(
    pos: int,
    ref: str,
    alt: str,
    sample: str,
    *,
    contig: str = "c1",
    qual: str = ".",
    filter: str = ".",
    info: str = ".",
    format: str = FORMAT,
) -> str:
    """Return one record of a gVCF."""
    return "\t".join([contig, str(pos), ".", ref, alt, qual, filter, info, format, sample])


def block(
    start: int, end: int, ref: str, *, gq: int = 50, dp: int = 30, contig: str = "c1", alt: str = "<NON_REF>"
) -> str:
    """Return a GATK reference block; ``ref`` is the base at ``start``."""
    return line(start, ref, alt, f"0/0:{dp}:{gq}:{dp}", contig=contig, info=f"END={end}", format="GT:DP:GQ:MIN_DP")


def gvcf_text(lines: Iterable[str], *, contigs: Mapping[str, int], sample: str = "S1") -> str:
    """Return a whole gVCF with every header line that ``bcftools`` wants."""
    header = [
        "##fileformat=VCFv4.2",
        '##ALT=<ID=NON_REF,Description="Any other allele">',
        '##FILTER=<ID=LowQual,Description="Low quality">',
        '##FILTER=<ID=RefCall,Description="Reference">',
        '##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
        '##INFO=<ID=SVLEN,Number=1,Type=Integer,Description="Length">',
        '##INFO=<ID=MIN_DP,Number=1,Type=Integer,Description="Least depth">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##FORMAT=<ID=GQX,Number=1,Type=Integer,Description="Quality of Strelka">',
        '##FORMAT=<ID=SQ,Number=1,Type=Float,Description="Quality of DRAGEN">',
        '##FORMAT=<ID=RGQ,Number=1,Type=Integer,Description="Quality of a reference genotype">',
        '##FORMAT=<ID=GL,Number=G,Type=Float,Description="Likelihoods, log10">',
        '##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Least depth">',
        '##FORMAT=<ID=LEN,Number=1,Type=Integer,Description="Length of the block">',
        '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Allele depths">',
        '##FORMAT=<ID=FT,Number=1,Type=String,Description="Filter of the genotype">',
        '##FORMAT=<ID=RO,Number=1,Type=Integer,Description="Reads of the reference">',
        '##FORMAT=<ID=AO,Number=A,Type=Integer,Description="Reads of each ALT">',
        '##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">',
        '##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">',
        '##FORMAT=<ID=PGT,Number=1,Type=String,Description="Physical phase">',
        '##FORMAT=<ID=PID,Number=1,Type=String,Description="Physical phase ID">',
        *(f"##contig=<ID={name},length={length}>" for name, length in contigs.items()),
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", sample]),
    ]
    return "\n".join([*header, *lines]) + "\n"


def header_lines(contigs: Mapping[str, int]) -> int:
    """Return the number of lines in the header of ``gvcf_text``; the first record is on the next line."""
    return gvcf_text([], contigs=contigs).count("\n")


def genome_of(contigs: Mapping[str, str], *, aliases: Mapping[str, str] | None = None) -> Genome:
    """Make a reference in memory."""
    lengths = np.array([len(bases) for bases in contigs.values()], np.int64)
    return Genome(
        names=tuple(contigs),
        lengths=lengths,
        starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
        sequence=np.frombuffer("".join(contigs.values()).encode(), np.uint8),
        aliases=dict(aliases or {}),
    )


def write_reference(path: Path, contigs: Mapping[str, str]) -> Path:
    """Write a FASTA, 10,000 bases a line."""
    with path.open("w") as out:
        for name, bases in contigs.items():
            out.write(f">{name}\n")
            out.writelines(f"{bases[at : at + 10_000]}\n" for at in range(0, len(bases), 10_000))
    return path


@dataclass
class Row:
    """A call row."""

    contig: str
    pos: int
    ref: str
    alt: str
    copies: int
    ploidy: int
    other: int
    gq: int
    dp: int
    ad: tuple[int, int]
    pl: tuple[int, ...]
    phase: int
    phase_set: int
    filter: str
    called: bool
    genotyped: bool

    @property
    def allele(self) -> tuple[int, str, str]:
        """Position, REF and ALT."""
        return self.pos, self.ref, self.alt


@dataclass
class Segment:
    """A reference segment; ``start`` and ``end`` are 1-based and inclusive."""

    contig: str
    start: int
    end: int
    gq: int
    dp: int
    ploidy: int
    other: int
    state: str


@dataclass
class Reading:
    """The content of one gVCF."""

    rows: list[Row]
    segments: list[Segment]
    counts: ReadCounts

    def row(self, pos: int, ref: str, alt: str) -> Row:
        """Return the only row of an allele."""
        (row,) = (row for row in self.rows if row.allele == (pos, ref, alt))
        return row


def read_gvcf(
    path: Path,
    genome: Genome,
    *,
    thresholds: Thresholds | None = None,
    shard_ends: Sequence[Sequence[int]] | None = None,
) -> Reading:
    """Read a gVCF with the store's reader."""
    ends = shard_ends if shard_ends is not None else [[int(length)] for length in genome.lengths]
    options = {"genome": genome, "thresholds": thresholds or Thresholds()}
    return read_in_pieces(partial(_read_gvcf, path, [np.array(of_contig, np.int32) for of_contig in ends], options))


def _read_gvcf(path: Path, shard_ends: Sequence[Any], options: dict[str, Any], whole_contigs: bool) -> Reading:
    genome = options["genome"]
    reader = GvcfReader(
        path,
        label="gVCF of P1",
        shard_ends=shard_ends,
        whole_contigs=whole_contigs,
        **options,
    )
    rows: list[Row] = []
    segments: list[Segment] = []
    pieces = list(reader.pieces())
    names = ["PASS", *reader.counts.filters]
    for piece in pieces:
        name = genome.names[piece.contig]
        refs, alts = strings(*piece.ref).to_pylist(), strings(*piece.alt).to_pylist()
        for values, ref, alt in zip(piece.rows.tolist(), refs, alts, strict=True):
            v: dict[str, Any] = dict(zip(ROW_COLUMNS, values, strict=True))
            rows.append(
                Row(
                    contig=name,
                    pos=v["pos"],
                    ref=ref,
                    alt=alt,
                    copies=v["copies"],
                    ploidy=v["ploidy"],
                    other=v["other"],
                    gq=v["gq"],
                    dp=v["dp"],
                    ad=(v["ad_ref"], v["ad_alt"]),
                    pl=tuple(v[f"pl_{k}"] for k in range(v["ploidy"] + 1)),
                    phase=v["phase"],
                    phase_set=v["phase_set"],
                    filter=names[v["filter"]],
                    called=bool(v["flags"] & FLAG_CALLED),
                    genotyped=bool(v["flags"] & FLAG_GENOTYPED),
                )
            )
        segments += [
            Segment(name, *values[:6], STATES[values[6]])  # type: ignore[arg-type]
            for values in piece.segments.tolist()
        ]
    return Reading(rows, segments, reader.counts)


def read_lines(folder: Path, lines: Iterable[str], contigs: Mapping[str, str], **options: Any) -> Reading:
    """Write a gVCF of ``lines`` on a reference and read it."""
    path = folder / "one.g.vcf"
    path.write_text(gvcf_text(lines, contigs={name: len(bases) for name, bases in contigs.items()}))
    return read_gvcf(path, genome_of(contigs), **options)


def reference_from_gvcfs(gvcfs: Sequence[Path], path: Path, *, contigs: Sequence[str] | None = None) -> Path:
    """Write the reference that gVCFs imply (``implied_bases``)."""
    return write_reference(path, implied_bases(gvcfs, contigs=contigs))


def implied_bases(gvcfs: Sequence[Path], *, contigs: Sequence[str] | None = None) -> dict[str, str]:
    """Return the reference that gVCFs imply: their REF bases on N, for the contigs that they use.

    A contig is as long as a header says, or else as far as records go.
    """
    bases: dict[str, bytearray] = {}
    lengths: dict[str, int] = {}
    for gvcf in gvcfs:
        with gzip.open(gvcf, "rb") if gvcf.name.endswith("gz") else gvcf.open("rb") as lines:
            for raw in lines:
                text = raw.decode("latin-1").rstrip("\n")
                if defined := re.match(r"##contig=<ID=([^,>]+),(?:.*,)?length=(\d+)", text):
                    lengths[defined[1]] = int(defined[2])
                columns = text.split("\t", 4)
                if text.startswith("#") or len(columns) < 5 or not columns[1].isdigit():
                    continue
                contig, ref, end = columns[0], columns[3].upper(), int(columns[1]) - 1 + len(columns[3])
                if contigs is not None and contig not in contigs:
                    continue
                block = re.search(r"\bEND=(\d+)", columns[4])
                length = max(end, int(block[1]) if block else 0)
                sequence = bases.setdefault(contig, bytearray())
                if len(sequence) < length:
                    sequence.extend(b"N" * (length - len(sequence)))
                if end <= len(sequence) and ref.isalpha():
                    sequence[end - len(ref) : end] = ref.encode("ascii", "replace")
    return {name: sequence.decode().ljust(lengths.get(name, 0), "N") for name, sequence in bases.items()}


def baekman(*arguments: str | Path, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own, in ``cwd`` or here."""
    environment = {**os.environ, "BAEKMAN_TRACEBACK": "1"}
    done = forks.run("baekman", list(map(str, arguments)), folder=cwd or Path.cwd(), environment=environment)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def write_list(path: Path, members: Iterable[tuple[str, Path] | tuple[str, Path, str]]) -> Path:
    """Write the list of gVCFs that ``cohort add`` takes."""
    path.write_text("".join("\t".join(map(str, member)) + "\n" for member in members))
    return path


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under ``folder`` by its relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def spans(reading: Reading) -> list[tuple[int, int, int, str]]:
    """Return start, end, GQ and state of each segment."""
    return [(s.start, s.end, s.gq, s.state) for s in reading.segments]


def reseal(store: Path) -> None:
    """Write the lists of digests of a store again, as if its files had been written as they are."""
    for batch in (store / "batches").iterdir():
        seal(batch, [digests_of(batch, batch.rglob("*.parquet"))], inputs=(batch / "inputs").read_text())
    for path in (store / "snapshots").glob("*.json"):
        sites = store / "sites" / path.stem
        write_digests(sites / LIST, digests_of(sites, sites.rglob("*.parquet")))
        snapshot = json.loads(path.read_text())
        for entry in snapshot["batches"]:
            entry["hashes"] = sha256_of(store / "batches" / entry["name"] / LIST)
        path.write_text(sealed_text(snapshot | {"sites": sha256_of(sites / LIST)}))
