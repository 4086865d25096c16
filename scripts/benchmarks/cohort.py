"""Measure the cohort store against htslib's bare parse, and against Hail where it is installed.

    python scripts/benchmarks/cohort.py --work DIR [--participants 200] [--bases 4000000]
                                   [--gvcfs LIST.tsv --reference REF.fa] [--shard-bases 500000]
                                   [--distinct LIST.tsv --distinct-reference REF.fa] [--large 5050] [--hail PYTHON]

The unit is the CPU time of ``bcftools view -Ou -o /dev/null`` over the same files in the same run. Prints a
Markdown table; without ``--gvcfs`` a cohort is simulated. Everything is written below ``--work``. A genome has a
thousand shards; a region of a few Mb is cut into smaller ones, so that there is something to divide.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pysam
from baekman.genome.shards import format_shards, make_shards

BAEKMAN = str(Path(sys.executable).parent / "baekman")


@dataclass(frozen=True)
class Cost:
    """The cost of a command: CPU and wall seconds, and the peak memory of its largest process in MiB."""

    cpu: float
    wall: float
    memory: float


def measure(*commands: Sequence[str]) -> Cost:
    """Run commands one after the other and add their costs, with those of their children."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = 0.0
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"failed: {' '.join(command)}")
        memory = max(memory, usage.ru_maxrss / 1024)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu=cpu, wall=time.monotonic() - began, memory=memory)


