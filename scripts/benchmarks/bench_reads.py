#!/usr/bin/env python3
"""CPU of one delivery, from its files to its table, against plain commands on the same reads.

Example: scripts/benchmarks/bench_reads.py --megabases 12 --depth 30

Makes a reference with repeats and reads of one person (wgsim), sends them through a new workspace with
``baekman deliver``, and runs ``bwa mem | samtools fixmate | sort | markdup``, ``index`` and
``bcftools mpileup | call -g`` on the same files. CPU is the user and system time of every process. The aligner's index
is made once per workspace: it is in neither sum. ``--plain-aligner`` gives the plain commands another aligner than the
delivery has. Last line: the ratio.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pysam
from baekman.align.aligners import Aligner, read_group
from baekman.tables.files import table_path
from real_deliveries import Delivered, prepare, send

CONTIG, NAME, LABEL = "chr20", "bench", "NA12878"  # the label is of no real reads here
READ, FRAGMENT, DEVIATION = 150, 400, 60
THRESHOLDS = """\
metrics:
  mean_autosome_coverage: {hold_below: null, reject_below: null}
  pct_autosomes_15x: {hold_below: null}
  pct_autosomes_20x: {hold_below: null}
"""
IUPAC = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}
# shares of base qualities as a NovaSeq writes them
QUALITIES = {"F": 0.90, ":": 0.07, ",": 0.03}


def write_reference(path: Path, *, bases: int, seed: int) -> None:
    """Write a contig with a twentieth of duplications (5 kb, 2 % apart) and a tenth of interspersed repeats (300 b)."""
    rng = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", np.uint8)
    sequence = letters[rng.choice(4, bases, p=[0.3, 0.2, 0.2, 0.3])]
    element = letters[rng.integers(0, 4, 300)]

    def place(copy: np.ndarray, divergence: float) -> None:
        changed = rng.random(len(copy)) < divergence
        at = int(rng.integers(0, bases - len(copy)))
        sequence[at : at + len(copy)] = np.where(changed, letters[rng.integers(0, 4, len(copy))], copy)

    for _ in range(bases // 20 // 5000):
        source = int(rng.integers(0, bases - 5000))
        place(sequence[source : source + 5000].copy(), 0.02)
    for _ in range(bases // 10 // 300):
        place(element, 0.1)
    text = sequence.tobytes().decode()
    lines = (text[at : at + 80] for at in range(0, bases, 80))
    path.write_text(f">{CONTIG}\n" + "\n".join(lines) + "\n", encoding="ascii")
    pysam.faidx(str(path))


def write_reads(reference: Path, folder: Path, *, pairs: int, seed: int) -> list[Path]:
    """Write the FASTQ files of one person: wgsim's bases, and qualities in three bins."""
    plain = [folder / f"plain_{mate}.fq" for mate in (1, 2)]
    options = ["-S", str(seed), "-N", str(pairs), "-1", str(READ), "-2", str(READ)]
    options += ["-d", str(FRAGMENT), "-s", str(DEVIATION), "-e", "0.003", "-r", "0.001", "-R", "0.12"]
    with (folder / "truth.txt").open("wb") as truth:
        subprocess.run(["wgsim", *options, reference, *plain], check=True, stdout=truth, stderr=subprocess.DEVNULL)
    rng = np.random.default_rng(seed)
    letters = np.frombuffer("".join(QUALITIES).encode(), np.uint8)
    written = []
    for mate, source in enumerate(plain, start=1):
        path = folder / f"reads_R{mate}.fastq.gz"
        with source.open("rb") as lines, gzip.open(path, "wb", compresslevel=1) as sink:
            while name := lines.readline():
                bases = lines.readline()
                lines.readline(), lines.readline()
                quality = letters[rng.choice(3, len(bases) - 1, p=list(QUALITIES.values()))].tobytes()
                sink.write(name.split(b"/")[0] + b"/%d\n" % mate + bases + b"+\n" + quality + b"\n")
        source.unlink()
        written.append(path)
    return written


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Run ``work``; return the CPU seconds of its child processes and the seconds that passed."""
    began, at = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    work()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime, time.monotonic() - at


def shell(text: str, folder: Path) -> Callable[[], object]:
    """Return the run of a shell command in ``folder``."""
    return lambda: subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {text}"], check=True, cwd=folder, stderr=subprocess.DEVNULL
    )


def plain_commands(reference: Path, reads: Sequence[Path], folder: Path, aligner: Aligner) -> dict[str, float]:
    """Run the plain commands; return the CPU seconds of each step."""
    words = aligner.command([str(path) for path in reads], read_group=read_group("SAMPLE", "1", "ILLUMINA"))
    align = " ".join(f"'{word}'" for word in words)
    threads = aligner.threads
    commands = {
        "align, fixmate, sort, markdup": (
            f"{align} | samtools fixmate -u -m - - | samtools sort -u -@ {threads} -T sort - "
            f"| samtools markdup -@ {threads} -O cram,version=3.0 --reference {reference} - out.cram"
        ),
        "index": "samtools index out.cram",
        "mpileup, call -g": (
            f"bcftools mpileup -a FORMAT/DP -f {reference} -Ou out.cram | bcftools call -m -g 0 -Oz -o out.g.vcf.gz"
        ),
    }
    return {name: measured(shell(text, folder))[0] for name, text in commands.items()}


def snv_accuracy(truth: Path, gvcf: Path) -> dict[str, float]:
    """Return precision and recall of genotypes of SNVs (PASS, GQ at least 20) against wgsim's list of variants."""
    expected = {}
    for line in truth.read_text().splitlines():
        _, pos, ref, alt, _ = line.split("\t")
        if "-" not in (ref, alt) and len(ref) == len(alt) == 1:
            expected[int(pos)] = frozenset(IUPAC.get(alt, alt))
    called = {}
    with pysam.VariantFile(str(gvcf)) as records:
        for record in records:
            sample = record.samples[0]
            alleles = frozenset(sample.alleles) if None not in sample.allele_indices else frozenset()
            is_snv = len(record.ref) == 1 and alleles and alleles != {record.ref} and all(map(_is_base, alleles))
            if is_snv and "PASS" in record.filter and sample["GQ"] >= 20:
                called[record.pos] = alleles
    right = sum(called.get(pos) == alleles for pos, alleles in expected.items())
    return {"snv_precision": round(right / max(1, len(called)), 4), "snv_recall": round(right / len(expected), 4)}


