"""Tools that end early with exit code 0: the specimen is held, the others go on, and the same command finishes."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pysam
import pytest
from baekman.registry.records import open_registry
from baekman.verdicts import Verdict, merge, read_verdicts
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from support.delivery_builder import (
    INSTITUTION,
    DeliveryBuilder,
    make_workspace,
    registration,
    write_fastq,
)

BIN = Path(sys.executable).parent
BARCODES = ("A-1", "A-2", "A-3", "A-4", "A-5", "A-6")
PAIRS = 60
LENGTH = 4000
INBOX = "/srv/inbox"

# as the aligner, for the lane ``{lane}`` of the specimen with the read ``{bases}``
ALIGNER = """#!{python}
import os, subprocess, sys
if "mem" not in sys.argv:
    os.execv("{bwa}", ["bwa", *sys.argv[1:]])
lines = subprocess.run(["{bwa}", *sys.argv[1:]], stdout=subprocess.PIPE, text=True).stdout.splitlines(keepends=True)
head = [line for line in lines if line.startswith("@")]
records = lines[len(head):]
if any("{bases}" in line for line in records):
    {change}
sys.stdout.write("".join(head + records))
"""

# as freebayes, for the participant ``{participant}``
CALLER = """#!{python}
import subprocess, sys
subprocess.run(["{freebayes}", *sys.argv[1:]], check=True)
path = sys.argv[sys.argv.index("-v") + 1]
if "{participant}" in " ".join(sys.argv):
    lines = [line for line in open(path) if line.startswith("#")]
    open(path, "w").write("".join(lines))
"""

# as a tool, for the participant ``{participant}``
CRASH = """#!/bin/sh
case "$*" in *{participant}*)
  echo "it crashed" >&2
  echo "{inbox}/Hong" >&2
  echo "sent by hong@example.org" >&2
  exit 9;;
