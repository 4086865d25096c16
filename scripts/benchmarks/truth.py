"""Calls against a truth set: precision, recall and F1, with genotypes compared as haplotypes.

Callers write the same haplotypes differently (one complex allele, several small ones, another place in a
repeat). Records are therefore split, atomised and left-aligned (``bcftools norm``), and where neighbours still
differ, the pair of haplotype sequences that they spell decides, as in RTG vcfeval (Cleary et al. 2015,
bioRxiv 023754) and hap.py (Krusche et al. 2019, Nat. Biotechnol. 37:555), by brute force in a small window.
"""

from __future__ import annotations

import itertools
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pysam
import pysam.bcftools

NEIGHBOURS = 50  # variants closer than this many bases are compared together
MOST_HETS = 12  # a window with more heterozygous records than this is compared record by record
MOST_REMOVED = 4  # errors looked for in one window before the rest is compared record by record


@dataclass(frozen=True, order=True)
class Allele:
    """One ALT of one genotype: ``pos`` 1-based, ``copies`` 1 or 2 (2 also where the genotype is haploid)."""

    contig: str
    pos: int
    ref: str
    alt: str
    copies: int

    @property
    def kind(self) -> str:
        """``snv`` or ``indel``."""
        return "snv" if len(self.ref) == len(self.alt) == 1 else "indel"


@dataclass
class Counts:
    """Counts of one kind of allele; the numbers of matched truth and matched calls may differ."""

    truth: int = 0
    truth_found: int = 0
    calls: int = 0
    calls_true: int = 0

    @property
    def recall(self) -> float:
        """The share of the true alleles that are called; NaN without any."""
        return self.truth_found / self.truth if self.truth else float("nan")

    @property
    def precision(self) -> float:
        """The share of the called alleles that are true; NaN without any."""
        return self.calls_true / self.calls if self.calls else float("nan")

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass
class Comparison:
    """Counts by kind (``snv``, ``indel``), and the alleles that did not match."""

    counts: dict[str, Counts] = field(default_factory=lambda: {"snv": Counts(), "indel": Counts()})
    missed: list[Allele] = field(default_factory=list)
    false: list[Allele] = field(default_factory=list)


class Regions:
    """Intervals of a BED file (0-based, half-open), merged, for look-up by 1-based position."""

    def __init__(self, intervals: Iterable[tuple[str, int, int]]) -> None:
        self._starts: dict[str, list[int]] = {}
        self._ends: dict[str, list[int]] = {}
        for contig, start, end in sorted(intervals):
            starts, ends = self._starts.setdefault(contig, []), self._ends.setdefault(contig, [])
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)

    @classmethod
    def of_bed(cls, path: Path) -> Regions:
        """Read a BED file; lines that begin with # are skipped."""
        rows = (line.split() for line in path.read_text().splitlines() if line[:1] not in ("", "#"))
        return cls((row[0], int(row[1]), int(row[2])) for row in rows)

    def __contains__(self, place: tuple[str, int]) -> bool:
        contig, pos = place
        index = bisect_right(self._starts.get(contig, []), pos - 1) - 1
        return index >= 0 and pos - 1 < self._ends[contig][index]


@dataclass(frozen=True, kw_only=True)
class CallSet:
    """The genotypes of one sample in a VCF or gVCF.

    ``sample`` is the first of the file unless it is named. Records with a QUAL below ``min_qual``, or with a
    FILTER that is set and not PASS, do not count, nor do genotypes with a GQ below ``min_gq``. A missing QUAL or
    GQ passes. ``contig_alias`` renames contigs (say ``{"20": "chr20"}``) before records are aligned to a reference.
    """

    path: Path
    sample: str | None = None
    min_qual: float = 0
    min_gq: int = 0
    contig_alias: Mapping[str, str] = field(default_factory=dict)


