"""A workspace with made-up deliveries, and Snakemake's plans for them."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pysam
from baekman import pseudonyms
from baekman.verdicts import write_verdicts
from baekman.workspace import specimens
from support import PROJECT
from support.servers import forks

MOMENT = 1_700_000_000  # the time of every made-up file: none is newer than another
CONTIG = "ACGTTGCATGCC" * 100

_JOB = re.compile(r"^(\w+) +(\d+)$", re.M)
_OUTPUT = re.compile(r"^    output: (.+)$", re.M)


@dataclass(frozen=True)
class Plan:
    """The jobs that a dry run plans, their outputs, and all its messages."""

    jobs: Counter[str]
    outputs: frozenset[str]
    text: str


@dataclass
class PlannedWorkspace:
    """A workspace with deliveries of empty files."""

    folder: Path
    config: str = "reference: genome.fa\nqc_thresholds: thresholds.yaml\n"
    deliveries: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "genome.fa").write_text(f">chr1\n{CONTIG}\n", encoding="ascii")
        pysam.faidx(str(self.folder / "genome.fa"))
        (self.folder / "thresholds.yaml").write_text("{}\n", encoding="utf-8")
        for name in ("genome.fa", "thresholds.yaml"):
            os.utime(self.folder / name, (MOMENT, MOMENT))
        self.configure(self.config)

    def configure(self, text: str) -> None:
        """Write ``config.yaml``."""
        (self.folder / "config.yaml").write_text(text, encoding="utf-8")

    def receive(self, *entries: str) -> str:
        """Write a delivery as intake leaves it, with one participant per entry; return its ID."""
        delivery = pseudonyms.new("D")
        home = self.folder / "deliveries" / delivery
        rows = []
        for entry in entries:
            participant = pseudonyms.new("P")
            staged = home / "staged" / participant
            staged.mkdir(parents=True)
            lanes = ("L1", "L2") if entry == "two_lanes" else ("L1",)
            for lane in lanes:
                kind = "fastq" if entry == "two_lanes" else entry
                names = [f"{lane}.1.{kind}", f"{lane}.2.{kind}"] if kind == "fastq" else [f"{lane}.{kind}"]
                for name in names:
                    (staged / name).touch()
                    os.utime(staged / name, (MOMENT, MOMENT))
                paths = [str((staged / name).relative_to(self.folder)) for name in names]
                rows.append(
                    specimens.StagedFiles(
                        participant_id=participant,
                        specimen_id=pseudonyms.new("S"),
                        entry=kind,
                        lane=lane,
                        file_1=paths[0],
                        file_2=paths[1] if len(paths) > 1 else "",
                        sex="female",
                        array_genotypes="",
                    )
                )
        specimens.write(home / "specimens.tsv", rows)
        (home / "delivery.json").write_text("{}", encoding="utf-8")
        write_verdicts(home / "verdicts" / "intake.json", [])
        self.deliveries[delivery] = sorted({row.participant_id for row in rows})
        return delivery

    def accept(self, delivery: str, *, number: int | None = None) -> None:
        """Write the checkpoint's list with the first ``number`` participants, or all."""
        chosen = self.deliveries[delivery][:number]
        lines = [f"{participant}\tparticipants/{participant}/calls.g.vcf.gz\tfemale\n" for participant in chosen]
        listed = self.folder / "deliveries" / delivery / "accepted.tsv"
        listed.write_text("".join(lines), encoding="utf-8")
        os.utime(listed, (MOMENT, MOMENT))

    def plan(self, delivery: str, *targets: str, options: tuple[str, ...] = ()) -> Plan:
        """Return the plan of a dry run for the delivery (an ID, or a folder)."""
        text = self.snakemake("-n", *options, "--config", f"delivery={delivery}", "--", *targets)
        table = text.rsplit("Job stats:", 1)[-1].split("\n\n", 1)[0] if "Job stats:" in text else ""
        outputs = [path.removesuffix(" (update)") for line in _OUTPUT.findall(text) for path in line.split(", ")]
        jobs = Counter({rule: int(number) for rule, number in _JOB.findall(table) if rule != "total"})
        return Plan(jobs=jobs, outputs=frozenset(outputs), text=text)

    def finish(self, delivery: str) -> None:
        """Make every output of the delivery: files without content, and Snakemake's records."""
        self._make(self.plan(delivery, "qc"))
        self.accept(delivery)
        self._make(self.plan(delivery))
        self.snakemake("--touch", "--forceall", "--notemp", "--cores", "1", "--config", f"delivery={delivery}")

    def snakemake(self, *arguments: str) -> str:
        """Run Snakemake here; return its messages. Raise AssertionError when it fails."""
        fixed = ("--snakefile", str(PROJECT / "Snakefile"), "--directory", str(self.folder), "--nocolor")
        environment = {**os.environ, "PWD": str(self.folder)}
        done = forks.run("snakemake", [*fixed, *arguments], folder=self.folder, environment=environment)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        return text

    def _make(self, plan: Plan) -> None:
        for output in sorted(plan.outputs):
            self.touch(self.folder / output)

    def touch(self, path: Path) -> None:
        """Write an empty file, as old as all others."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (MOMENT, MOMENT))
