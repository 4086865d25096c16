#!/usr/bin/env python3
"""Joint genotypes of 24 people at 2-9x against a call on all their reads at once.

Example:
    scripts/benchmarks/low_coverage.py --data READS

Each participant is called alone (baekman.call.calling) and added to a cohort; the raw and the joint genotypes of its
export are compared with ``bcftools mpileup | bcftools call -m`` on all BAMs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam
from baekman.call.calling import call_shard
from baekman.genome.regions import Region
from baekman.tools import programs as tools
from baekman.tools.pipes import piped

CONTIG = "20"
SLICE = Region(CONTIG, 19_999_001, 20_302_000)  # that of the reference rebuilt from the reads' MD tags
LENGTH = 63_025_520  # of b37's chromosome 20, as the BAMs' headers say
MIN_QUAL = 20
LOW_QUAL = 30
MIN_GQ = 20

Site = tuple[int, str, str]
Genotypes = dict[Site, npt.NDArray[np.int8]]  # copies of the ALT by participant, -1 where there is no genotype


def people(data: Path) -> dict[str, Path]:
    """Return the BAM of each participant, by name."""
    folder = data / "ceu24_lowcov_b37_chr20" / "bams"
    return {bam.name.split(".")[0]: bam for bam in sorted(folder.glob("*.bam"))}


def write_reference(data: Path, path: Path, *, length: int) -> Path:
    """Write the slice of the reference in its place on a contig of ``length``, N elsewhere, with its index."""
    (source,) = (data / "ceu24_lowcov_b37_chr20").glob("*.from_MD.fa")
    with pysam.FastaFile(str(source)) as fasta:
        bases = fasta.fetch(fasta.references[0]).upper()
    sequence = ("N" * (SLICE.start - 1) + bases).ljust(length, "N")
    lines = (sequence[at : at + 1000] for at in range(0, length, 1000))
    path.write_text(f">{CONTIG}\n" + "\n".join(lines) + "\n", encoding="ascii")
    pysam.faidx(str(path))
    return path


def call_on_all_reads(bams: Sequence[Path], *, reference: Path, output: Path) -> None:
    """Run ``bcftools mpileup | bcftools call -m`` on all reads at once; columns are in the order of ``bams``."""
    bcftools = tools.command("bcftools")
    region = f"{CONTIG}:{SLICE.start}-{SLICE.end}"
    piped(
        [*bcftools, "mpileup", "-Ou", "-f", reference, "-r", region, *bams],
        [*bcftools, "call", "-m", "-v", "-Ob", "-o", output],
    )


def genotypes(vcf: Path, *, samples: Sequence[str] | None = None, min_qual: float = 0, min_gq: int = 0) -> Genotypes:
    """Return genotypes at the biallelic SNVs of ``vcf``, in the order of ``samples`` (by default that of the file).

    Sites below ``min_qual`` do not count; a genotype below ``min_gq`` is missing.
    """
    by_site: Genotypes = {}
    with pysam.VariantFile(str(vcf)) as records:
        order = list(samples or records.header.samples)
        for record in records:
            alts = record.alts or ()
            if len(alts) != 1 or len(record.ref) != 1 or alts[0] not in {"A", "C", "G", "T"}:
                continue
            if min_qual and (record.qual or 0) < min_qual:
                continue
            shown = [record.samples[name] for name in order]
            missing = [None in call["GT"] or (min_gq > 0 and (call["GQ"] or 0) < min_gq) for call in shown]
            copies = [-1 if is_missing else sum(call["GT"]) for call, is_missing in zip(shown, missing, strict=True)]
            by_site[record.pos, record.ref, alts[0]] = np.array(copies, np.int8)
    return by_site


def concordance(expected: Genotypes, observed: Genotypes) -> dict[str, float]:
    """Return the agreement of ``observed`` with ``expected`` at the sites of the latter.

    ``concordance``: the share of equal genotypes among those that both have. ``nonreference``: the same where either
    shows the ALT. ``compared``: the share of the expected genotypes that are compared. ``recall``: the share of the
    sites at which a participant carries the ALT.
    """
    nobody = np.full(len(next(iter(expected.values()))), -1, np.int8)
    wanted = np.stack(list(expected.values()))
    seen = np.stack([observed.get(site, nobody) for site in expected])
    both = (wanted >= 0) & (seen >= 0)
    carried = both & ((wanted > 0) | (seen > 0))
    same = wanted == seen
    return {
        "sites": len(expected),
        "recall": float((seen > 0).any(1).mean()),
        "compared": float(both.sum() / (wanted >= 0).sum()),
        "concordance": float(same[both].mean()),
        "nonreference": float(same[carried].mean()),
    }


def listed_sites(data: Path) -> dict[str, set[Site]]:
    """Return the SNVs of the HapMap and Omni lists that lie in the slice."""
    lists = {"hapmap": "hapmap_3.3.b37.sites.chr20", "omni": "1000G_omni2.5.b37.sites.chr20.PASS"}
    by_list: dict[str, set[Site]] = {}
    for name, stem in lists.items():
        with pysam.VariantFile(str(data / "ceu24_lowcov_b37_chr20" / "sites" / f"{stem}.vcf.gz")) as records:
            inside = records.fetch(CONTIG, SLICE.start - 1, SLICE.end)
            by_list[name] = {(record.pos, record.ref, alt) for record in inside for alt in record.alts or ()}
    return by_list


def figures(data: Path, everyone: Path, exports: Mapping[str, Path], samples: Sequence[str]) -> dict[str, object]:
    """Return the concordance of each export with the call on ``everyone``'s reads, and its part of the site lists.

    ``exports``: multi-sample files by name; ``samples``: their columns in the order of ``everyone``.
    """
    lists = listed_sites(data)
    expected = genotypes(everyone, min_qual=MIN_QUAL)
    exported = {name: genotypes(path, samples=samples) for name, path in exports.items()}
    result: dict[str, object] = {name: concordance(expected, seen) for name, seen in exported.items()}
    sure = {f"all reads, QUAL ≥ {MIN_QUAL}": expected}
    for mode, path in exports.items():
        passed = f"{mode}, QUAL ≥ {LOW_QUAL}"  # the default of the site filter LowQual
        sure[passed] = genotypes(path, samples=samples, min_qual=LOW_QUAL)
        sure[f"{passed}, GQ ≥ {MIN_GQ}"] = genotypes(path, samples=samples, min_qual=LOW_QUAL, min_gq=MIN_GQ)
    carried = {name: {site for site, copies in seen.items() if (copies > 0).any()} for name, seen in sure.items()}
    result["listed"] = {name: len(sites) for name, sites in lists.items()}
    result["listed_found"] = {
        name: {
            "snvs": len(there),
            "sites": len(expected.keys() & there),
            **{kind: len(sites & there) for kind, sites in lists.items()},
        }
        for name, there in carried.items()
    }
    return result


def baekman(*words: str | Path) -> str:
    """Run the command line of the project; return its stdout."""
    command = [Path(sys.executable).parent / "baekman", *words]
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout


def export(cohort: Path, folder: Path) -> dict[str, Path]:
    """Export the raw and the joint genotypes of a cohort as BCF to ``folder``."""
    files = {mode: folder / f"{mode}.bcf" for mode in ("raw", "joint")}
    for mode, file in files.items():
        baekman("export", "--cohort", cohort, "--format", "bcf", f"--{mode}", "--output", file)
    return files


def measure(data: Path, folder: Path, *, workers: int) -> dict[str, object]:
    """Call each participant alone and all together; return the figures of the comparison."""
    # the contig ends where the reads end
    reference = write_reference(data, folder / "reference.fa", length=SLICE.end)
    bams = {}
    for name, bam in people(data).items():
        bams[name] = folder / f"{name}.bam"  # the index lies next to the link
        bams[name].symlink_to(bam.resolve())
        pysam.index(str(bams[name]))

    def call(name: str) -> None:
        call_shard(
            bams[name],
            reference=reference,
            regions=[SLICE],
            participant_id=name,
            sex="unknown",
            output=folder / f"{name}.g.vcf.gz",
        )

    everyone = folder / "all_reads.bcf"
    with ThreadPoolExecutor(workers) as pool:
        together = pool.submit(call_on_all_reads, list(bams.values()), reference=reference, output=everyone)
        list(pool.map(call, bams))
        together.result()
    cohort, members = folder / "cohort", folder / "members.tsv"
    members.write_text("".join(f"{name}\t{folder / name}.g.vcf.gz\n" for name in bams), encoding="utf-8")
    baekman("cohort", "init", "--cohort", cohort, "--reference", reference)
    baekman("cohort", "add", "--cohort", cohort, "--batch", "ceu", "--gvcfs", members)
    return figures(data, everyone, export(cohort, folder), list(bams))


def print_figures(result: Mapping[str, object]) -> None:
    """Print the tables of docs/benchmarks.md."""
    print("| Genotypes | sites | recall of the sites | compared | concordance | at non-reference |")
    print("|---|---|---|---|---|---|")
    for name in ("raw", "joint"):
        agreement: dict[str, float] = result[name]  # type: ignore[assignment]
        keys = ("recall", "compared", "concordance", "nonreference")
        print(f"| {name} | {agreement['sites']} | {' | '.join(f'{agreement[key]:.4f}' for key in keys)} |")
    listed: dict[str, int] = result["listed"]  # type: ignore[assignment]
    carried: dict[str, dict[str, int]] = result["listed_found"]  # type: ignore[assignment]
    sites = carried[f"all reads, QUAL ≥ {MIN_QUAL}"]["snvs"]
    heads = ("Carried", "SNVs", f"of the {sites}", f"of HapMap's {listed['hapmap']}", f"of Omni's {listed['omni']}")
    print(f"\n| {' | '.join(heads)} |\n|---|---|---|---|---|")
    for name, counts in carried.items():
        print(f"| {name} | " + " | ".join(str(counts[key]) for key in ("snvs", "sites", "hapmap", "omni")) + " |")


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Folder of the real reads.")
    parser.add_argument("--workers", type=int, default=2, help="participants called at a time (2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no folder of reads at {options.data}: give --data")
    pysam.set_verbosity(0)
    with tempfile.TemporaryDirectory(prefix="baekman-low-coverage-") as folder:
        result = measure(options.data, Path(folder), workers=options.workers)
    if options.json:
        print(json.dumps(result))
    else:
        print_figures(result)


if __name__ == "__main__":
    main()