def read_alleles(calls: CallSet, *, reference: Path) -> list[Allele]:
    """Return the alleles that the sample carries: split, atomised, left-aligned, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        carried, split, aligned = (str(Path(folder) / name) for name in ("carried", "split", "aligned"))
        chosen = ["-s", calls.sample] if calls.sample else []
        keep = f'GT="alt" && (QUAL="." || QUAL>={calls.min_qual}) && (FILTER="PASS" || FILTER=".")'
        source = _renamed(calls, Path(folder))
        pysam.bcftools.view("-i", keep, "-Ob", "-o", carried, *chosen, str(source), catch_stdout=False)
        pysam.bcftools.norm("-a", "-m", "-any", "-Ob", "-o", split, carried, catch_stdout=False)
        pysam.bcftools.norm("-f", str(reference), "-c", "w", "-Ob", "-o", aligned, split, catch_stdout=False)
        copies: dict[tuple[str, int, str, str], int] = {}
        with pysam.VariantFile(aligned) as records:
            for record in records:
                alt = (record.alts or ("<*>",))[0]
                called = record.samples[0]
                gq = called.get("GQ")
                if gq is not None and gq < calls.min_gq:
                    continue
                genotype = [index for index in called["GT"] if index is not None]
                carried_copies = sum(index == 1 for index in genotype) * (2 if len(genotype) == 1 else 1)
                if carried_copies and set(alt) <= set("ACGTN"):
                    key = (record.contig, record.pos, record.ref.upper(), alt.upper())
                    copies[key] = min(2, copies.get(key, 0) + carried_copies)
    return sorted(Allele(*key, copies=count) for key, count in copies.items())


def _renamed(calls: CallSet, folder: Path) -> Path:
    """Return the file of ``calls``, or a copy in ``folder`` with other names of contigs."""
    if not calls.contig_alias:
        return calls.path
    names, renamed = folder / "names", folder / "renamed.bcf"
    names.write_text("".join(f"{old} {new}\n" for old, new in calls.contig_alias.items()))
    arguments = ("--rename-chrs", str(names), "-Ob", "-o", str(renamed), str(calls.path))
    pysam.bcftools.annotate(*arguments, catch_stdout=False)
    return renamed


def _spelt(alleles: Sequence[Allele], sequence: str, offset: int) -> str | None:
    """Put the sorted ``alleles`` into ``sequence`` (first base at 1-based ``offset``); None if they overlap."""
    pieces, at = [], offset
    for allele in alleles:
        # an insertion and a SNV at one POS share only the anchor base, which the insertion leaves as it is
        anchored = len(allele.alt) != len(allele.ref)
        start = allele.pos + (1 if anchored else 0)
        if start < at:
            return None
        pieces.append(sequence[at - offset : start - offset])
        pieces.append(allele.alt[1:] if anchored else allele.alt)
        at = allele.pos + len(allele.ref)
    pieces.append(sequence[at - offset :])
    return "".join(pieces)


def _haplotype_pairs(alleles: Sequence[Allele], sequence: str, offset: int) -> Iterator[tuple[str, str]]:
    """Yield each unordered pair of haplotypes that the unphased ``alleles`` can spell."""
    # SNVs go before indels anchored on the same base: the order in which _spelt can place them
    ordered = sorted(alleles, key=lambda allele: (allele.pos, allele.kind == "indel", allele.alt))
    hets = [allele for allele in ordered if allele.copies == 1]
    for sides in itertools.product((0, 1), repeat=max(0, len(hets) - 1)):
        on_first = {het for het, side in zip(hets, (0, *sides), strict=False) if side == 0}
        first = _spelt([a for a in ordered if a.copies == 2 or a in on_first], sequence, offset)
        second = _spelt([a for a in ordered if a.copies == 2 or a not in on_first], sequence, offset)
        if first is not None and second is not None:
            yield (first, second) if first <= second else (second, first)


def match_window(
    truth: Sequence[Allele], calls: Sequence[Allele], *, sequence: str, offset: int
) -> tuple[set[Allele], set[Allele]]:
    """Return the largest parts of ``truth`` and ``calls`` that spell the same pair of haplotypes.

    ``sequence`` is the reference of the window; its first base is at 1-based ``offset``.
    """
    same = set(truth) & set(calls)
    different = len(truth) + len(calls) - 2 * len(same)
    too_many = max(sum(a.copies == 1 for a in side) for side in (truth, calls)) > MOST_HETS
    if different == 0 or too_many:
        return same, same
    union = [("truth", allele) for allele in truth] + [("calls", allele) for allele in calls]
    for removed in range(min(different, MOST_REMOVED + 1)):
        for left_out in itertools.combinations(union, removed):
            kept_truth = [a for a in truth if ("truth", a) not in left_out]
            kept_calls = [a for a in calls if ("calls", a) not in left_out]
            if not kept_truth or not kept_calls:
                continue
            spelt = set(_haplotype_pairs(kept_truth, sequence, offset))
            if any(pair in spelt for pair in _haplotype_pairs(kept_calls, sequence, offset)):
                return set(kept_truth), set(kept_calls)
    return same, same


def _windows(truth: Sequence[Allele], calls: Sequence[Allele]) -> Iterator[tuple[list[Allele], list[Allele]]]:
    window: tuple[list[Allele], list[Allele]] = ([], [])
    contig, end = "", 0
    for allele, side in sorted([(a, 0) for a in truth] + [(a, 1) for a in calls]):
        if allele.contig != contig or allele.pos > end + NEIGHBOURS:
            if end:
                yield window
            window, contig, end = ([], []), allele.contig, 0
        window[side].append(allele)
        end = max(end, allele.pos + len(allele.ref) - 1)
    if end:
        yield window


def compare_alleles(
    truth: Sequence[Allele], calls: Sequence[Allele], *, reference: Path, confident: Regions | None = None
) -> Comparison:
    """Compare two sorted lists of alleles; only those that start in ``confident`` are counted (all, if None).

    Alleles outside still take part in the comparison: a call just outside may stand for a true allele just inside.
    """
    result = Comparison()
    with pysam.FastaFile(str(reference)) as fasta:
        for true, called in _windows(truth, calls):
            window = [*true, *called]
            start = max(1, min(a.pos for a in window) - 2 * NEIGHBOURS)
            end = max(a.pos + len(a.ref) for a in window) + 2 * NEIGHBOURS
            sequence = fasta.fetch(window[0].contig, start - 1, end).upper()
            matched, right = match_window(true, called, sequence=sequence, offset=start)
            for allele in true:
                if confident is None or (allele.contig, allele.pos) in confident:
                    result.counts[allele.kind].truth += 1
                    result.counts[allele.kind].truth_found += allele in matched
                    result.missed += [] if allele in matched else [allele]
            for allele in called:
                if confident is None or (allele.contig, allele.pos) in confident:
                    result.counts[allele.kind].calls += 1
                    result.counts[allele.kind].calls_true += allele in right
                    result.false += [] if allele in right else [allele]
    return result


def compare(truth: CallSet, calls: CallSet, *, reference: Path, confident_bed: Path | None = None) -> Comparison:
    """Compare the genotypes of two call sets inside the confident regions, or everywhere without a BED."""
    expected, observed = (read_alleles(callset, reference=reference) for callset in (truth, calls))
    confident = Regions.of_bed(confident_bed) if confident_bed else None
    return compare_alleles(expected, observed, reference=reference, confident=confident)