def _is_base(allele: str) -> bool:
    return len(allele) == 1 and allele in "ACGT"


def index_seconds(reference: Path, folder: Path, aligner: str) -> float:
    """Return the CPU seconds of the aligner's index."""
    copy = folder / "indexed.fa"
    shutil.copyfile(reference, copy)
    return measured(Aligner(name=aligner, reference=copy).write_index)[0]


def main() -> None:
    """Run the benchmark and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--megabases", type=float, default=12)
    options.add_argument("--depth", type=float, default=30)
    aligners = ("bwa", "bwa-mem2", "minimap2")
    options.add_argument("--aligner", default="bwa", choices=aligners)
    options.add_argument("--plain-aligner", choices=aligners, help="of the plain commands (that of --aligner)")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--seed", type=int, default=11)
    options.add_argument("--keep", type=Path, help="a folder for all files, which stay")
    chosen = options.parse_args()
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="baekman-bench-reads-"))
    (folder / "delivery").mkdir(parents=True)
    (folder / "plain").mkdir()
    try:
        bases = int(chosen.megabases * 1e6)
        reference = folder / f"{NAME}.fa"
        write_reference(reference, bases=bases, seed=chosen.seed)
        pairs = int(bases * chosen.depth / READ / 2)
        reads = write_reads(reference, folder / "delivery", pairs=pairs, seed=chosen.seed)
        (folder / "delivery" / "truth.txt").rename(folder / "truth.txt")
        files = [Delivered(LABEL, f"fastq_{mate}", path) for mate, path in enumerate(reads, start=1)]
        settings = f"aligner: {chosen.aligner}\nreference_name: {NAME}\n"
        prepare(folder, name="bench", reference=reference, files=files, settings=settings, thresholds=THRESHOLDS)
        run = []
        ours, seconds = measured(lambda: run.append(send(folder, files=files)))
        (workspace, participant) = run[0].workspace, run[0].participants[LABEL]
        if not table_path(workspace / "tables", participant).is_file():
            sys.exit("the specimen has no table: look at its verdicts")
        copy = workspace / "reference" / f"{NAME}.fa"
        aligner = Aligner(name=chosen.plain_aligner or chosen.aligner, reference=copy, threads=chosen.threads)
        if aligner.name != chosen.aligner:
            aligner.write_index()
        theirs = plain_commands(copy, reads, folder / "plain", aligner)
        index = index_seconds(reference, folder / "plain", chosen.aligner)
        total = sum(theirs.values())
        result = {
            "pairs": pairs,
            "deliver": round(ours - index, 1),
            "deliver_seconds": round(seconds, 1),
            "index": round(index, 1),
            "plain": {step: round(value, 1) for step, value in theirs.items()},
            "plain_sum": round(total, 1),
            **snv_accuracy(folder / "truth.txt", workspace / "participants" / participant / "calls.g.vcf.gz"),
            "ratio": round((ours - index) / total, 3),
        }
        print(json.dumps(result, indent=1))
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
