"""The records of a variant caller, as the records of a baekman gVCF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np

from baekman.call.completeness import cut_to_whole_lines
from baekman.call.reference_blocks import EVIDENCE_LIMIT, GQ_CAP
from baekman.genome.ploidy import Piece

LOW_QUAL = 20
NOWHERE = (0, -1)
BASES = frozenset("ACGTacgt")
BLOCK = ["<*>"]  # ALT of a caller's own block
MISSING = np.iinfo(np.int32).min  # htslib's missing integer


@dataclass
class Record:
    """One record of the gVCF.

    Attributes:
        contig: its contig.
        pos: its position, 1-based.
        ref: REF.
        alts: ALT alleles, one or more.
        quality: QUAL as text.
        filter: ``PASS``, ``LowQual``, ``ReadPosition``, ``Deleted``, or ``.`` where the genotype has no ALT.
        info: INFO as text.
        sample: the values of ``GT:GQ:DP:AD:PL`` as text.
        taken: the positions for which no block is written, 1-based and inclusive.
        lost: the positions that no haplotype has; empty where the first is after the last.
    """

    contig: str
    pos: int
    ref: str
    alts: tuple[str, ...]
    quality: str
    filter: str
    info: str
    sample: str
    taken: tuple[int, int]
    lost: tuple[int, int] = NOWHERE

    @property
    def line(self) -> str:
        """Return the record as a line of VCF."""
        site = f"{self.contig}\t{self.pos}\t.\t{self.ref}\t{','.join(self.alts)}"
        return f"{site}\t{self.quality}\t{self.filter}\t{self.info}\tGT:GQ:DP:AD:PL\t{self.sample}\n"


def read_records(path: Path, *, piece: Piece, kept_info: Sequence[str]) -> tuple[list[Record], list[str], int]:
    """Return a caller's records that start in ``piece`` and have evidence, and the header lines of ``kept_info``.

    The third value is the last position (1-based) of a record or block of the caller, which is before the piece where
    there is none. ``path`` is the VCF of one sample, sorted by position.
    """
    reached = piece.region.start - 1
    if not cut_to_whole_lines(path):
        return [], [], reached
    records = []
    vcf = cyvcf2.VCF(str(path))
    try:
        for variant in vcf:
            reached = max(reached, variant.end)
            if variant.ALT != BLOCK and (record := gvcf_record(variant, piece, kept_info)) is not None:
                records.append(record)
        prefixes = tuple(f"##INFO=<ID={name}," for name in kept_info)
        declared = [_declared(line) for line in vcf.raw_header.splitlines() if line.startswith(prefixes)]
    finally:
        vcf.close()
    _mark_deleted(records)
    return records, declared, reached


def gvcf_record(variant: Any, piece: Piece, kept_info: Sequence[str]) -> Record | None:
    """Return a caller's record (``cyvcf2.Variant``) as a gVCF record; None when its reads exclude each ALT.

    Also None for a record that starts outside the piece, or where the reference has no base (N). The likelihoods are
    PL, or GL where there is no PL (freebayes). Raises ValueError when their number does not fit the ploidy.
    """
    pos, ref, alts = variant.POS, variant.REF, tuple(variant.ALT)
    if not piece.region.start <= pos <= piece.region.end or not alts or not BASES.issuperset(ref):
        return None
    pl = _likelihoods(variant)
    called = sorted(variant.genotypes[0][:-1])
    if pl is None or not called or called[0] < 0:
        return None
    numbers = _genotype_numbers(len(alts) + 1, piece.ploidy)
    if len(pl) != len(numbers):
        raise ValueError(f"{variant.CHROM}:{pos}: {len(pl)} likelihoods for {len(numbers)} genotypes")
    index = numbers[tuple(called)]
    rival = min(pl[:index] + pl[index + 1 :])
    gq = max(0, min(rival - pl[index], GQ_CAP))
    quality, label, info, taken = "0", ".", ".", (pos, pos)
    if any(called):
        gq = min(gq, int(variant.QUAL))
        quality = _number(variant.QUAL)
        label = _filter(variant)
        info = ";".join(_entry(key, value) for key, value in variant.INFO if key in kept_info) or "."
        taken = (pos, pos + len(ref) - 1)
    elif rival - pl[index] >= EVIDENCE_LIMIT:
        return None
    genotype = "/".join(map(str, called))
    sample = f"{genotype}:{gq}:{_values(variant, 'DP')}:{_values(variant, 'AD')}:{','.join(map(str, pl))}"
    lost = _lost(pos, ref, alts, called) if label == "PASS" else NOWHERE
    return Record(variant.CHROM, pos, ref, alts, quality, label, info, sample, taken, lost)


def _declared(line: str) -> str:
    # bcftools declares MQ as Integer and then warns that it should be Float
    return line.replace("ID=MQ,Number=1,Type=Integer", "ID=MQ,Number=1,Type=Float") + "\n"


def _lost(pos: int, ref: str, alts: Sequence[str], called: Sequence[int]) -> tuple[int, int]:
    """Return the positions that a homozygous deletion removes, after its alleles are trimmed (right end first)."""
    if called[0] == 0 or called[0] != called[-1]:
        return NOWHERE
    alt = alts[called[0] - 1]
    while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    return pos + len(alt), pos + len(ref) - 1


def _mark_deleted(records: Sequence[Record]) -> None:
    """Set the filter of SNVs at bases that a homozygous deletion before them removes."""
    lost = NOWHERE
    for record in records:
        if record.filter == "PASS" and lost[0] <= record.pos <= lost[1] and len(record.ref) == 1:
            record.filter = "Deleted"
        elif record.lost[1] > lost[1]:
            lost = record.lost


def _filter(variant: Any) -> str:
    """Return ``LowQual``, ``ReadPosition`` or ``PASS`` for a record with an ALT genotype.

    The limit of RPBZ is that of the htslib guide "Filtering of VCF files" for SNVs of one genome. It replaces
    BAQ: bases misaligned at an indel lie at the ends of their reads.
    """
    quality = variant.QUAL
    if quality < LOW_QUAL:
        return "LowQual"
    depth = int(variant.format("DP")[0][0])
    biased = abs(variant.INFO.get("RPBZ") or 0.0) > 3 + 3 * depth / quality
    return "ReadPosition" if biased and not variant.INFO.get("INDEL") else "PASS"


def _likelihoods(variant: Any) -> list[int] | None:
    """Return PL, or GL (log10) as PL, the best 0; None where both are missing."""
    values: list[int] = _field(variant, "PL")
    if not values or MISSING in values:
        # The shortest text of a float32 has the digits that the caller wrote.
        gl = [float(str(np.float32(value))) for value in _field(variant, "GL")]
        if not gl or any(map(math.isnan, gl)):
            return None
        values = [round(-10 * value) for value in gl]
    best = min(values)
    return [value - best for value in values]


def _field(variant: Any, key: str) -> list[Any]:
    """Return the numbers of a FORMAT field; none where the header or the record does not have it."""
    try:
        values = variant.format(key)
    except KeyError:
        return []
    return [] if values is None else list(values[0].tolist())


def _values(variant: Any, key: str) -> str:
    """Return a FORMAT field of integers as text."""
    return ",".join("." if value == MISSING else str(value) for value in _field(variant, key)) or "."


@cache
def _genotype_numbers(alleles: int, ploidy: int) -> dict[tuple[int, ...], int]:
    """Return the place of each genotype in PL (VCF 4.3, section 1.6.2)."""
    genotypes = sorted(combinations_with_replacement(range(alleles), ploidy), key=lambda genotype: genotype[::-1])
    return {genotype: number for number, genotype in enumerate(genotypes)}


def _entry(key: str, value: Any) -> str:
    """Return one entry of INFO as text."""
    if value is True:
        return key
    values = value if isinstance(value, tuple) else (value,)
    return f"{key}={','.join(_number(item) if isinstance(item, float) else str(item) for item in values)}"


def _number(value: float) -> str:
    """Return the shortest text that stands for the same float32."""
    return str(np.float32(value)).removesuffix(".0")
