"""Simulate gVCFs of many participants in one region: a coalescent population, GATK-like reference blocks.

    python scripts/benchmarks/simulate_cohort.py --output DIR --participants 5050 --bases 1000000 --seed 1

Writes ``reference.fa``, one ``gvcf/<ID>.g.vcf.gz`` each and ``list.tsv`` for ``baekman cohort add``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import msprime
import numpy as np
import pysam

CONTIG = "chr22"
BASES = np.frombuffer(b"ACGT", np.uint8)
HEADER = """##fileformat=VCFv4.2
##ALT=<ID=NON_REF,Description="Any other allele">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Allele depths">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Least depth of the block">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Phred-scaled likelihoods">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">
##INFO=<ID=END,Number=1,Type=Integer,Description="Last position of the block">
"""


@dataclass(frozen=True)
class _Variants:
    """The bases of the reference, and the positions (1-based) and ALT bases of the SNVs on it."""

    sequence: str
    positions: list[int]
    alternate: np.ndarray


def simulate(output: Path, *, participants: int, bases: int, seed: int) -> None:
    """Write the reference, the gVCFs and their list below ``output``."""
    rng = np.random.default_rng(seed)
    # human-like: Ne 10,000 grown to 500,000 over 200 generations, so that most variants are rare
    demography = msprime.Demography()
    demography.add_population(initial_size=500_000, growth_rate=0.02, name="A")
    demography.add_population_parameters_change(time=200, initial_size=10_000, growth_rate=0)
    trees = msprime.sim_ancestry(
        participants, demography=demography, sequence_length=bases, recombination_rate=1e-8, random_seed=seed
    )
    trees = msprime.sim_mutations(trees, rate=1.25e-8, model="binary", random_seed=seed)
    reference = BASES[rng.integers(0, 4, bases)]
    (output / "gvcf").mkdir(parents=True, exist_ok=True)
    sequence = reference.tobytes().decode()
    (output / "reference.fa").write_text(
        f">{CONTIG}\n" + "".join(f"{sequence[at : at + 60]}\n" for at in range(0, bases, 60))
    )
    pysam.faidx(str(output / "reference.fa"))
    positions: list[int] = []
    carriers: list[list[int]] = [[] for _ in range(participants)]
    copies: list[list[int]] = [[] for _ in range(participants)]
    for variant in trees.variants():
        position = int(variant.site.position) + 1
        if positions and position <= positions[-1]:
            continue
        genotype = np.asarray(variant.genotypes).reshape(participants, 2).clip(0, 1).sum(axis=1)
        for person in np.flatnonzero(genotype):
            carriers[person].append(len(positions))
            copies[person].append(int(genotype[person]))
        positions.append(position)
    alternate = BASES[
        (np.searchsorted(BASES, reference[np.array(positions) - 1]) + rng.integers(1, 4, len(positions))) % 4
    ]
    variants = _Variants(sequence, positions, alternate)
    rows = []
    for person in range(participants):
        name = f"SIM{person:06d}"
        path = output / "gvcf" / f"{name}.g.vcf.gz"
        text = _gvcf(rng, name, variants, sites=carriers[person], copies=copies[person])
        with pysam.BGZFile(str(path), "wb") as out:
            out.write(text.encode())
        rows.append(f"{name}\tgvcf/{path.name}\n")
    (output / "list.tsv").write_text("".join(rows))


def _gvcf(rng: np.random.Generator, name: str, variants: _Variants, *, sites: list[int], copies: list[int]) -> str:
    """Make the gVCF of a participant who carries ``copies`` of the SNVs with the numbers ``sites``."""
    sequence, positions, bases = variants.sequence, variants.positions, len(variants.sequence)
    lines = [HEADER, f"##contig=<ID={CONTIG},length={bases}>\n"]
    lines.append(f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{name}\n")
    # blocks end at variants and wherever depth leaves its band, some hundred bases apart
    cuts = np.unique(rng.integers(2, bases, bases // 250))
    starts = np.unique(np.concatenate([[1], cuts, np.array([positions[site] + 1 for site in sites], np.int64)]))
    starts = starts[starts <= bases]
    events = [(int(start), -1) for start in starts] + [(positions[site], number) for number, site in enumerate(sites)]
    events.sort()
    borders = [position for position, _ in events] + [bases + 1]
    depth = rng.normal(32, 6, len(events)).clip(4, 70).astype(int)
    depth[rng.random(len(events)) < 0.02] //= 5
    for index, (position, number) in enumerate(events):
        dp = int(depth[index])
        base = sequence[position - 1]
        if number < 0:
            end = borders[index + 1] - 1
            if end < position:
                continue
            gq = min(99, 3 * dp)
            lines.append(
                f"{CONTIG}\t{position}\t.\t{base}\t<NON_REF>\t.\t.\tEND={end}\tGT:DP:GQ:MIN_DP:PL\t"
                f"0/0:{dp}:{gq}:{dp}:0,{3 * dp},{35 * dp}\n"
            )
            continue
        alt = chr(variants.alternate[sites[number]])
        if copies[number] == 2:
            genotype, ad, pl = "1/1", f"0,{dp},0", f"{38 * dp},{3 * dp},0,{38 * dp},{3 * dp},{38 * dp}"
            gq = min(99, 3 * dp)
        else:
            seen = max(1, int(rng.binomial(dp, 0.5)))
            genotype, ad = "0/1", f"{dp - seen},{seen},0"
            left, right = max(34 * seen - 3 * dp, 0), max(34 * (dp - seen) - 3 * dp, 0)
            gq = min(99, left, right) if right else min(99, left)
            pl = f"{left},0,{right},{left + 3 * dp},{right + 3 * dp},{38 * dp}"
        lines.append(
            f"{CONTIG}\t{position}\t.\t{base}\t{alt},<NON_REF>\t{35 * dp}.77\t.\tDP={dp}\tGT:AD:DP:GQ:PL\t"
            f"{genotype}:{ad}:{dp}:{gq}:{pl}\n"
        )
    return "".join(lines)


def main() -> None:
    """Parse the command line and simulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--participants", type=int, default=200)
    parser.add_argument("--bases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    simulate(arguments.output, participants=arguments.participants, bases=arguments.bases, seed=arguments.seed)


if __name__ == "__main__":
    main()
