#!/usr/bin/env python3
"""Records of generated claims: bytes a row, CPU of the reception, a person's life, people per code, memory.

Example: scripts/benchmarks/bench_records.py --people 7720

Makes claims of ten years (about 1,940 rows a person: diagnoses, procedures, drugs and check-ups of visits), registers
the people in a new workspace and receives the claims with ``baekman records receive``. DuckDB copies the same CSV to
Parquet. CPU is the user and system time of a process and its children.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

HEADER = "institution specimen_id participant participant_type registered_sex consent consent_from scopes birth_year"
COLUMNS = "code name_ko name_en kind unit low high categories scope tier parent uri"
INSTITUTION, FIRST_YEAR, YEARS = "Insurer", 2014, 10
SYSTEMS = {"KCD8": 1500, "EDI": 3000, "ATC": 800}
CHECKUPS = {"LOINC/8480-6": (60, 260), "LOINC/8462-4": (30, 160), "LOINC/4548-4": (3, 15), "LOINC/39156-5": (12, 50)}
VISITS = 400
PEAK = """\
import atexit, re
status = lambda: open("/proc/self/status").read()
atexit.register(lambda: open({path!r}, "w").write(re.search(r"VmHWM:\\s+([0-9]+)", status())[1]))
"""
SHEET = """\
delivery: {name}
institution: {institution}
source: claims
period: {{from: {first}-01-01, to: {last}-12-31}}
as_of: {last}-12-31
format: csv
files: [claims.csv]
"""


def codes() -> list[str]:
    """Return the codes of events, the frequent ones of each system first."""
    shapes: dict[str, Callable[[int], str]] = {
        "KCD8": lambda number: f"{chr(65 + number // 100)}{number % 100:02d}",
        "EDI": lambda number: f"D{number:04d}",
        "ATC": lambda number: f"{chr(65 + number // 100)}01AB{number % 100:02d}",
    }
    return [f"{system}/{shapes[system](number)}" for system, count in SYSTEMS.items() for number in range(count)]


def write_dictionary(path: Path) -> None:
    """Write the dictionary of the generated codes."""
    lines = ["\t".join(COLUMNS.split())]
    lines += [f"{code}\t코드\tcode\tevent\t\t\t\t\tclinical\troom\t\t" for code in codes()]
    lines += [
        f"{code}\t검사\ttest\tnumber\tu\t{low}\t{high}\t\tclinical\troom\t\t" for code, (low, high) in CHECKUPS.items()
    ]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def write_registrations(path: Path, people: int) -> None:
    """Write the registration table of the people."""
    with path.open("w", encoding="utf-8") as table:
        table.write("\t".join(HEADER.split()) + "\n")
        for number in range(people):
            sex = ("female", "male")[number % 2]
            table.write(
                f"{INSTITUTION}\tHB-{number:08d}\tSUBJ-{number:08d}\tgeneral\t{sex}\tgranted\t2010-01-01\t"
                f"genome;clinical;lifestyle;public_record_linkage\t{1930 + number % 60}\n"
            )


def claims(people: int, *, seed: int, first_year: int = FIRST_YEAR, years: int = YEARS) -> Iterator[pa.Table]:
    """Yield the claims of 64 people at a time, a person after the other, by time."""
    names = np.array(codes())
    starts = np.cumsum([0, *SYSTEMS.values()])
    for first in range(0, people, 64):
        rng = np.random.default_rng((seed, first))
        parts = [
            _person(rng, number, names, starts, first_year, years) for number in range(first, min(first + 64, people))
        ]
        yield pa.concat_tables(parts)


def _person(
    rng: np.random.Generator, number: int, names: np.ndarray, starts: np.ndarray, first_year: int, years: int
) -> pa.Table:
    """Return a person's claims: visits with diagnoses, procedures and drugs, mostly the person's usual ones."""
    visits = int(rng.poisson(VISITS * years / YEARS)) + 1
    days = np.sort(rng.integers(0, 365 * years, visits))
    usual = [start + rng.zipf(1.3, 15) % count for start, count in zip(starts, SYSTEMS.values(), strict=False)]
    rows = 1 + rng.poisson(3.7, visits)
    visit = np.repeat(np.arange(visits), rows)
    system = rng.choice(3, len(visit), p=[0.25, 0.45, 0.3])
    chosen = np.stack(usual)[system, rng.integers(0, 15, len(visit))]
    other = starts[system] + rng.zipf(1.2, len(visit)) % np.array(list(SYSTEMS.values()))[system]
    code = names[np.where(rng.random(len(visit)) < 0.85, chosen, other)]
    checkup = np.flatnonzero(rng.random(len(visit)) < 0.03)
    code = code.astype("U16")
    tests = list(CHECKUPS)
    which = rng.integers(0, len(tests), len(checkup))
    code[checkup] = np.array(tests)[which]
    value = np.full(len(visit), "", dtype="U8")
    low, high = (np.array([limits[side] for limits in CHECKUPS.values()]) for side in (0, 1))
    value[checkup] = np.round(low[which] + rng.random(len(checkup)) * (high - low)[which]).astype(int).astype(str)
    claim = np.char.add("C", np.char.zfill(rng.integers(0, 10**10, visits).astype(str), 10))
    date = np.datetime64(f"{first_year}-01-01") + days
    return pa.table(
        {
            "subject_code": pa.array([f"SUBJ-{number:08d}"] * len(visit)),
            "time": pa.array(date[visit].astype(str)),
            "code": pa.array(code),
            "value": pa.array(value),
            "episode": pa.array(claim[visit]),
        }
    )


def write_delivery(
    folder: Path, people: int, *, seed: int, name: str, first: int = FIRST_YEAR, years: int = YEARS
) -> int:
    """Write a delivery of claims of ``years`` from the year ``first`` on; return the number of rows."""
    folder.mkdir()
    rows = 0
    with pa.OSFile(str(folder / "claims.csv"), "wb") as out:
        writer = None
        for table in claims(people, seed=seed, first_year=first, years=years):
            options = csv.WriteOptions(quoting_style="none")
            writer = writer or csv.CSVWriter(out, table.schema, write_options=options)
            writer.write_table(table)
            rows += table.num_rows
        if writer is not None:
            writer.close()
    sheet = SHEET.format(name=name, institution=INSTITUTION, first=first, last=first + years - 1)
    (folder / "records.yaml").write_text(sheet, encoding="utf-8")
    return rows


def measured(program: str, *words: object) -> tuple[float, float, float]:
    """Run a Python program; return its wall seconds, the CPU seconds with its children, and peak memory in MB.

    The program reports its own peak: the resource usage of a process begins with the memory of the process that
    started it.
    """
    begun = time.perf_counter()
    before = os.times()
    with tempfile.NamedTemporaryFile("r") as peak:
        words = (PEAK.format(path=peak.name) + program, *map(str, words))
        if subprocess.run([sys.executable, "-c", *words], stdout=subprocess.DEVNULL, check=False).returncode:
            sys.exit("a command failed")
        memory = int(peak.read()) / 1024
    spent = os.times()
    cpu = spent.children_user + spent.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, cpu, memory


def baekman(*words: object) -> tuple[float, float, float]:
    """Run a command of baekman; return as ``measured`` does."""
    return measured("from baekman.cli import main; main()", *words)


def timed(act: Callable[[], object], *, repeats: int) -> tuple[float, float]:
    """Return the median wall seconds and CPU seconds of a call, after one to warm up."""
    act()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def new_workspace(place: Path, people: int, *, name: str = "W") -> Path:
    """Return a new workspace with registered people and an empty record store."""
    workspace = place / name
    write_dictionary(place / "dictionary.tsv")
    write_registrations(place / "registration.tsv", people)
    baekman("registry", "init", "--workspace", workspace)
    baekman("registry", "import", place / "registration.tsv", "--workspace", workspace)
    baekman("records", "init", "--workspace", workspace, "--dictionary", place / "dictionary.tsv")
    return workspace


def report_store(workspace: Path, rows: int) -> None:
    """Print the bytes a row of each kind of file."""
    sizes = dict.fromkeys(("events", "coverage", "firsts"), 0)
    for path in (workspace / "records" / "batches").glob("*/*/*.parquet"):
        sizes[path.parent.name] += path.stat().st_size
    print(", ".join(f"{kind} {size / rows:.2f}" for kind, size in sizes.items()), "bytes a row")
    print(f"bytes a row: {sum(sizes.values()) / rows:.2f} (limit 6)")


def report_queries(workspace: Path) -> None:
    """Print the time of a person's life, and of people per code through firsts and events."""
    import baekman

    records = baekman.open_records(workspace)
    people = records.sql("SELECT participant_id FROM participants USING SAMPLE 20").fetchall()
    walls = [timed(lambda: records.events(person), repeats=3)[0] for (person,) in people]  # noqa: B023
    print(f"a person's life: {1000 * statistics.median(walls):.1f} ms, at most {1000 * max(walls):.1f} (limit 50)")
    counts = "SELECT code, count(*) FROM firsts GROUP BY code ORDER BY code"
    scan = "SELECT code, count(DISTINCT participant_id) FROM events GROUP BY code ORDER BY code"
    assert records.sql(counts).fetchall() == records.sql(scan).fetchall()
    by_firsts, by_scan = (timed(lambda: records.sql(sql).fetchall(), repeats=5) for sql in (counts, scan))  # noqa: B023
    for name, (wall, cpu) in (("firsts", by_firsts), ("scan", by_scan)):
        print(f"people per code by {name}: {wall:.3f} s, CPU {cpu:.3f} s")
    print(f"firsts against the scan: {by_firsts[1] / by_scan[1]:.3f} of the CPU (limit 0.05)")