class Bench:
    """One run: a work folder and the rows of the table that it prints."""

    def __init__(self, work: Path, *, shard_bases: int) -> None:
        self.work = work
        self.shard_bases = shard_bases
        work.mkdir(parents=True, exist_ok=True)
        self.rows: list[tuple[str, str, str]] = []

    def report(self, quantity: str, value: str, target: str = "") -> None:
        """Print a row of the table."""
        self.rows.append((quantity, value, target))
        print(f"| {quantity} | {value} | {target} |", flush=True)

    def store(self, name: str, reference: Path) -> Path:
        """Make an empty cohort in the work folder; one of the same name is deleted."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        shards = self.work / "shards.tsv"
        with pysam.FastaFile(str(reference)) as fasta:
            contigs = ((name, np.frombuffer(fasta.fetch(name).upper().encode(), np.uint8)) for name in fasta.references)
            shards.write_text(format_shards(make_shards(contigs, bases=self.shard_bases)))
        subprocess.run(
            [BAEKMAN, "cohort", "init", "--cohort", str(path), "--reference", str(reference), "--shards", str(shards)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return path

    def add(self, cohort: Path, batch: str, listed: Path, *, workers: int = 1) -> list[str]:
        """Return the command that adds the gVCFs of a list."""
        return [
            BAEKMAN, "cohort", "add", "--cohort", str(cohort), "--batch", batch, "--gvcfs", str(listed),
            "--workers", str(workers),
        ]  # fmt: skip

    def part(self, listed: Path, first: int, last: int) -> Path:
        """Write rows [first, last) of a list as a list of their own, and return it."""
        lines = listed.read_text().splitlines()[first:last]
        rows = []
        for line in lines:
            participant, path = line.split("\t")[:2]
            location = Path(path) if Path(path).is_absolute() else listed.parent / path
            rows.append(f"{participant}\t{location}\n")
        target = self.work / f"{listed.parent.name}.{first}-{last}.tsv"
        target.write_text("".join(rows))
        return target


def simulated(work: Path, *, participants: int, bases: int) -> tuple[Path, Path]:
    """Return the list and the reference of a simulated cohort, which is made once."""
    folder = work / f"simulated-{participants}-{bases}"
    if not (folder / "list.tsv").exists():
        script = Path(__file__).with_name("simulate_cohort.py")
        subprocess.run(
            [sys.executable, str(script), "--output", str(folder), "--participants", str(participants),
             "--bases", str(bases)],
            check=True,
        )  # fmt: skip
    return folder / "list.tsv", folder / "reference.fa"


def files_of(listed: Path) -> list[Path]:
    """Return the gVCFs of a list."""
    paths = [Path(line.split("\t")[1]) for line in listed.read_text().splitlines() if line]
    return [path if path.is_absolute() else listed.parent / path for path in paths]


def folder_size(path: Path) -> int:
    """Return the bytes of all files below ``path``."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def bench_ingest(bench: Bench, listed: Path, reference: Path, *, hail: str | None) -> None:
    """Measure ingest, export, scaling and memory against the bare parse (and Hail)."""
    gvcfs = files_of(listed)
    everyone = bench.part(listed, 0, len(gvcfs))
    bare_commands = [["bcftools", "view", "-Ou", "-o", "/dev/null", str(path)] for path in gvcfs]
    bare = measure(*bare_commands)
    size = sum(path.stat().st_size for path in gvcfs)
    bench.report("gVCFs", f"{len(gvcfs)} files, {size / 1e6:.0f} MB; bare parse {bare.cpu:.1f} s CPU")

    def export(cohort: Path, workers: int) -> list[str]:
        output = bench.work / "dense.bcf"
        return [BAEKMAN, "export", "--cohort", str(cohort), "--format", "bcf", "--workers", str(workers),
                "--output", str(output)]  # fmt: skip

    cohort = bench.store("one-worker", reference)
    added = measure(bench.add(cohort, "b", everyone))
    exported = measure(export(cohort, 1))
    bare = Cost(min(bare.cpu, (again := measure(*bare_commands)).cpu), min(bare.wall, again.wall), bare.memory)
    bench.report("gVCF to batch committed, CPU", f"{added.cpu / bare.cpu:.2f} × bare parse", "≤ 2.5 ×")
    bench.report("add + dense BCF export, CPU", f"{(added.cpu + exported.cpu) / bare.cpu:.2f} ×", "≤ 4 ×")
    bench.report("store against gVCF.gz", f"{folder_size(cohort / 'batches') / size:.3f}")
    two = bench.store("two-workers", reference)
    added_two = measure(bench.add(two, "b", everyone, workers=2))
    exported_two = measure(export(two, 2))
    both = added_two.wall + exported_two.wall
    bench.report("add + dense BCF export, wall, 2 workers", f"{both / bare.wall:.2f} × bare parse", "≤ 2.5 ×")
    bench.report("scaling of add, 1 to 2 workers", f"{added.wall / added_two.wall:.2f} ×", "≥ 1.7 ×")
    if hail:
        for path in gvcfs:  # Hail wants an index; the time of making it is not counted
            if not path.with_name(path.name + ".tbi").exists():
                pysam.tabix_index(str(path), preset="vcf", force=True)
        script = Path(__file__).with_name("hail_combiner.py")
        cost = measure([hail, str(script), str(everyone), str(reference), str(bench.work / "hail")])
        bench.report(
            "add + export, wall, of Hail's combiner + densify + export", f"{both / cost.wall:.2f} ×", "≤ 0.25 ×"
        )
    table = bench.work / "tables"
    shutil.rmtree(table, ignore_errors=True)
    first = everyone.read_text().split("\t")[0]
    measure([BAEKMAN, "tables", "--cohort", str(cohort), "--output", str(table), "--participants", first])
    path = next(table.glob("variants/*/*.parquet"))
    query = f"SELECT count(*), sum(copies) FROM '{path}' WHERE pos BETWEEN 100000 AND 200000"
    connection = duckdb.connect()
    times = []
    for _ in range(6):
        began = time.monotonic()
        connection.execute(query).fetchall()
        times.append(time.monotonic() - began)
    bench.report("one participant's table by region, DuckDB, warm", f"{1000 * sorted(times[1:])[2]:.1f} ms", "< 50 ms")


def grow(bench: Bench, cohorts: Sequence[Path], listed: Path) -> list[Cost]:
    """Return the cost of adding a list to a copy of each cohort: the median of five times, taken in turn."""
    runs: list[list[Cost]] = [[] for _ in cohorts]
    for _ in range(5):
        for cohort, costs in zip(cohorts, runs, strict=True):
            copy = bench.work / "growing"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(cohort, copy)
            costs.append(measure(bench.add(copy, "more", listed)))
    return [sorted(costs, key=lambda cost: cost.cpu)[2] for costs in runs]


