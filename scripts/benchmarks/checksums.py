"""Measure the cost of checksums: the CPU time of add and query with them, and without.

    python scripts/benchmarks/checksums.py --work DIR [--participants 60] [--bases 4000000] [--runs 7]

A cohort is simulated. The commands run in turn with and without checksums, that is page checksums, lists of digests and
their comparison. Prints a Markdown table with the medians and the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
WITH = "from baekman.cli import main; main()"
WITHOUT = """
from baekman.files import digests
digests.read_whole = lambda path, digest: path.read_bytes()
digests.listed_digest = lambda folder, name: ""
digests.require_listed = lambda folder, names: None
digests.digest_of = lambda path: 64 * "0" + " 00000000"
from baekman import arrow
options = arrow.parquet_options
arrow.parquet_options = lambda schema: {**options(schema), "write_page_checksum": False}
from baekman.cohort.store import Store
Store.require_sequence = lambda store: None
from baekman.cli import main
main()
"""


def cpu_of(program: str, arguments: Sequence[str]) -> float:
    """Return the CPU seconds of a command of baekman, run by ``program``."""
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(arguments)}")
    return usage.ru_utime + usage.ru_stime


def compare(name: str, arguments: Sequence[str], *, runs: int, fresh: tuple[Path, Path] | None = None) -> None:
    """Print the row of a command; ``fresh``: a store that is copied to the second path before each run."""
    pairs = []
    for number in range(runs + 1):
        pair = {}
        for program in (WITH, WITHOUT) if number % 2 else (WITHOUT, WITH):
            if fresh:
                shutil.rmtree(fresh[1], ignore_errors=True)
                shutil.copytree(*fresh)
            pair[program] = cpu_of(program, arguments)
        if number:  # the first run fills the cache of the disk
            pairs.append((pair[WITH], pair[WITHOUT]))
    ratio = statistics.median(checked / plain for checked, plain in pairs)
    checked, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"| {name} | {checked:.2f} | {plain:.2f} | {ratio:.3f} |", flush=True)


def main() -> None:
    """Simulate a cohort and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--participants", type=int, default=60)
    parser.add_argument("--bases", type=int, default=4_000_000)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    data, empty, cohort = (arguments.work / name for name in ("data", "empty", "cohort"))
    simulate = [
        sys.executable,
        str(HERE / "simulate_cohort.py"),
        "--output",
        str(data),
        "--bases",
        str(arguments.bases),
    ]
    subprocess.run([*simulate, "--participants", str(arguments.participants)], check=True, stdout=subprocess.DEVNULL)
    cpu_of(WITH, ["cohort", "init", "--cohort", str(empty), "--reference", str(data / "reference.fa")])
    print("| Command | CPU s with checksums | without | ratio |\n|---|---|---|---|")
    add = ["cohort", "add", "--cohort", str(cohort), "--batch", "b", "--gvcfs", str(data / "list.tsv")]
    compare(f"add {arguments.participants}", add, runs=arguments.runs, fresh=(empty, cohort))
    shutil.rmtree(cohort)
    shutil.copytree(empty, cohort)
    cpu_of(WITH, add)
    participant = (data / "list.tsv").read_text().split("\t", 1)[0]
    question = ["query", "--cohort", str(cohort), "--format", "csv"]
    questions = {
        "query --region, 100 kb": ["--region", "chr22:1000001-1100000"],
        "query --participant": ["--participant", participant],
        "query --sql, one column of all sites": ["--sql", "SELECT filter, count(*) FROM sites GROUP BY filter"],
        "query --sql, all call rows": ["--sql", "SELECT copies, avg(gq), avg(dp) FROM calls GROUP BY copies"],
    }
    for name, options in questions.items():
        compare(name, [*question, *options], runs=arguments.runs)


if __name__ == "__main__":
    main()
