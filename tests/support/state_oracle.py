"""The five states and the genotypes of one participant from a gVCF, slowly and plainly: the oracle of the export.

The oracle reads with pysam, keeps every record as an object and asks all of them about each position. It shares
no code with the package. Genomes are plain strings; positions are 1-based.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pysam

MIN_GQ = 20
Allele = tuple[int, str, str]


def normalised(pos: int, ref: str, alt: str, genome: str) -> list[Allele]:
    """Return the parts of one ALT: trimmed, an indel moved to the left, a substitution cut into its bases."""
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
        if not ref or not alt:
            if pos == 1:
                ref, alt = ref + genome[0], alt + genome[0]
                break
            pos -= 1
            ref, alt = genome[pos - 1] + ref, genome[pos - 1] + alt
    while len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
        pos, ref, alt = pos + 1, ref[1:], alt[1:]
    if len(ref) == len(alt):
        return [(pos + at, r, a) for at, (r, a) in enumerate(zip(ref, alt, strict=True)) if r != a]
    shorter = min(len(ref), len(alt))
    parts = [(pos + at, ref[at], alt[at]) for at in range(shorter - 1) if ref[at] != alt[at]]
    return [*parts, (pos + shorter - 1, ref[shorter - 1 :], alt[shorter - 1 :])]


@dataclass
class Record:
    """A record or a block."""

    order: int
    start: int
    end: int
    block: bool
    ploidy: int
    haplotypes: list[int | None]
    gq: int
    dp: int
    ref: str
    alts: list[str]
    parts: list[list[Allele]] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)  # AD, empty when missing
    likelihoods: list[float] = field(default_factory=list)  # PL or -10 GL, empty when missing
    doubtful: bool = False  # a reference genotype that the record itself speaks against
    failed: bool = False  # the genotype did not pass FT
    deletion_end: int = 0  # the last base that a carried <DEL> takes away
    named: dict[Allele, bool] = field(default_factory=dict)  # allele -> whether it makes a row

    @property
    def complete(self) -> bool:
        """True if no allele of the genotype is missing."""
        return None not in self.haplotypes

    @property
    def covered(self) -> bool:
        """True if there is a read or a likelihood; without reads, equal likelihoods are no evidence."""
        informative = len(set(self.likelihoods)) > 1
        if self.dp > 0 or (self.dp == 0 and not self.block and any(self.depths)):
            return True
        if self.dp < 0:
            return informative or not self.likelihoods
        return any(self.haplotypes) and (informative if self.likelihoods else self.gq > 0)

    @property
    def called(self) -> bool:
        """True if the genotype is complete, covered, sure and without doubt."""
        return self.complete and self.covered and self.gq >= MIN_GQ and not self.doubtful

    def copies(self, allele: Allele) -> int:
        """Return the number of haplotypes with ``allele``."""
        return sum(bool(h) and allele in self.parts[h - 1] for h in self.haplotypes if h)

    def changes(self, pos: int) -> int:
        """Return the number of haplotypes with another base than the reference at ``pos``, or with none."""
        return sum(self._changed(haplotype, pos) for haplotype in self.haplotypes if haplotype)

    def _changed(self, haplotype: int, pos: int, *, anchors: bool = False) -> bool:
        alt, ref = self.alts[haplotype - 1], self.ref
        if alt.startswith("<DEL"):
            return pos > self.start
        if self.block or not alt.isalpha():
            return self.block or pos < self.start + len(ref)
        ref, alt = _without_common_end(ref, alt)
        at = pos - self.start
        if anchors and len(ref) != len(alt) and at == min(len(ref), len(alt)) - 1:
            return True
        return 0 <= at < len(ref) and (at >= len(alt) or ref[at] != alt[at])

    def others(self, allele: Allele) -> int:
        """Count the haplotypes with another ALT that changes a base of ``allele``, as the record writes both.

        The base before an insertion or deletion counts as changed by it.
        """
        (holder,) = {number for number, parts in enumerate(self.parts) if allele in parts}
        ref, alt = _without_common_end(self.ref, self.alts[holder])
        if len(ref) == len(alt):
            bases = [allele[0]]
        else:
            anchor = min(len(ref), len(alt)) - 1
            bases = [self.start + at for at in range(anchor, max(len(ref), anchor + 1))]
        return sum(
            any(self._changed(haplotype, base, anchors=True) for base in bases)
            for haplotype in self.haplotypes
            if haplotype and allele not in self.parts[haplotype - 1]
        )


def _without_common_end(ref: str, alt: str) -> tuple[str, str]:
    while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    return ref, alt


def read_records(path: Path, genome: str, contig: str) -> list[Record]:
    """Read every record of ``contig``."""
    records = []
    with pysam.VariantFile(str(path)) as gvcf:
        for order, record in enumerate(r for r in gvcf if r.chrom == contig):
            call = record.samples[0]
            alts = list(record.alts or ())
            real = [alt for alt in alts if alt.isalpha()]
            block = all(alt in ("<NON_REF>", "<*>") for alt in alts)
            info = _info(record)
            if alts and "*" in alts and "END" in info and set(alts) <= {"*", "<NON_REF>", "<*>"}:
                block = True
            depths = _depths(call, alleles=len(alts) + 1)
            haplotypes, ploidy = _haplotypes(record, call, block=block, alleles=len(alts) + 1)
            if block and not alts and len(depths) < 2:
                depths = []
            dp = call.get("MIN_DP") if block else None
            dp = call.get("DP") if dp is None else dp
            if dp is None and block and "MIN_DP" in info:
                dp = int(info["MIN_DP"])
            if dp is None and depths:
                dp = sum(depths)
            likelihoods = _likelihoods(call) if ploidy < 3 else []
            new = Record(
                order=order,
                start=record.pos,
                end=record.stop if block else record.pos + len(record.ref) - 1,
                block=block,
                ploidy=len(haplotypes),
                haplotypes=haplotypes,
                gq=-1,
                dp=-1 if dp is None else dp,
                ref=record.ref.upper(),
                alts=[alt.upper() for alt in alts],
                depths=depths,
                likelihoods=likelihoods,
            )
            new.failed = call.get("FT") not in (None, ".", "PASS", "RefCall")
            _judge(new, call, failed=new.failed or not set(record.filter.keys()) <= {"PASS", "RefCall"})
            if not block and new.covered and any(h and alts[h - 1].startswith("<DEL") for h in new.haplotypes):
                new.deletion_end = int(info.get("END", 0)) or record.pos + abs(int(info.get("SVLEN", 0)))
                new.end = max(new.end, new.deletion_end)
            for alt in new.alts:
                parts = normalised(record.pos, new.ref, alt, genome) if alt.isalpha() else []
                new.parts.append(parts)
            for allele in {part for parts in new.parts for part in parts} if real else ():
                members = [number for number, parts in enumerate(new.parts, 1) if allele in parts]
                evidence = new.copies(allele) > 0
                if depths:
                    evidence |= sum(depths[member] for member in members) > 0
                if likelihoods:
                    least = _least(likelihoods, members, len(alts) + 1, new.ploidy)
                    evidence |= len(set(least)) > 1 and least[1] < least[0] + 20
                new.named[allele] = evidence and new.covered
            records.append(new)
    return records


def _info(record: pysam.VariantRecord) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in str(record).split("\t")[7].split(";"))
    return {key: value for key, _, value in pairs}


def _haplotypes(
    record: pysam.VariantRecord, call: pysam.VariantRecordSample, *, block: bool, alleles: int
) -> tuple[list[int | None], int]:
    """Return the genotype and the number of alleles in GT; more than two alleles are no genotype."""
    if "GT" not in record.format:
        stated = block and {"GQ", "RO"} <= set(record.format)
        return [0, 0] if stated else [None, None], 2
    given = list(call["GT"])
    if len(given) > 2:
        return [None, None], len(given)
    return [None if allele is not None and allele >= alleles else allele for allele in given], len(given)


def _depths(call: pysam.VariantRecordSample, *, alleles: int) -> list[int]:
    """Return AD, or RO and AO; empty if a value is missing or the number is wrong."""
    depths = call.get("AD")
    if depths is None or set(depths) == {None}:
        against = call.get("AO")
        if against is None or set(against) == {None} or call.get("RO") is None:
            return []
        depths = (call["RO"], *against)
    if None in depths or (len(depths) != alleles and alleles > 1):
        return []
    return list(depths)


def _likelihoods(call: pysam.VariantRecordSample) -> list[float]:
    """Return PL, or GL as phred values above the least; empty if both are missing."""
    values = call.get("PL")
    if values is None or None in values:
        values = call.get("GL")
        if values is None or None in values:
            return []
        values = [round(-10 * value) for value in values]
        values = [value - min(values) for value in values]
    return list(values)


def _judge(record: Record, call: pysam.VariantRecordSample, *, failed: bool) -> None:
    """Give the record its GQ: its own, or what stands for it; and its doubt about a reference genotype."""
    reference = record.complete and not any(record.haplotypes)
    stated = [call.get(key) for key in ("GQ", "GQX", "SQ", "RGQ") if call.get(key) is not None]
    record.doubtful = reference and failed and call.get("GQ") is None
    qualities = [int(value) for value in stated[:1]]
    if call.get("GQ") is None and call.get("GQX") is None and call.get("SQ") is not None:
        _settle_homoplasmy(record)
    if record.likelihoods:
        pairs = zip(_genotypes(len(record.alts) + 1, record.ploidy), record.likelihoods, strict=True)
        by_genotype = {tuple(sorted(genotype)): value for genotype, value in pairs}
        own = by_genotype.pop(tuple(sorted(record.haplotypes)), None) if record.complete else None
        ordered = sorted(by_genotype.values())
        margin = ordered[0] - own if own is not None else ordered[1] - ordered[0]
        qualities.append(int(max(margin, 0)))
    if record.block and reference:
        if qualities and record.likelihoods and qualities[-1] == 0:
            qualities = [0]
        if record.depths and sum(record.depths[1:]) > record.depths[0]:
            qualities = [0]
    unread = not record.likelihoods and any(_is_given(call, key) for key in ("PL", "GL", "GP", "PP"))
    if record.block and reference and not qualities and len(record.depths) > 1 and not record.doubtful and not unread:
        against = sum(record.depths[1:])
        quality = max(sum(record.depths) * 30103 - against * 200_000, 0) // 10_000
        qualities = [min(quality, record.dp * 30103 // 10_000) if record.dp >= 0 else quality]
    if record.block and not qualities:
        qualities = [0 if record.doubtful or unread else record.dp * 30103 // 10000 if record.dp >= 0 else -1]
    record.gq = min([*qualities, -1][0], 99)


def _is_given(call: pysam.VariantRecordSample, key: str) -> bool:
    """Return whether a field has a value; one that is given and gives nothing leaves the depth without a say."""
    return any(value is not None for value in call.get(key) or ())


def _settle_homoplasmy(record: Record) -> None:
    """Make a heterozygote with 95 % of the reads for its ALT one of two copies."""
    alleles = set(record.haplotypes)
    if len(record.haplotypes) != 2 or len(alleles) != 2 or 0 not in alleles or None in alleles or not record.depths:
        return
    allele = max(allele for allele in alleles if allele is not None)
    if sum(record.depths) and record.depths[allele] * 100 >= 95 * sum(record.depths):
        record.haplotypes = [allele, allele]


def _genotypes(alleles: int, ploidy: int) -> list[tuple[int, ...]]:
    """Return all genotypes in the order of PL."""
    if ploidy == 1:
        return [(allele,) for allele in range(alleles)]
    return [(lower, upper) for upper in range(alleles) for lower in range(upper + 1)]


def _least(likelihoods: list[float], members: list[int], alleles: int, ploidy: int) -> list[float]:
    """Return the least PL of no copy, of one and, in a diploid, of two copies of the alleles in ``members``."""
    by_copies: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for genotype, value in zip(_genotypes(alleles, ploidy), likelihoods, strict=True):
        by_copies[sum(allele in members for allele in genotype)].append(value)
    return [min(by_copies[copies]) for copies in range(ploidy + 1)]


def alleles_of(records: list[Record]) -> set[Allele]:
    """Return every allele that has a row."""
    return {allele for record in records for allele, row in record.named.items() if row}


def answer(records: list[Record], allele: Allele, *, raw: bool = False) -> tuple[str, int | None]:
    """Return the state of an allele, and its copies where a genotype is shown (None elsewhere).

    The record of the allele decides, else the records of other alleles at its position. No two records may have
    the same allele.
    """
    pos = allele[0]
    deciding = [r for r in records if any(row and named[0] == pos for named, row in r.named.items())]
    if deciding:
        shown = [r for r in deciding if (r.complete and r.covered if raw else r.called)]
        own = [r for r in deciding if r.named.get(allele)]
        assert len(own) <= 1
        if not shown or (own and own[0] not in shown):
            return "uncalled", None
        copies = own[0].copies(allele) if own else 0
        if copies:
            return "carrier", copies
        others = any(
            r.copies(part) or r.others(part) for r in shown for part, row in r.named.items() if row and part[0] == pos
        )
        return ("other allele" if others else "reference"), 0
    spanning = [r for r in records if r.start <= pos <= r.end and r.covered]
    if not spanning:
        return "no coverage", None
    record = max(spanning, key=lambda r: (not r.block, r.start, r.gq, -r.order))
    if not (record.complete if raw else record.called):
        return "uncalled", None
    return ("other allele" if record.changes(pos) else "reference"), 0
