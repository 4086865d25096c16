#!/usr/bin/env python3
"""Measure calling on real reads; prints the tables of docs/benchmarks.md.

Examples:
scripts/benchmarks/calling.py na12878 --data READS      accuracy, next to plain bwa | samtools | bcftools
scripts/benchmarks/calling.py trio --data READS         Mendelian errors
scripts/benchmarks/calling.py evidence --data READS     joint genotypes of 24 people at low coverage
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam
from baekman.align.aligners import INDEX_ENDINGS, Aligner
from baekman.align.alignment import align
from baekman.call.calling import CallOptions, call_shard
from baekman.genome.regions import Region
from baekman.tools import programs as tools
from baekman.tools.pipes import piped
from baekman.workspace.specimens import StagedFiles
from truth import CallSet, Comparison, compare

Floats = npt.NDArray[np.float64]
MIN_GQ = 20  # the limit of the cohort store


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the processes that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def write_reference(path: Path, *, contig: str, sequence: str) -> Path:
    """Write a FASTA of one contig with its index."""
    path.write_text(f">{contig}\n" + "\n".join(sequence[i : i + 100] for i in range(0, len(sequence), 100)) + "\n")
    pysam.faidx(str(path))
    return path


# ---- NA12878 against its truth ------------------------------------------------------------------------------------


def na12878(
    data: Path, folder: Path, callers: Sequence[str], *, aligner_name: str = "bwa"
) -> dict[str, dict[str, float]]:
    """Return the accuracy of the plain commands and of each caller of ``callers`` on NA12878."""
    source = data / "na12878_hg19_chr20"
    # the contig ends after the window: positions stay, and bwa need not index 50 Mb of N
    with pysam.FastaFile(str(source / "ucsc.hg19.chr20.unittest.fasta.gz")) as fasta:
        sequence = fasta.fetch("chr20", 0, 10_150_000)
    reference = write_reference(folder / "ref.fa", contig="chr20", sequence=sequence)
    aligner = Aligner(name=aligner_name, reference=reference)
    for each in {aligner, Aligner(name="bwa", reference=reference)}:
        each.write_index()
    reads = [folder / f"reads_{mate}.fq.gz" for mate in (1, 2)]
    samtools = tools.command("samtools")
    piped(
        [*samtools, "collate", "-Ou", "-T", folder / "collate", source / "NA12878_S1.chr20.10_10p1mb.bam", "-O"],
        [*samtools, "fastq", "-n", "-1", reads[0], "-2", reads[1], "-0", "/dev/null", "-s", "/dev/null", "-"],
    )
    results = {"plain": _plain(source, reads, reference, folder)}

    started = cpu_seconds()
    lane = StagedFiles(
        participant_id="NA12878",
        specimen_id="NA12878",
        entry="fastq",
        lane="L1",
        file_1=str(reads[0]),
        file_2=str(reads[1]),
        sex="female",
        array_genotypes="",
    )
    cram = folder / "aligned.cram"
    align([lane], aligner=aligner, output=cram, metrics=folder / "markdup")
    aligned = cpu_seconds() - started
    for caller in callers:
        started = cpu_seconds()
        gvcf = folder / f"{caller}.g.vcf.gz"
        call_shard(
            cram,
            reference=reference,
            regions=[Region("chr20", 9_900_000, 10_150_000)],
            participant_id="NA12878",
            sex="female",
            options=CallOptions(caller=caller),
            output=gvcf,
        )
        spent = cpu_seconds() - started
        results[caller] = accuracy(source, gvcf, reference, folder, min_gq=MIN_GQ)
        results[caller] |= {"align_cpu": aligned, "call_cpu": spent, "kilobytes": gvcf.stat().st_size / 1000}
    return results


def _plain(source: Path, reads: Sequence[Path], reference: Path, folder: Path) -> dict[str, float]:
    """Return the accuracy and CPU seconds of plain bwa, samtools and bcftools."""
    started = cpu_seconds()
    plain = folder / "plain.bcf"
    piped(
        ["bwa", "mem", "-R", "@RG\\tID:NA12878\\tSM:NA12878", reference, *reads],
        ["samtools", "sort", "-o", folder / "plain.bam", "-"],
    )
    piped(["samtools", "index", folder / "plain.bam"])
    called = cpu_seconds()
    piped(
        ["bcftools", "mpileup", "-Ou", "-f", reference, folder / "plain.bam"],
        ["bcftools", "call", "-mv", "-Ob", "-o", plain],
    )
    figures = accuracy(source, plain, reference, folder, min_gq=0)
    return figures | {"align_cpu": called - started, "call_cpu": cpu_seconds() - called}


def accuracy(source: Path, calls: Path, reference: Path, folder: Path, *, min_gq: int) -> dict[str, float]:
    """Return precision, recall and F1 in the confident regions, and recall of both truth sets on the whole slice."""
    slice_bed = folder / "slice.bed"
    slice_bed.write_text("chr20\t9999995\t10100000\n")
    nist = source / "test_nist.b37_chr20_100kbp_at_10mb.vcf.gz"
    giab = next(source.glob("HG001_chr20_GRCh37_GIAB_highconf*.vcf.gz"))

    def against(truth: Path, bed: Path) -> Comparison:
        expected = CallSet(path=truth, contig_alias={"20": "chr20"})
        return compare(expected, CallSet(path=calls, min_gq=min_gq), reference=reference, confident_bed=bed)

    confident = against(nist, source / "test_nist.b37_chr20_100kbp_at_10mb.bed")
    whole = {"nist": against(nist, slice_bed), "giab": against(giab, slice_bed)}
    figures: dict[str, float] = {}
    for kind, n in confident.counts.items():
        figures |= {f"{kind}_precision": n.precision, f"{kind}_recall": n.recall, f"{kind}_f1": n.f1}
        figures |= {f"{kind}_recall_{name}": result.counts[kind].recall for name, result in whole.items()}
    return figures


def print_accuracy(results: dict[str, dict[str, float]]) -> None:
    """Print the table of docs/benchmarks.md."""
    names = ("precision", "recall", "f1", "recall_nist", "recall_giab")
    print("| Calls | kind | precision | recall | F1 | recall, NIST slice | recall, GIAB slice | call CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    for (calls, figures), kind in product(results.items(), ("snv", "indel")):
        cells = " | ".join(f"{figures[f'{kind}_{name}']:.4f}" for name in names)
        print(f"| {calls} | {kind} | {cells} | {figures['call_cpu']:.1f} |")


# ---- the trio's Mendelian errors ----------------------------------------------------------------------------------


def trio(data: Path, folder: Path, callers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the Mendelian errors of each caller of ``callers``."""
    source = data / "ceu_trio_b37_chr20_10kb"
    with pysam.FastaFile(str(source / "hs37d5.chr20.fa.gz")) as fasta:
        reference = write_reference(folder / "ref.fa", contig="20", sequence=fasta.fetch("20"))
    members = {"NA12878": "HG001", "NA12891": "NA12891", "NA12892": "NA12892"}
    results: dict[str, dict[str, float]] = {}
    for caller in callers:
        gvcfs = {name: folder / f"{name}.{caller}.g.vcf.gz" for name in members}
        for name, prefix in members.items():
            call_shard(
                next(source.glob(f"{prefix}.*.bam")),
                reference=reference,
                regions=[Region("20", 9_990_000, 10_020_000)],
                participant_id=name,
                sex="unknown",
                options=CallOptions(caller=caller),
                output=gvcfs[name],
            )
        results[caller] = mendelian_errors([gvcfs[name] for name in members], reference, folder)
    return results