def bench_increment(bench: Bench, listed: Path, reference: Path) -> None:
    """Measure adding 10 to 190 against adding the 200 at once."""
    total = len(files_of(listed))
    whole = bench.store("whole", reference)
    at_once = measure(bench.add(whole, "all", bench.part(listed, 0, total)))
    grown = bench.store("grown", reference)
    measure(bench.add(grown, "first", bench.part(listed, 0, total - total // 20)))
    (more,) = grow(bench, [grown], bench.part(listed, total - total // 20, total))
    quantity = f"adding {total // 20} to {total - total // 20}, CPU, of the {total} at once"
    bench.report(quantity, f"{more.cpu / at_once.cpu:.3f} ×", "≤ 0.08 ×")


def bench_growth(bench: Bench, participants: int) -> None:
    """Measure adding 50 to all of the cohort against adding 50 to a tenth of it: time and memory."""
    listed, reference = simulated(bench.work, participants=participants, bases=1_000_000)
    large = participants - 50
    small = large // 10
    fifty = bench.part(listed, large, participants)
    cohorts = []
    for size in (small, large):
        cohorts.append(bench.store(f"cohort-{size}", reference))
        step = 500
        for first in range(0, size, step):
            part = bench.part(listed, first, min(first + step, size))
            measure(bench.add(cohorts[-1], f"b{first:06d}", part, workers=2))
    of_small, of_large = grow(bench, cohorts, fifty)
    ratio = of_large.cpu / of_small.cpu
    memory = of_large.memory / of_small.memory
    bench.report(f"adding 50 to {large} against adding 50 to {small}, CPU", f"{ratio:.2f} ×", "≤ 1.15 ×")
    bench.report("peak memory as the cohort grows 10 ×", f"{memory:.2f} ×", "≤ 1.1 ×")


def bench_size(bench: Bench, listed: Path, reference: Path) -> None:
    """Measure the bytes of the store against those of the gVCFs of distinct participants."""
    cohort = bench.store("distinct", reference)
    everyone = bench.part(listed, 0, len(files_of(listed)))
    measure(bench.add(cohort, "b", everyone))
    size = sum(path.stat().st_size for path in files_of(listed))
    batches = folder_size(cohort / "batches") / size
    whole = (folder_size(cohort) - (cohort / "reference.seq").stat().st_size) / size
    count = len(files_of(listed))
    bench.report(f"store against gVCF.gz, {count} distinct participants", f"{batches:.3f} ×", "≤ 0.18 ×")
    bench.report("the same with the snapshot's sites and the index", f"{whole:.3f} ×")


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="Folder for everything that is written.")
    parser.add_argument("--participants", type=int, default=200, help="Size of the simulated cohort.")
    parser.add_argument("--bases", type=int, default=4_000_000, help="Length of its region.")
    parser.add_argument("--gvcfs", type=Path, help="List of gVCFs instead of a simulated cohort.")
    parser.add_argument("--reference", type=Path, help="The reference of --gvcfs.")
    parser.add_argument("--shard-bases", type=int, default=500_000, help="Bases of a shard.")
    parser.add_argument("--distinct", type=Path, help="List of gVCFs of distinct real participants, for the size.")
    parser.add_argument("--distinct-reference", type=Path, help="The reference of --distinct.")
    parser.add_argument("--large", type=int, default=0, help="Size of the cohort for growth, 5050 for the figures.")
    parser.add_argument("--hail", help="A Python that has Hail.")
    arguments = parser.parse_args()
    bench = Bench(arguments.work, shard_bases=arguments.shard_bases)
    print("| What | Measured | At least |\n|---|---|---|")
    if arguments.gvcfs:
        listed, reference = arguments.gvcfs, arguments.reference
    else:
        listed, reference = simulated(bench.work, participants=arguments.participants, bases=arguments.bases)
    bench_ingest(bench, listed, reference, hail=arguments.hail)
    bench_increment(bench, listed, reference)
    if arguments.distinct:
        bench_size(bench, arguments.distinct, arguments.distinct_reference)
    if arguments.large:
        bench_growth(bench, arguments.large)


if __name__ == "__main__":
    main()
