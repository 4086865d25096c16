"""Screened bases: their evidence is that of bcftools mpileup, and no variant is lost."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pysam
import pytest
from baekman.call import calling
from baekman.call.callers import PILEUP_OPTIONS, Job
from baekman.call.calling import call_shard
from baekman.call.reference_blocks import EVIDENCE_LIMIT
from baekman.call.screening import Screened, screen
from baekman.genome.ploidy import Piece
from baekman.genome.regions import Region
from baekman.kernels.pileup.bases import Pileup
from baekman.tools import programs

CONTIG, LENGTH = "HLA:1", 4_000  # the name of a region, for tools that take it for one
MATCHES, WHOLE = "M=X", Region(CONTIG, 1, LENGTH)
CROWD = (2_900, 3_000)  # where reads of more than mpileup's --max-depth start
# of an indel they depend on the bases that mpileup had before
CARRIED = re.compile("(?:BQBZ|MQSBZ)=[^;]*;")
SETTINGS = {
    # bases, pairs, share of errors, qualities, mapping qualities
    "deep": (900, 0.004, (2, 11, 25, 37, 60), (60, 60, 60, 20)),
    "noisy": (500, 0.03, tuple(range(61)), (0, 1, 3, 20, 60, 255)),
    "shallow": (90, 0.01, (0, 1, 2, 14, 30, 40), (0, 9, 60)),
}


def cigar_of(rng: np.random.Generator, length: int) -> list[tuple[str, int]]:
    """Return operations that use about ``length`` bases of the reference."""
    if rng.random() < 0.7:
        operations = [("M", length)]
    else:
        first = int(rng.integers(1, length - 1))
        middle = [("I", 3), ("D", 4), ("N", 30), ("P", 1), ("M", 1), ("X", 2), ("=", 2)]
        chosen = [middle[index] for index in rng.integers(0, len(middle), int(rng.integers(1, 4)))]
        operations = [("M", first), *chosen, ("M", length - first)]
    for end in (0, len(operations)):
        if rng.random() < 0.15:
            operations.insert(end and len(operations), ("S", int(rng.integers(1, 9))))
        if rng.random() < 0.05:
            operations.insert(end and len(operations), ("H", 5))
    if rng.random() < 0.03:
        operations.insert(0, ("I", 2))
    return operations


def bases_of(
    rng: np.random.Generator, reference: str, start: int, operations: list[tuple[str, int]], errors: float
) -> str:
    at, bases = start, ""
    for operation, count in operations:
        if operation in MATCHES:
            bases += reference[at : at + count]
            at += count
        elif operation in "IS":
            bases += "".join(rng.choice(list("ACGT"), count))
        elif operation in "DN":
            at += count
    changed = rng.random(len(bases)) < errors
    others = rng.choice(list("ACGTN"), len(bases), p=[0.24, 0.24, 0.24, 0.24, 0.04])
    return "".join(
        other if is_changed else base for base, other, is_changed in zip(bases, others, changed, strict=True)
    )


def write_reads(path: Path, reference: str, *, kind: str, seed: int) -> None:
    """Write reads of pairs that overlap or not, of other kinds, and of a crowd."""
    pairs, errors, qualities, mapping_qualities = SETTINGS[kind]
    rng = np.random.default_rng(seed)
    header = pysam.AlignmentHeader.from_dict(
        {
            "HD": {"VN": "1.6", "SO": "coordinate"},
            "SQ": [{"SN": CONTIG, "LN": LENGTH}],
            "RG": [{"ID": "P1", "SM": "P1"}],
        }
    )
    starts = rng.integers(0, LENGTH - 700, pairs).tolist()
    if kind == "deep":
        starts += rng.integers(*CROWD, 400).tolist()
    segments = []
    for number, start in enumerate(starts):
        mate = start + int(rng.integers(0, 160))
        made = []
        for place in (start, mate):
            operations = cigar_of(rng, int(rng.integers(30, 120)))
            segment = pysam.AlignedSegment(header)
            segment.query_name = f"pair.{number}"
            segment.query_sequence = bases_of(rng, reference, place, operations, errors)
            segment.cigarstring = "".join(f"{count}{operation}" for operation, count in operations)
            segment.query_qualities = rng.choice(qualities, len(segment.query_sequence)).tolist()
            segment.reference_id, segment.reference_start = 0, place
            segment.mapping_quality = int(rng.choice(mapping_qualities))
            segment.set_tag("RG", "P1")
            made.append(segment)
        segments += made
        odd = rng.random()
        for segment, other, flag in zip(made, made[::-1], (0x63, 0x93), strict=True):
            segment.flag = flag
            segment.next_reference_id, segment.next_reference_start = 0, other.reference_start
            segment.template_length = (1 if flag == 0x63 else -1) * (mate - start + 100)
        if odd < 0.05:  # not a proper pair
            for segment in made:
                segment.flag &= ~0x2
        elif odd < 0.1:  # single reads
            for segment in made:
                segment.flag = int(rng.choice([0, 16]))
                segment.next_reference_id, segment.next_reference_start, segment.template_length = -1, -1, 0
        elif odd < 0.15:
            made[0].flag |= int(rng.choice([0x100, 0x200, 0x400, 0x800]))
        elif odd < 0.2:  # a supplementary alignment of the same name
            again = pysam.AlignedSegment.from_dict(made[0].to_dict(), header)
            again.flag |= 0x800
            segments.append(again)
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for segment in sorted(segments, key=lambda segment: segment.reference_start):
            bam.write(segment)
    pysam.index(str(path))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    bases = rng.choice(list("ACGT"), LENGTH)
    bases[1_500:1_530] = "N"
    path = tmp_path_factory.mktemp("reference") / "ref.fa"
    path.write_text(f">{CONTIG}\n{''.join(bases)}\n")
    pysam.faidx(str(path))
    return path


def sequence_of(reference: Path) -> str:
    with pysam.FastaFile(str(reference)) as fasta:
        return fasta.fetch(CONTIG)


def rows_of(reads: Path, reference: Path) -> Iterator[tuple[int, list[str], int, list[int]]]:
    """Yield position, ALTs, depth and likelihoods of each row of a pileup of all bases."""
    bcftools = programs.command("bcftools")
    pileup = [*bcftools, "mpileup", *PILEUP_OPTIONS, "-f", str(reference), "-Ou", str(reads)]
    query = [*bcftools, "query", "-f", r"%POS\t%ALT\t[%DP\t%PL]\n", "-"]
    with subprocess.Popen(pileup, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source:
        text = subprocess.run(query, stdin=source.stdout, stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in text.splitlines():
        pos, alts, depth, likelihoods = line.split("\t")
        yield int(pos), alts.split(","), int(depth), [int(value) for value in likelihoods.split(",")]


def judged(alts: list[str], likelihoods: list[int], *, ploidy: int) -> tuple[int, int]:
    """Return GQ of the reference, and the distance of the best genotype with an ALT that a read has."""
    pairs = [(a, b) for b in range(len(alts) + 1) for a in range(b + 1)]
    values = [
        (alts[b - 1], value - likelihoods[0])
        for (a, b), value in zip(pairs, likelihoods, strict=True)
        if b and (ploidy == 2 or a == b)
    ]
    seen = [value for alt, value in values if alt != "<*>"]
    return max(0, min(99, *(value for _, value in values))), min(seen, default=EVIDENCE_LIMIT)


@pytest.mark.parametrize("ploidy", [1, 2])
@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_screened_bases_have_the_evidence_of_mpileup(
    reference: Path, tmp_path: Path, kind: str, ploidy: int, seed: int
) -> None:
    reads = tmp_path / "reads.bam"
    write_reads(reads, sequence_of(reference), kind=kind, seed=seed)
    job = Job(cram=reads, reference=reference, piece=Piece(WHOLE, ploidy), folder=tmp_path)
    screened = screen(job, sequence_of(reference), is_called=np.ones(LENGTH, bool))
    depth, gq = screened.evidence.depth, screened.evidence.gq
    rows = {pos: (alts, reads, pl) for pos, alts, reads, pl in rows_of(reads, reference) if depth[pos - 1]}
    judgements = {pos: judged(alts, pl, ploidy=ploidy) for pos, (alts, _, pl) in rows.items()}
    screened_bases = (np.flatnonzero(depth) + 1).tolist()
    assert {pos: rows[pos][1] for pos in screened_bases} == {pos: depth[pos - 1] for pos in screened_bases}
    assert {pos: judgements[pos][0] for pos in screened_bases} == {pos: gq[pos - 1] for pos in screened_bases}
    assert min(judgements[pos][1] for pos in screened_bases) >= EVIDENCE_LIMIT
    assert len(screened_bases) > (100 if kind == "noisy" else 1_000)
    covered = {pos for pos, _, count, _ in rows_of(reads, reference) if count}
    assert covered <= {*screened_bases, *(np.flatnonzero(screened.is_piled) + 1).tolist()}


@pytest.mark.parametrize("sex", ["female", "male"])
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_gvcf_is_that_of_a_pileup_of_every_base(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, sex: str
) -> None:
    reads = tmp_path / "reads.bam"
    write_reads(reads, sequence_of(reference), kind=kind, seed=9)

    def gvcf(name: str) -> list[str]:
        call_shard(reads, reference=reference, regions=[WHOLE], participant_id="PTEST", sex=sex, output=tmp_path / name)
        with pysam.BGZFile(str(tmp_path / name)) as lines:
            return [CARRIED.sub("", line.decode()) for line in lines]

    def nothing_screened(job: Job, bases: str, *, is_called: np.ndarray) -> Screened:
        screened = screen(job, bases, is_called=is_called)
        job.write_piled(is_called)
        screened.evidence.depth[:] = screened.evidence.gq[:] = 0
        return screened

    made = gvcf("screened.g.vcf.gz")
    monkeypatch.setattr(calling, "screen", nothing_screened)
    assert made == gvcf("whole.g.vcf.gz")
    assert sum("\t<*>\t" not in line for line in made) > 10


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda bam: bam[:-10], "the alignments end in a record"),
        (lambda bam: bam[:-34] + (1 << 20).to_bytes(4, "little") + bam[-30:], "a record of the alignments is damaged"),
        (lambda bam: b"BAX" + bam[3:], "the alignments are no BAM"),
    ],
)
def test_a_damaged_stream_of_reads_is_an_error(cut: Callable[[bytes], bytes], message: str) -> None:
    pileup = Pileup(b"ACGT" * 10, 0, ploidy=2, limit=EVIDENCE_LIMIT)
    # a header without text, one contig, and a record of 7 bases with a name and one operation
    fixed = struct.pack("<iiBBHHHiiii", 0, 3, 2, 60, 0, 1, 0, 7, -1, -1, 0)
    record = fixed + b"r\0" + struct.pack("<I", 7 << 4) + bytes(4) + bytes(7)
    header = b"BAM\1" + struct.pack("<iii", 0, 1, 2) + b"1\0" + struct.pack("<i", 40)
    bam = header + struct.pack("<i", len(record)) + record
    pileup.feed(stored(bam))
    assert pileup.finish()[0].sum() == 0  # bases without quality count nowhere
    broken = Pileup(b"ACGT" * 10, 0, ploidy=2, limit=EVIDENCE_LIMIT)
    with pytest.raises(ValueError, match=message):
        broken.feed(stored(cut(bam)))
        broken.finish()


def stored(data: bytes) -> bytes:
    """Return ``data`` as a BGZF block that only stores it."""
    deflated = b"\x01" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    head = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff\x06\x00BC\x02\x00"
    return head + struct.pack("<H", 18 + len(deflated) + 8 - 1) + deflated + bytes(8)
