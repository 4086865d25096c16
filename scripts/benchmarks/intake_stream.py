#!/usr/bin/env python3
"""Bytes written and CPU from delivered FASTQ to the CRAM: with staged copies, in one stream, and with lanes as jobs.

Example: scripts/benchmarks/intake_stream.py --megabases 2 --depth 30 --lanes 4

Makes a reference and reads as ``bench_reads.py`` does, and delivers them three times, each to a workspace with the
aligner's index: ``baekman receive`` then ``snakemake align`` (copies), and ``snakemake align`` alone with one lane and
with several. Bytes are ``write_bytes`` of ``/proc``, which counts each byte that a process or its children wrote to a
file system of a disk; pipes do not count. The sort of so few reads spills nothing: the spill of a genome is measured
alone, with little memory. ``TMPDIR`` must lie on a disk.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench_reads import write_reads, write_reference
from real_deliveries import INSTITUTION

PROJECT = Path(__file__).resolve().parents[2]
NAME, LABEL = "bench", "S-1"
SNAKEMAKE = ("-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--cores", "2", "--nocolor")
COLUMNS = ("specimen_id", "file", "kind", "read_group", "sha256", "size")


def accounted(script: str, folder: Path) -> tuple[int, float]:
    """Run the shell ``script`` in ``folder``; return the bytes written and the CPU seconds, with all children."""
    log = folder / "commands.log"
    text = f"set -e; ({script}) >>{log} 2>&1; grep ^write_bytes /proc/$$/io; times"
    done = subprocess.run(["bash", "-c", text], cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(log.read_text())
    first, *_, last = done.stdout.splitlines()
    minutes = [part.rstrip("s").split("m") for part in last.split()]
    return int(first.split()[1]), sum(60 * float(whole) + float(rest) for whole, rest in minutes)


def split(path: Path, folder: Path, *, lanes: int, mate: int) -> list[Path]:
    """Write the records of a FASTQ file, in turn of 1,000, as one file per lane."""
    files = [folder / f"{LABEL}_L{lane}_R{mate}.fastq.gz" for lane in range(1, lanes + 1)]
    with ExitStack() as opened, gzip.open(path, "rb") as lines:
        sinks = [opened.enter_context(gzip.open(file, "wb", compresslevel=6)) for file in files]
        turn = cycle(sinks)
        while block := list(islice(lines, 4000)):
            next(turn).writelines(block)
    return files


def deliver(folder: Path, reads: list[Path], *, lanes: int) -> Path:
    """Write a delivery of ``reads`` in ``lanes``; return its folder."""
    folder.mkdir()
    by_mate = [split(path, folder, lanes=lanes, mate=mate) for mate, path in enumerate(reads, start=1)]
    rows = [
        [LABEL, path.name, f"fastq_{mate}", f"L{lane}", digest(path), str(path.stat().st_size)]
        for mate, files in enumerate(by_mate, start=1)
        for lane, path in enumerate(files, start=1)
    ]
    text = "\n".join("\t".join(row) for row in [list(COLUMNS), *rows])
    (folder / "manifest.tsv").write_text(text + "\n", encoding="utf-8")
    sheet = {"delivery": folder.name, "institution": INSTITUTION, "platform": "ILLUMINA", "reference": NAME}
    (folder / "delivery.yaml").write_text(json.dumps(sheet), encoding="utf-8")
    return folder


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]


def workspace(folder: Path, reference: Path) -> Path:
    """Make a workspace with a registry and the aligner's index."""
    folder.mkdir()
    (folder / "config.yaml").write_text(f"reference: {reference}\nreference_name: {NAME}\n", encoding="utf-8")
    registration = folder.parent / "registration.tsv"
    header = "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from"
    registration.write_text(f"{header}\n{INSTITUTION}\t{LABEL}\tSUBJECT-1\tgeneral\tfemale\tgranted\t2025-01-01\n")
    own = [sys.executable, "-m", "baekman"] if not shutil.which("baekman") else ["baekman"]
    for words in (["registry", "init"], ["registry", "import", str(registration)]):
        subprocess.run([*own, *words, "--workspace", str(folder)], check=True, capture_output=True)
    index = f"reference/{NAME}.fa.bwt"
    subprocess.run([sys.executable, *SNAKEMAKE, "--directory", folder, "--", index], check=True, capture_output=True)
    return folder


def jobs_of(folder: Path) -> dict[str, dict[str, float]]:
    """Return seconds, CPU seconds and memory (MB) of the jobs of a workspace, summed by rule (the largest memory)."""
    result: dict[str, dict[str, float]] = {}
    for rule in ("inspect_and_align", "inspect_lane", "merge_lanes", "align_reads"):
        for file in sorted((folder / "benchmarks" / rule).rglob("*.tsv")):
            with file.open(encoding="utf-8") as lines:
                (row,) = csv.DictReader(lines, delimiter="\t")
            job = result.setdefault(rule, {"jobs": 0, "s": 0, "cpu_s": 0, "max_rss_mb": 0})
            job["jobs"] += 1
            job["s"] = round(job["s"] + float(row["s"]), 1)
            job["cpu_s"] = round(job["cpu_s"] + float(row["cpu_time"]), 1)
            job["max_rss_mb"] = max(job["max_rss_mb"], float(row["max_rss"]) if row["max_rss"] != "NA" else 0)
    return result


def measure(folder: Path, *, megabases: float, depth: float, lanes: int) -> dict[str, Any]:
    """Return the figures of all ways."""
    reference = folder / f"{NAME}.fa"
    bases = int(megabases * 1e6)
    write_reference(reference, bases=bases, seed=11)
    pairs = int(bases * depth / 300)
    reads = write_reads(reference, folder, pairs=pairs, seed=11)
    figures: dict[str, Any] = {"reads": 2 * pairs}
    cram: Path | None = None
    for way, number in (("copies", 1), ("stream", 1), ("stream, lanes", lanes)):
        place = folder / way.replace(", ", "_")
        place.mkdir()
        delivery = deliver(place / "D", reads, lanes=number)
        home = workspace(place / "W", reference)
        align = f"{sys.executable} {' '.join(SNAKEMAKE)} --directory {home} --config delivery="
        received = f"baekman receive {delivery} --workspace {home} >id; " if way.startswith("copies") else ""
        target = f"{align}$(ls {home}/deliveries) -- align" if received else f"{align}{delivery} -- align"
        written, cpu = accounted(received + target, place)
        (cram,) = home.glob("participants/*/aligned.cram")
        size = sum(path.stat().st_size for path in delivery.glob("*.gz"))
        figures[way] = {
            "delivered": size,
            "cram": cram.stat().st_size,
            "written": written,
            "written_per_delivered": round(written / size, 2),
            "cpu_s": round(cpu, 1),
            "reads_per_cpu_s": round(2 * pairs / cpu),
            "jobs": jobs_of(home),
        }
    assert cram is not None
    sort = f"samtools sort -m 8M -u -T {folder}/spill --reference {reference} {cram} >/dev/null"
    figures["spill_per_delivered"] = round(accounted(sort, folder)[0] / figures["stream"]["delivered"], 2)
    return figures


def main() -> None:
    """Run the benchmark and print its figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabases", type=float, default=2)
    options.add_argument("--depth", type=float, default=30)
    options.add_argument("--lanes", type=int, default=4)
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="baekman-intake-stream-"))
    os.environ["TMPDIR"] = str(folder)
    try:
        print(json.dumps(measure(folder, megabases=chosen.megabases, depth=chosen.depth, lanes=chosen.lanes), indent=1))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