def mendelian_errors(gvcfs: Sequence[Path], reference: Path, folder: Path) -> dict[str, float]:
    """Count the sites at which all three are called and one carries an ALT, and those that cannot be inherited.

    ``gvcfs``: child, father, mother. ``bcftools merge -g`` merges them, so they can be read by it.
    """
    merged = folder / "trio.bcf"
    calls = folder / "trio.called.bcf"
    bcftools = tools.command("bcftools")
    piped([*bcftools, "merge", "-g", reference, "-Ob", "-o", merged, *gvcfs])
    piped([*bcftools, "norm", "-m", "-any", "-f", reference, "-Ob", "-o", calls, merged])
    sites = errors = 0
    with pysam.VariantFile(str(calls)) as records:
        for record in records:
            samples = list(record.samples.values())
            genotypes = [sample["GT"] for sample in samples]
            sure = all((sample["GQ"] or 0) >= MIN_GQ and None not in sample["GT"] for sample in samples)
            if not sure or not any(1 in genotype for genotype in genotypes):
                continue
            child, father, mother = ([int(allele == 1) for allele in genotype] for genotype in genotypes)
            sites += 1
            errors += sorted(child) not in [sorted(pair) for pair in product(father, mother)]
    return {"sites": sites, "mendelian_errors": errors}


