"""Make baekman's small test genome: a reference, a population, deliveries, and the truth about them.

    python scripts/make_test_genome.py --output testgenome

The same seed gives the same bytes. All of it is invented. The folder then holds:

    reference.fa, .fai            an autosome, X with PARs, Y (PARs masked) and MT; repeats in lower case
    par.bed                       the PARs of X and Y (0-based half-open; fourth column PAR1 or PAR2)
    shards.tsv                    shard, contig, start, end (1-based inclusive)
    contamination_sites.vcf.gz    common SNVs with the population's allele frequencies
    registration.tsv, arrays/     what the institutions registered, with array genotypes
    deliveries/first, second/     what they deliver
    records/first, second/        deliveries of clinical records of the same people
    project.yaml, request.yaml    a project that asks for a release
    expected.tsv                  the expected verdict of each specimen, and its reason
    truth/person??.vcf.gz         the alleles of each person: phased, left-aligned, all contigs
    truth/people.tsv              sex and parents of each person
    truth/confident.bed           the regions that short reads can settle (0-based half-open)
    demo_config.yaml              baekman's configuration for all this
    demo_qc_thresholds.yaml       the QC limits that differ from the project's
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from pathlib import Path

import pysam
from baekman.files.atomic import atomic_folder
from test_genome import deliveries, records, registration, truth
from test_genome.population import Population, make_population
from test_genome.reference import AUTOSOME, MIN_SCALE, Reference, X, Y, make_reference, pars, soft_masked

SEED = 20321
_LINE = 60

_CONFIG = """\
# Configuration of the small test genome; paths are relative to this folder.
reference: reference.fa
reference_name: {name}
par_regions: par.bed
shards: shards.tsv
contamination_sites: contamination_sites.vcf.gz
qc_thresholds: demo_qc_thresholds.yaml
"""
_THRESHOLDS = """\
# Limits of the small test genome, where they differ from config/qc_thresholds.yaml. Its reads are 30x by
# design and a little less is left after duplicates and at the ends of such short contigs.
metrics:
  mean_autosome_coverage:
    hold_below: 25
    reject_below: 15
"""


def make(output: Path, *, seed: int = SEED, scale: float = 1.0, depth: float = 1.0, workers: int = 2) -> None:
    """Write the whole test genome to ``output``, which must not exist.

    ``scale`` multiplies the contigs' lengths and ``depth`` the specimens' depths (1: 30x, one of them 8x);
    ``workers`` specimens are made at a time.
    """
    reference = make_reference(seed, scale=scale)
    population = make_population(seed, reference)
    with atomic_folder(output) as folder, tempfile.TemporaryDirectory() as scratch:
        fasta = folder / "reference.fa"
        _write_fasta(fasta, reference)
        (folder / "par.bed").write_text(_par_table(reference), encoding="utf-8")
        (folder / "shards.tsv").write_text(shard_table(reference, population), encoding="utf-8")
        (folder / "demo_config.yaml").write_text(_CONFIG.format(name=deliveries.REFERENCE_NAME), encoding="utf-8")
        (folder / "demo_qc_thresholds.yaml").write_text(_THRESHOLDS, encoding="utf-8")
        truth.write_contamination_sites(folder / "contamination_sites.vcf.gz", reference, population)
        truth.write_truth(folder / "truth", reference, population)
        registration.write_registration(folder, seed=seed, reference=reference, population=population)
        registration.write_expected(folder / "expected.tsv")
        records.write_records(folder / "records", seed=seed)
        records.write_project(folder, contig=AUTOSOME)
        indexed = Path(scratch) / "reference.fa"
        shutil.copy(fasta, indexed)
        deliveries.index(indexed)
        sources = deliveries.Sources(seed, indexed, reference, population, depth)
        deliveries.write_deliveries(folder / "deliveries", sources, workers=workers)


def shard_table(reference: Reference, population: Population) -> str:
    """Return the shard table: the autosome and X in two shards each, the others in one.

    The border lies in the deletion nearest to the middle: its record belongs to one shard, its bases to both.
    """
    rows = ["shard\tcontig\tstart\tend"]
    for contig, bases in reference.contigs.items():
        borders = [0, len(bases)]
        if contig in (AUTOSOME, X):
            deletions = [site for site in population.sites[contig] if len(site.ref) > 3]
            border = min(deletions, key=lambda site: abs(site.pos - len(bases) // 2)).pos + 2
            borders.insert(1, border)
        for start, end in itertools.pairwise(borders):
            rows.append(f"{len(rows) - 1:05d}\t{contig}\t{start + 1}\t{end}")
    return "\n".join(rows) + "\n"


def _write_fasta(path: Path, reference: Reference) -> None:
    with path.open("wb") as out:
        for contig in reference.contigs:
            bases = soft_masked(reference, contig).tobytes()
            out.write(f">{contig}\n".encode())
            out.writelines(bases[start : start + _LINE] + b"\n" for start in range(0, len(bases), _LINE))
    pysam.faidx(str(path))


def _par_table(reference: Reference) -> str:
    regions = pars(reference, X) + pars(reference, Y)
    return "".join(f"{region.contig}\t{region.start}\t{region.end}\t{region.kind}\n" for region in regions)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description="Make baekman's small test genome: reference, deliveries, truth (half a minute).",
        epilog="example: python scripts/make_test_genome.py --output testgenome",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a folder that does not exist")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, another genome (default: %(default)s)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor on the contigs' lengths, from 0.2 (default: 1)"
    )
    parser.add_argument("--depth", type=float, default=1.0, help="factor on the depth of 30x (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="specimens made at a time (default: 2)")
    arguments = parser.parse_args()
    if arguments.output.exists():
        parser.error(f"{arguments.output} exists already: remove it or choose another folder")
    if arguments.scale < MIN_SCALE:
        parser.error(f"--scale is at least {MIN_SCALE}")
    make(
        arguments.output,
        seed=arguments.seed,
        scale=arguments.scale,
        depth=arguments.depth,
        workers=arguments.workers,
    )
    print(arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
