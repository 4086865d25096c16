"""Exports of a store, and their content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cyvcf2
import pysam.bcftools
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store
from baekman.export.write import Content, export


def exported(store: Store, folder: Path, content: Content, *, name: str = "x.bcf", form: str = "bcf") -> Path:
    """Export the latest snapshot of a store to ``folder``; return the file."""
    export(store, read_snapshot(store), format=form, output=folder / name, content=content)
    return folder / name


def lines_of(path: Path) -> Iterator[str]:
    """Yield the records of a BCF or VCF as text."""
    yield from pysam.bcftools.view("-H", str(path)).splitlines()


def genotype_counts(path: Path) -> list[tuple[tuple[str, int, str, tuple[str, ...]], list[int], int]]:
    """Return the site, the copies of each ALT and the number of alleles of every line, counted by cyvcf2."""
    counts = []
    for record in cyvcf2.VCF(str(path)):
        ac = [0] * len(record.ALT)
        an = 0
        for *genotype, _phased in record.genotypes:
            for allele in genotype:
                if allele >= 0:
                    an += 1
                    if allele:
                        ac[allele - 1] += 1
        info_ac = record.INFO["AC"]
        info = list(info_ac) if isinstance(info_ac, tuple) else [info_ac]
        assert (info, record.INFO["AN"]) == (ac, an), record.POS
        counts.append(((record.CHROM, record.POS, record.REF, tuple(record.ALT)), ac, an))
    return counts