def main() -> None:
    """Make the claims, receive them, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=386, help="7720 for 15 million rows")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the files go and stay; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = options.folder or Path(temporary)
        place.mkdir(exist_ok=True)
        rows = write_delivery(place / "D1", options.people, seed=options.seed, name="D1")
        claims_csv = place / "D1" / "claims.csv"
        print(f"{options.people:,} people, {rows:,} rows, {claims_csv.stat().st_size / 1e6:.0f} MB of CSV", flush=True)
        copy = f"COPY (FROM read_csv('{claims_csv}')) TO '{place}/copy.parquet' (FORMAT parquet, COMPRESSION zstd)"
        wall, copy_cpu, memory = measured("import duckdb, sys; duckdb.sql(sys.argv[1])", copy)
        print(f"DuckDB COPY: {wall:.1f} s, CPU {copy_cpu:.1f} s, {memory:.0f} MB", flush=True)
        workspace = new_workspace(place, options.people)
        few = max(options.people // 20, 1)
        write_delivery(place / "D0", few, seed=options.seed + 1, name="D0", first=FIRST_YEAR - 1, years=1)
        empty = new_workspace(place, options.people, name="E")
        _, _, alone = baekman("records", "receive", place / "D0", "--workspace", empty, "--workers", 1)
        wall, cpu, memory = baekman(
            "records", "receive", place / "D1", "--workspace", workspace, "--workers", options.workers
        )
        print(f"receive: {wall:.1f} s, CPU {cpu:.1f} s, {memory:.0f} MB", flush=True)
        report_store(workspace, rows)
        print(f"receive against COPY: {cpu / copy_cpu:.2f} of the CPU (limit 3)", flush=True)
        print("one delivery:")
        report_queries(workspace)
        write_delivery(place / "D2", few, seed=options.seed + 2, name="D2", first=FIRST_YEAR + YEARS, years=1)
        _, _, later = baekman("records", "receive", place / "D2", "--workspace", workspace, "--workers", 1)
        print(f"memory of a small delivery: {alone:.0f} MB into an empty store, {later:.0f} MB into this one")
        print("with the small delivery:")
        report_queries(workspace)
        wall, cpu, memory = baekman("records", "compact", "--workspace", workspace, "--workers", 1)
        print(f"compact: {wall:.1f} s, CPU {cpu:.1f} s, {memory:.0f} MB", flush=True)
        print("compacted:")
        report_queries(workspace)


if __name__ == "__main__":
    main()
