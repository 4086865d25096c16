#!/usr/bin/env python3
"""Compare a VCF or gVCF with a truth set inside confident regions: precision, recall and F1.

Genotypes are compared as haplotypes (truth.py). Example:

    scripts/benchmarks/compare_truth.py --truth truth.vcf.gz --calls calls.vcf.gz --reference ref.fa --bed sure.bed
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pysam
from truth import Allele, CallSet, compare


def main() -> None:
    """Compare two files and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--calls", type=Path, required=True, help="VCF or gVCF; only records that PASS count")
    parser.add_argument("--reference", type=Path, required=True, help="FASTA with .fai")
    parser.add_argument("--bed", type=Path, help="confident regions (all regions without it)")
    parser.add_argument("--sample", help="sample of --calls (the first)")
    parser.add_argument("--truth-sample", help="sample of --truth (the first)")
    parser.add_argument("--min-qual", type=float, default=0)
    parser.add_argument("--min-gq", type=int, default=0, help="20 is the limit of the cohort store")
    parser.add_argument("--alias", default="", metavar="OLD=NEW,…", help="other names of contigs of --truth")
    parser.add_argument("--list", action="store_true", help="print each missed and each false allele")
    options = parser.parse_args()
    pysam.set_verbosity(0)
    aliases = dict(pair.split("=") for pair in options.alias.split(",") if pair)
    truth = CallSet(path=options.truth, sample=options.truth_sample, contig_alias=aliases)
    calls = CallSet(path=options.calls, sample=options.sample, min_qual=options.min_qual, min_gq=options.min_gq)
    result = compare(truth, calls, reference=options.reference, confident_bed=options.bed)
    print("kind\ttruth\tfound\tcalls\ttrue\trecall\tprecision\tf1")
    for kind, n in result.counts.items():
        numbers = f"{n.truth}\t{n.truth_found}\t{n.calls}\t{n.calls_true}"
        print(f"{kind}\t{numbers}\t{n.recall:.4f}\t{n.precision:.4f}\t{n.f1:.4f}")
    if options.list:
        for name, alleles in (("missed", result.missed), ("false", result.false)):
            print("".join(_line(name, allele) for allele in alleles), end="")


def _line(name: str, allele: Allele) -> str:
    return f"{name}\t{allele.contig}:{allele.pos}\t{allele.ref}>{allele.alt}\t{allele.copies}\n"


if __name__ == "__main__":
    main()
