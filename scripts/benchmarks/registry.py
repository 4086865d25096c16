"""The time of `baekman registry import` for a table of invented people, new and imported again.

scripts/benchmarks/registry.py --rows 1000000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEADER = (
    "institution specimen_id participant participant_type registered_sex consent consent_from scopes birth_year name "
    "resident_registration_number"
)


def write_table(path: Path, rows: int) -> None:
    """Write a registration table of ``rows`` participants from thirty hospitals, a specimen each."""
    with path.open("w", encoding="utf-8") as table:
        table.write("\t".join(HEADER.split()) + "\n")
        for i in range(rows):
            kind, sex = ("rare", "severe", "general")[i % 3], ("female", "male")[i % 2]
            number = f"{i % 90:02d}{1 + i % 12:02d}{1 + i % 28:02d}-{1 + i % 4}{i % 1_000_000:06d}"
            table.write(
                f"Hospital {i % 30}\tHB-{i:08d}\tSUBJ-{i:08d}\t{kind}\t{sex}\tgranted\t2025-01-01\tgenome;clinical\t"
                f"{1930 + i % 80}\t사람{i}\t{number}\n"
            )


def run(*words: str | Path) -> tuple[float, float, float]:
    """Run a command; return its wall seconds, CPU seconds and peak memory in MiB."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", "from baekman.cli import main; main()", *map(str, words)])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit("the command failed")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Import a table twice and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        table, workspace = Path(folder, "registration.tsv"), Path(folder, "W")
        write_table(table, rows)
        run("registry", "init", "--workspace", workspace)
        for kind in ("new", "again"):
            wall, cpu, memory = run("registry", "import", table, "--workspace", workspace)
            print(f"{rows:,} {kind}: {wall:.2f} s, CPU {cpu:.2f} s, {cpu / rows * 1e6:.0f} us a row, {memory:.0f} MB")


if __name__ == "__main__":
    main()