esac
exec {tool} "$@"
"""


@dataclass
class Site:
    """A workspace, and a folder of tools that comes first on PATH."""

    folder: Path
    reference: Path
    config: str = ""
    coverage: str = "{hold_below: null, reject_below: null}"
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        self.workspace = Workspace(self.folder / "W")
        (self.folder / "thresholds.yaml").write_text(
            f"metrics: {{mean_autosome_coverage: {self.coverage},"
            " pct_autosomes_15x: {hold_below: null}, pct_autosomes_20x: {hold_below: null},"
            " pct_bases_q30: {hold_below: null}, median_insert_size: {hold_below: null},"
            " pct_reads_duplicated: {hold_from: null}}\n"
        )
        more = f"qc_thresholds: {self.folder / 'thresholds.yaml'}\ncontamination_sites: null\n"
        rows = [registration(barcode, number) for number, barcode in enumerate(BARCODES, start=1)]
        make_workspace(self.workspace.root, self.reference, rows, more=more + self.config)

    def deliver(self, delivery: Path) -> tuple[int, str, list[str]]:
        """Deliver; return the exit code, the delivery's ID and the lines on stderr."""
        done = subprocess.run(
            [str(BIN / "baekman"), "deliver", str(delivery), "--workspace", str(self.workspace.root), "--cores", "2"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": f"{self.tools}:{BIN}:{os.environ['PATH']}"},
        )
        return done.returncode, done.stdout.strip(), done.stderr.splitlines()

    def accept(self, barcode: str) -> None:
        """Accept a held specimen."""
        record = open_registry(self.workspace.root).specimen(INSTITUTION, barcode)
        assert record is not None
        command = [str(BIN / "baekman"), "hold", "accept", record.specimen_id, "--reason", "enough for its purpose"]
        subprocess.run([*command, "--workspace", str(self.workspace.root)], check=True, capture_output=True)

    def verdicts(self, delivery_id: str) -> dict[str, Verdict]:
        """Return the verdict of the last gate on each specimen, by barcode."""
        registry = open_registry(self.workspace.root)
        by_id = {
            verdict.specimen_id: verdict
            for gate in ("intake", "qc", "call")
            if (self.workspace.delivery(delivery_id).path / "verdicts" / f"{gate}.json").is_file()
            for verdict in read_verdicts(self.workspace.delivery(delivery_id).path / "verdicts" / f"{gate}.json")
        }
        records = {barcode: registry.specimen(INSTITUTION, barcode) for barcode in BARCODES}
        return {
            barcode: by_id[record.specimen_id]
            for barcode, record in records.items()
            if record is not None and record.specimen_id in by_id
        }

    def participant(self, barcode: str) -> str:
        """Return the participant of a specimen."""
        record = open_registry(self.workspace.root).specimen(INSTITUTION, barcode)
        assert record is not None
        return record.participant_id

    def added(self, delivery_id: str) -> set[str]:
        """Return the participants of the delivery that are in the cohort."""
        return set(json.loads(self.workspace.delivery(delivery_id).batch.read_text())["participants"])

    def returned(self) -> dict[str, tuple[str, list[tuple[str, Any, Any]]]]:
        """Return the verdict of each specimen in the return report, with code, observed and expected of reasons."""
        report = json.loads(next(self.workspace.returned.glob("*/*/return.json")).read_text())
        return {
            specimen["specimen"]: (
                specimen["verdict"],
                [
                    (reason["code"], reason["observed"], reason["threshold"])
                    for reason in specimen["reasons"]
                    if reason["severity"] != "note"
                ],
            )
            for specimen in report["specimens"]
        }

    def install(self, name: str, text: str) -> None:
        """Write a program under the name of a tool."""
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a reference of one contig."""
    folder = tmp_path_factory.mktemp("genome")
    sequence = "".join(random.Random(7).choices("ACGT", k=LENGTH))
    (folder / "tiny.fa").write_text(f">chr1\n{sequence}\n")
    pysam.faidx(str(folder / "tiny.fa"))
    return folder / "tiny.fa"


def lane_of(genome: Path, seed: int, pairs: int = PAIRS) -> tuple[str, str]:
    """Return the text of two FASTQ files with pairs of the reference, evenly along it."""
    sequence = pysam.FastaFile(str(genome)).fetch("chr1")
    reverse = str.maketrans("ACGT", "TGCA")
    texts = ["", ""]
    for number in range(pairs):
        start = (number * 61 * PAIRS // pairs + seed * 7) % (LENGTH - 350)
        mates = (sequence[start : start + 100], sequence[start + 200 : start + 300].translate(reverse)[::-1])
        for mate, bases in enumerate(mates):
            texts[mate] += f"@R{seed}:{number}\n{bases}\n+\n{'I' * 100}\n"
    return texts[0], texts[1]


LANES = (("A-1", "X"), ("A-1", "Y"), ("A-2", "X"))


def delivery_of(
    site: Site, name: str, lanes: Sequence[tuple[str, str]] = LANES, *, few: Sequence[str] = ()
) -> tuple[Path, str]:
    """Write a delivery with these lanes; return it and the first read of A-1's second lane.

    Specimens of ``few`` have half the reads.
    """
    builder = DeliveryBuilder(site.folder / name, site.reference, name=name)
    for number, (barcode, lane) in enumerate(lanes):
        for mate, text in enumerate(lane_of(site.reference, number, PAIRS // 2 if barcode in few else PAIRS), start=1):
            file = f"{barcode}_{lane}_R{mate}.fastq.gz"
            write_fastq(builder.folder / file, text)
            builder.add(barcode, file, f"fastq_{mate}", lane)
    return builder.finish(), lane_of(site.reference, 1)[0].splitlines()[1]


# the fault of each specimen, and the code of its reason
FAULTS = {
    "A-1": "reads_lost",  # the aligner loses reads of its second lane
    "A-2": "",
    "A-3": "not_processed",  # mosdepth crashes
    "A-4": "not_processed",  # freebayes crashes
    "A-5": "calls_incomplete",  # freebayes ends early
    "A-6": "low_coverage",  # half the reads; a person accepts it
}


def break_tools(site: Site, bases: str) -> None:
    """Install tools that fail for the specimens of ``FAULTS``; ``bases`` is a read of A-1's second lane."""
    python = sys.executable
    change = f"records = records[:{PAIRS}]"
    site.install("bwa", ALIGNER.format(python=python, bwa=shutil.which("bwa"), bases=bases, change=change))
    early = CALLER.format(python=python, freebayes=shutil.which("freebayes"), participant=site.participant("A-5"))
    site.install("freebayes-early", early)
    for barcode, tool, program in (
        ("A-3", "mosdepth", shutil.which("mosdepth")),
        ("A-4", "freebayes", site.tools / "freebayes-early"),
    ):
        crash = CRASH.format(participant=site.participant(barcode), tool=program, inbox=INBOX)
        site.install(tool, crash)


def check_held(site: Site, delivery_id: str, messages: list[str]) -> None:
    """Assert that each specimen is held for its own fault, in verdicts, return report and messages."""
    assert f"delivery {delivery_id}: 1 accepted, 5 held, 0 rejected" in messages
    verdicts, returned = site.verdicts(delivery_id), site.returned()
    people = {barcode: site.participant(barcode) for barcode in FAULTS}
    assert {barcode: verdict for barcode, (verdict, _) in returned.items()} == {
        barcode: "hold" if code else "accept" for barcode, code in FAULTS.items()
    }
    lost = verdicts["A-1"].reasons[0]
    assert (lost.code, lost.severity, lost.observed, lost.threshold) == ("reads_lost", "hold", 3 * PAIRS, 4 * PAIRS)
    assert returned["A-1"][1] == [("reads_lost", 3 * PAIRS, 4 * PAIRS)]
    assert verdicts["A-2"].verdict == "accept" and returned["A-2"][1] == []
    for barcode, gate, rule in (("A-3", "qc", "depth"), ("A-4", "call", "call_piece")):
        (reason,) = verdicts[barcode].reasons
        assert (verdicts[barcode].gate, reason.code, reason.severity) == (gate, "not_processed", "hold")
        assert reason.observed == rule and returned[barcode] == ("hold", [("not_processed", rule, None)])
        assert f"not processed: {people[barcode]}: {rule} failed" in "\n".join(messages)
    assert "2 specimens not processed: mend the cause and run the same command again" in "\n".join(messages)
    (reason,) = verdicts["A-5"].reasons
    assert (reason.code, reason.severity) == ("calls_incomplete", "hold")
    assert str(reason.observed).startswith("none in chr1:") and str(reason.observed).endswith(f"-{LENGTH}")
    assert returned["A-5"][1] == [("calls_incomplete", reason.observed, reason.threshold)]
    with (site.workspace.delivery(delivery_id).report / "verdicts.tsv").open() as lines:
        held = [row["code"] for row in csv.DictReader(lines, delimiter="\t") if row["severity"] == "hold"]
    assert sorted(held) == sorted(filter(None, FAULTS.values()))
    assert site.added(delivery_id) == {people["A-2"]}


def check_log_of_failures(site: Site, delivery_id: str) -> None:
    """Assert that the log is for the receiver only, without names of people and of folders."""
    page = (site.workspace.delivery(delivery_id).report / "verdicts.html").read_text()
    assert page.count("it crashed") == 2 and "hong" not in page.lower() and INBOX not in page
    assert "it crashed" not in next(site.workspace.returned.glob("*/*/return.html")).read_text()


def finished(site: Site) -> dict[Path, int]:
    """Return the times of the files that the next run does not make again."""
    folders = {barcode: site.workspace.participant(site.participant(barcode)).path for barcode in FAULTS}
    alignments = [folders[barcode] / "aligned.cram" for barcode in list(FAULTS)[1:]]
    measures = [file for barcode in ("A-5", "A-6") for file in folders[barcode].glob("qc/*")]
    return {file: file.stat().st_mtime_ns for file in (*alignments, *measures, *folders["A-2"].rglob("*.*"))}


def test_tools_that_fail_hold_their_own_specimens_and_the_same_command_finishes(genome: Path, tmp_path: Path) -> None:
    """Tools lose reads, end early or crash for a specimen each, and a person accepts one that the QC gate holds."""
    site = Site(tmp_path, genome, config="caller: freebayes\n", coverage="{hold_below: 2, reject_below: null}")
    lanes = [("A-1", "X"), ("A-1", "Y"), *((barcode, "X") for barcode in list(FAULTS)[1:])]
    delivery, bases = delivery_of(site, "D-1", lanes, few=("A-6",))
    break_tools(site, bases)
    code, delivery_id, messages = site.deliver(delivery)
    assert code == 0, messages
    check_held(site, delivery_id, messages)
    check_log_of_failures(site, delivery_id)
    # only a job that failed needs staged files again
    staged = {file.parent.name for file in site.workspace.delivery(delivery_id).staged.rglob("*") if file.is_file()}
    assert staged <= {site.participant(barcode) for barcode, code in FAULTS.items() if code == "not_processed"}
    before = finished(site)
    site.accept("A-6")
    for tool in ("bwa", "mosdepth", "freebayes"):
        (site.tools / tool).unlink()

    code, _, messages = site.deliver(delivery)
    assert code == 0, messages
    assert f"delivery {delivery_id}: 6 accepted, 0 held, 0 rejected" in messages
    assert set(merge(site.verdicts(delivery_id).values()).values()) == {"accept"}
    assert {verdict for verdict, _ in site.returned().values()} == {"accept"}
    assert any("accept  qc      decided by" in message for message in messages)
    assert site.added(delivery_id) == {site.participant(barcode) for barcode in FAULTS}
    home = site.workspace.delivery(delivery_id)
    assert set(json.loads((home.report / "tables.json").read_text())["tables"]) == site.added(delivery_id)
    rows = [(row.entry, row.records) for row in specimens.read(home.specimens)]
    assert sorted(rows) == [("aligned", PAIRS), *[("aligned", 2 * PAIRS)] * 6]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert not list(home.failures.iterdir()) and not home.staged.exists()

    code, _, messages = site.deliver(delivery)
    assert (code, "nothing to do: everything is there" in messages) == (0, True), messages


def test_after_a_change_of_the_aligner_the_delivered_reads_are_aligned_again(genome: Path, tmp_path: Path) -> None:
    site = Site(tmp_path, genome)
    delivery, _ = delivery_of(site, "D-1")
    bwa, change = shutil.which("bwa"), "records += records[:10]"
    site.install("bwa", ALIGNER.format(python=sys.executable, bwa=bwa, bases="", change=change))
    code, delivery_id, messages = site.deliver(delivery)
    assert code == 0 and f"delivery {delivery_id}: 0 accepted, 2 held, 0 rejected" in messages, messages
    for barcode, lanes in (("A-1", 2), ("A-2", 1)):
        reason = site.verdicts(delivery_id)[barcode].reasons[0]
        reads = 2 * PAIRS * lanes
        assert (reason.code, reason.observed, reason.threshold) == ("reads_lost", reads + 10 * lanes, reads)
    assert not list(site.workspace.deliveries.glob("*/staged"))
    with (site.workspace.root / "config.yaml").open("a") as config:
        config.write("aligner: minimap2\n")
    code, _, messages = site.deliver(delivery)
    assert code == 0 and f"delivery {delivery_id}: 2 accepted, 0 held, 0 rejected" in messages, messages
    for barcode in ("A-1", "A-2"):
        with pysam.AlignmentFile(str(site.workspace.participant(site.participant(barcode)).cram)) as cram:
            assert next(program["PN"] for program in cram.header.to_dict()["PG"]) == "minimap2"