# ---- evidence: joint genotypes from single gVCFs -----------------------------------------------------------------


def evidence(data: Path, folder: Path, callers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Compare genotypes of single gVCFs and one HWE posterior with a call on all reads."""
    source = data / "ceu24_lowcov_b37_chr20"
    with pysam.FastaFile(next(str(path) for path in source.glob("*.fa"))) as fasta:
        name = fasta.references[0]
        sequence = "N" * 19_999_000 + fasta.fetch(name).upper()
    reference = write_reference(folder / "ref.fa", contig="20", sequence=sequence)
    bams = []
    for bam in sorted((source / "bams").glob("*.bam")):
        # the reads lie in the first 20.4 Mb: the header's longer contig is no hindrance to bcftools
        bams.append(folder / f"{bam.name.split('.')[0]}.bam")
        bams[-1].symlink_to(bam.resolve())
        pysam.index(str(bams[-1]))
    joint = folder / "joint.bcf"
    bcftools = tools.command("bcftools")
    piped(
        [*bcftools, "mpileup", "-Ou", "-f", reference, "-r", "20:19999001-20302000", *bams],
        [*bcftools, "call", "-mv", "-Ob", "-o", joint],
    )
    results: dict[str, dict[str, float]] = {}
    for caller in callers:
        gvcfs = [folder / f"{bam.stem}.{caller}.g.vcf.gz" for bam in bams]
        started = time.monotonic()

        def call(bam: Path, gvcf: Path, caller: str = caller) -> None:
            call_shard(
                bam,
                reference=reference,
                regions=[Region("20", 19_999_001, 20_302_000)],
                participant_id=bam.stem,
                sex="unknown",
                options=CallOptions(caller=caller),
                output=gvcf,
            )

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(call, bams, gvcfs))
        results[caller] = concordance(joint, gvcfs, reference, folder)
        results[caller]["seconds"] = time.monotonic() - started
        results[caller]["kilobytes"] = sum(gvcf.stat().st_size for gvcf in gvcfs) / 1000
    return results


def concordance(joint: Path, gvcfs: Sequence[Path], reference: Path, folder: Path) -> dict[str, float]:
    """Return how often genotypes agree with those of ``joint`` (its sites of QUAL >= 20, split and left-aligned)."""

    def split(path: Path) -> pysam.VariantFile:
        out = folder / f"{path.name}.split.bcf"
        piped([*tools.command("bcftools"), "norm", "-m", "-any", "-f", reference, "-Ob", "-o", out, path])
        return pysam.VariantFile(str(out))

    with split(joint) as records:
        wanted = [record for record in records if record.alts and record.alts[0] != "*" and record.qual >= 20]
        alleles = {(record.pos, record.ref, record.alts[0]): i for i, record in enumerate(wanted)}
        expected = np.array([[-1 if None in s["GT"] else sum(s["GT"]) for s in r.samples.values()] for r in wanted])
    positions = np.array([pos for pos, _, _ in alleles])
    likelihoods = np.full((*expected.shape, 3), np.nan)
    raw = np.full(expected.shape, -1)
    own = np.zeros(expected.shape, bool)
    for column, gvcf in enumerate(gvcfs):
        with split(gvcf) as records:
            for record in records:
                sample = record.samples[0]
                index = alleles.get((record.pos, record.ref, (record.alts or ("",))[0]))
                if index is not None:
                    likelihoods[index, column], own[index, column] = sample["PL"], True
                    raw[index, column] = sum(sample["GT"])
                elif not any(sample["GT"]):
                    first, last = (
                        np.searchsorted(positions, record.pos),
                        np.searchsorted(positions, record.stop, "right"),
                    )
                    rows = np.flatnonzero(~own[first:last, column]) + first
                    likelihoods[rows, column] = (0, sample["GQ"], 10 * sample["GQ"])
                    raw[rows, column] = 0
    best = joint_genotypes(likelihoods)
    both = ~np.isnan(likelihoods[:, :, 0]) & (expected >= 0)

    def agreement(genotypes: npt.NDArray[np.int64]) -> tuple[float, float]:
        carried = both & ((genotypes > 0) | (expected > 0))
        same = genotypes == expected
        return float(same[both].mean()), float(same[carried].mean())

    return {
        "sites": float(len(wanted)),
        "sites_seen": float(own.any(1).sum()),
        "both_called": float(both.mean() / (expected >= 0).mean()),
        **dict(zip(("joint", "joint_nonref"), agreement(best), strict=True)),
        **dict(zip(("raw", "raw_nonref"), agreement(raw), strict=True)),
    }


def joint_genotypes(likelihoods: Floats) -> npt.NDArray[np.int64]:
    """Return the best of 0, 1, 2 copies by PL (sites x participants x 3) and HWE at the frequency of an EM."""
    absent = np.isnan(likelihoods[:, :, 0])
    weights = 10 ** (-np.where(absent[:, :, None], 0, likelihoods) / 10)
    frequency = np.full(len(likelihoods), 0.1)
    posterior = weights
    for _ in range(50):
        prior = np.stack([(1 - frequency) ** 2, 2 * frequency * (1 - frequency), frequency**2], -1)
        posterior = weights * prior[:, None, :]
        posterior = posterior / posterior.sum(-1, keepdims=True)
        copies = np.where(absent, 0, posterior @ np.array([0, 1, 2])).sum(1)
        frequency = np.clip((copies + 0.01) / (2 * (~absent).sum(1) + 0.02), 1e-4, 1 - 1e-4)
    return posterior.argmax(-1)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("na12878", "trio", "evidence"))
    parser.add_argument("--data", type=Path, required=True, help="Folder of the real reads.")
    parser.add_argument("--callers", default="bcftools,freebayes")
    parser.add_argument("--aligner", default="bwa", choices=tuple(INDEX_ENDINGS), help="of na12878")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no folder of reads at {options.data}: give --data")
    pysam.set_verbosity(0)
    callers = options.callers.split(",")
    run = {"na12878": partial(na12878, aligner_name=options.aligner), "trio": trio, "evidence": evidence}[options.what]
    with tempfile.TemporaryDirectory(prefix="baekman-bench-") as folder:
        results = run(options.data, Path(folder), callers)
    if options.json:
        print(json.dumps(results))
    elif options.what == "na12878":
        print_accuracy(results)
    else:
        for calls, figures in results.items():
            print(f"| {calls} | " + " | ".join(f"{name} {value:.4g}" for name, value in figures.items()) + " |")


if __name__ == "__main__":
    main()
