"""Compare the CPU time of two checkouts: the cohort commands, the bytes of the store and `baekman registry import`.

    python scripts/benchmarks/versions.py --before CHECKOUT --after CHECKOUT --work DIR --gvcfs LIST.tsv
                                          --reference REF.fa [--runs 9] [--add-only] [--registry-rows 0]

Both checkouts have their kernels compiled in place. The commands of both run in turn, and the order changes from run
to run. Prints a Markdown table with the median CPU seconds (user and system) of both, the median of the pairs' ratios
and the ratio of the least. On a busy machine the ratios mean more than the seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import registry

PROGRAM = "from baekman.cli import main; main()"
Costs = dict[str, float]


def cpu_of(checkout: Path, *words: str | Path) -> float:
    """Return the CPU seconds of a command of baekman as it is in ``checkout``."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "workflow")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=silent, stderr=silent, env=environment, cwd=checkout)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed in {checkout}: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime


def cohort_costs(checkout: Path, work: Path, *, listed: Path, reference: Path, add_only: bool) -> Costs:
    """Return the CPU seconds of the cohort commands, or of two of them, and the bytes of the store that they make."""
    cohort = work / "cohort"
    where = ("--cohort", cohort)
    costs = {"cohort init": cpu_of(checkout, "cohort", "init", *where, "--reference", reference)}
    costs["cohort add"] = cpu_of(checkout, "cohort", "add", *where, "--batch", "b", "--gvcfs", listed)
    stored = [file for file in cohort.rglob("*") if file.is_file() and file.name != "reference.seq"]
    costs["bytes of the store, without the reference"] = sum(file.stat().st_size for file in stored)
    if add_only:
        return costs
    for name in ("vcf", "bcf"):
        costs[f"export, {name}"] = cpu_of(
            checkout, "export", *where, "--format", name, "--output", work / f"all.{name}"
        )
    costs["tables"] = cpu_of(checkout, "tables", *where, "--output", work / "tables")
    costs["query, one participant"] = cpu_of(
        checkout, "query", *where, "--participant", listed.read_text().split("\t", 1)[0], "--output", work / "rows.tsv"
    )
    costs["add + export, bcf"] = costs["cohort add"] + costs["export, bcf"]
    return costs


def registry_costs(checkout: Path, work: Path, *, rows: int) -> Costs:
    """Return the CPU seconds of importing a table of ``rows`` rows, new and again."""
    table, workspace = work / "registration.tsv", ("--workspace", work / "workspace")
    registry.write_table(table, rows)
    cpu_of(checkout, "registry", "init", *workspace)
    kinds = ("registry import, new", "registry import, again")
    return {kind: cpu_of(checkout, "registry", "import", table, *workspace) for kind in kinds}


def print_table(pairs: dict[str, list[tuple[float, float]]]) -> None:
    """Print a row per command: medians of both, the median of the pairs' ratios, the ratio of the least."""
    print("| Measure | before | after | ratio of pairs | ratio of the least |\n|---|---|---|---|---|")
    for name, costs in pairs.items():
        before, after = zip(*costs, strict=True)
        shape = ",.0f" if name.startswith("bytes") else ".3f"
        columns = [format(statistics.median(side), shape) for side in (before, after)]
        columns.append(f"{statistics.median(late / early for early, late in costs):.3f}")
        columns.append(f"{min(after) / min(before):.3f}")
        print(f"| {name} | {' | '.join(columns)} |", flush=True)


def main() -> None:
    """Run both checkouts in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--before", "--after", "--work", "--gvcfs", "--reference"):
        parser.add_argument(name, type=Path, required=name in {"--before", "--after", "--work"})
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--add-only", action="store_true", help="run no command that reads the store")
    parser.add_argument("--registry-rows", type=int, default=0, help="also import a registration table of so many rows")
    arguments = parser.parse_args()
    checkouts = (arguments.before.resolve(), arguments.after.resolve())
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(arguments.runs + 1):
        costs: dict[Path, Costs] = {}
        for checkout in checkouts if number % 2 else checkouts[::-1]:
            work = arguments.work.resolve() / "run"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            costs[checkout] = {}
            if arguments.gvcfs:
                files = {"listed": arguments.gvcfs.resolve(), "reference": arguments.reference.resolve()}
                costs[checkout] |= cohort_costs(checkout, work, **files, add_only=arguments.add_only)
            if arguments.registry_rows:
                costs[checkout] |= registry_costs(checkout, work, rows=arguments.registry_rows)
        for name, before in costs[checkouts[0]].items() if number else ():  # the first run compiles the modules
            pairs[name].append((before, costs[checkouts[1]][name]))
    print_table(pairs)


if __name__ == "__main__":
    main()
