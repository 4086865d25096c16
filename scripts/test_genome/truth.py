"""The truth of each participant as files: VCF, confident regions, population sites, array genotypes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pysam

from test_genome import variants
from test_genome.population import PEOPLE, Person, Population
from test_genome.reference import AUTOSOME, MT, Reference, Sequence, X, Y, pars
from test_genome.variants import Alleles

MIN_COMMON = 0.05
ARRAY_SITES = 800
ARRAY_ERROR = 0.005
_ARRAY_MISSING = 0.003

# Confident regions exclude places that short reads can't settle, and loci with several right answers.
_HOMOPOLYMER, _STR = 12, 30
_MARGIN = {"N": 600, "duplicate": 500, "homopolymer": 5, "str": 5, "overlap": 30, "end": 600}

Interval = tuple[str, int, int]


def write_truth(folder: Path, reference: Reference, population: Population) -> None:
    """Write one phased, left-aligned VCF per participant, ``people.tsv`` and ``confident.bed``."""
    folder.mkdir()
    rows = ["participant\tsex\tmother\tfather"]
    for person in PEOPLE:
        write_vcf(
            folder / f"{person.key}.vcf.gz",
            reference,
            person.key,
            truth_records(reference, population, person),
        )
        rows.append("\t".join((person.key, person.sex, person.mother, person.father)))
    (folder / "people.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = (f"{contig}\t{start}\t{end}\n" for contig, start, end in confident_regions(reference, population))
    (folder / "confident.bed").write_text("".join(lines), encoding="utf-8")


def truth_records(reference: Reference, population: Population, person: Person) -> Iterable[str]:
    """Yield VCF lines of the alleles that one person carries.

    GT is haploid on a man's X outside the PARs, on Y and on MT. A haplotype with a deletion has 0, not ``*``,
    at the sites under it.
    """
    for contig, sites in population.sites.items():
        carried = population.carried[person.key][contig]
        if contig == Y and person.sex == "female":
            continue
        par = {pos for region in pars(reference, X) for pos in range(region.start + 1, region.end + 1)}
        for site, row in zip(sites, carried.columns, strict=True):
            haploid = carried.ploidy == 1 and not (contig == X and site.pos in par)
            alleles = row[:1] if haploid else row
            present = sorted(set(alleles.tolist()) - {0})
            if not present:
                continue
            ref, alts = _trimmed(reference.contigs[contig], site, present)
            number = {0: "0", **{allele: str(place) for place, allele in enumerate(present, start=1)}}
            genotype = "|".join(number[allele] for allele in alleles.tolist())
            yield f"{contig}\t{site.pos}\t.\t{ref}\t{','.join(alts)}\t.\tPASS\t.\tGT\t{genotype}\n"


def confident_regions(reference: Reference, population: Population) -> list[Interval]:
    """Return all but N, the duplicate, long repeats and overlapping variants; 0-based half-open, sorted."""
    excluded: dict[str, list[tuple[int, int]]] = {contig: [] for contig in reference.contigs}
    for region in reference.regions:
        length = region.end - region.start
        long_repeat = (region.kind == "homopolymer" and length >= _HOMOPOLYMER) or (
            region.kind == "str" and length >= _STR
        )
        # Y's PARs are N; on X the depth of reads from Y falls off at the PARs' edges towards N only.
        if region.kind in ("N", "duplicate") or long_repeat or (region.contig == Y and "PAR" in region.kind):
            margin = _MARGIN.get(region.kind, _MARGIN["N"])
            excluded[region.contig].append((region.start - margin, region.end + margin))
    for contig, sites in population.sites.items():
        for site in sites:
            if site.overlapped:
                margin = _MARGIN["overlap"]
                excluded[contig].append((site.pos - 1 - margin, site.end + margin))
    length = len(reference.contigs[MT])
    excluded[MT] += [(0, _MARGIN["end"]), (length - _MARGIN["end"], length)]
    return [
        (contig, start, end)
        for contig, bases in reference.contigs.items()
        for start, end in _complement(sorted(excluded[contig]), len(bases))
    ]


def common_snvs(reference: Reference, population: Population) -> list[tuple[Alleles, float, int]]:
    """Return the site, ALT frequency in the panel and index of common biallelic autosomal SNVs in confident regions."""
    inside = np.zeros(len(reference.contigs[AUTOSOME]) + 1, dtype=bool)
    for contig, start, end in confident_regions(reference, population):
        if contig == AUTOSOME:
            inside[start + 1 : end + 1] = True
    return [
        (site, shares[0], index)
        for index, (site, shares) in enumerate(zip(population.sites[AUTOSOME], population.frequencies, strict=True))
        if site.is_snv and len(site.alts) == 1 and inside[site.pos] and MIN_COMMON <= shares[0] <= 1 - MIN_COMMON
    ]


def write_contamination_sites(path: Path, reference: Reference, population: Population) -> None:
    """Write the common SNVs with INFO/AF, as a population resource lists them."""
    lines = (
        f"{AUTOSOME}\t{site.pos}\t.\t{site.ref}\t{site.alts[0]}\t.\tPASS\tAF={frequency:.4f}\n"
        for site, frequency, _ in common_snvs(reference, population)
    )
    write_vcf(path, reference, None, lines)


def write_array(
    path: Path, rng: np.random.Generator, reference: Reference, population: Population, key: str, *, name: str
) -> None:
    """Write genotypes of one person at up to 800 of the common SNVs, unphased, with 0.5 % errors."""
    sites = common_snvs(reference, population)
    # The same sites for everyone: a chip has one design.
    places = np.linspace(0, len(sites) - 1, min(ARRAY_SITES, len(sites))).astype(int)
    design = [sites[place] for place in places.tolist()]
    chosen = population.carried[key][AUTOSOME].columns
    copies = np.array([int(chosen[index].sum()) for _, _, index in design])
    wrong = rng.choice(len(design), size=round(ARRAY_ERROR * len(design)), replace=False)
    copies[wrong] = (copies[wrong] + rng.integers(1, 3, size=len(wrong))) % 3
    missing = rng.random(len(design)) < _ARRAY_MISSING
    lines = []
    for (site, _, _), count, absent in zip(design, copies.tolist(), missing.tolist(), strict=True):
        genotype = "./." if absent else ("0/0", "0/1", "1/1")[count]
        lines.append(f"{AUTOSOME}\t{site.pos}\t.\t{site.ref}\t{site.alts[0]}\t.\tPASS\t.\tGT\t{genotype}\n")
    write_vcf(path, reference, name, lines)


def write_vcf(path: Path, reference: Reference, sample: str | None, lines: Iterable[str]) -> None:
    """Write a bgzipped VCF 4.2 with its tabix index; without a ``sample`` it has sites with INFO/AF only."""
    header = ["##fileformat=VCFv4.2", '##FILTER=<ID=PASS,Description="All filters passed">']
    if sample is None:
        header.append('##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency in the population">')
    else:
        header.append('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">')
    header += [f"##contig=<ID={name},length={len(bases)}>" for name, bases in reference.contigs.items()]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    header.append("\t".join(columns + ([] if sample is None else ["FORMAT", sample])))
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(("\n".join(header) + "\n" + "".join(lines)).encode())
    pysam.tabix_index(str(path), preset="vcf", force=True)


def _trimmed(bases: Sequence, site: Alleles, present: list[int]) -> tuple[str, tuple[str, ...]]:
    """Return REF and ALTs with one person's alleles alone: other alleles may have needed a longer REF."""
    pairs = [variants.normalise(bases, site.pos, site.ref, site.alts[number - 1]) for number in present]
    return variants.join([(ref, alt) for _, ref, alt in pairs])


def _complement(intervals: list[tuple[int, int]], length: int) -> Iterable[tuple[int, int]]:
    done = 0
    for start, end in intervals:
        if start > done:
            yield done, start
        done = max(done, end)
    if done < length:
        yield done, length
