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
BARCODES = ("A-1", "A-2", "A-3")
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
        rows = [registration(f"A-{number}", number) for number in (1, 2, 3)]
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


def lane_of(genome: Path, seed: int) -> tuple[str, str]:
    """Return the text of two FASTQ files with pairs of the reference, evenly along it."""
    sequence = pysam.FastaFile(str(genome)).fetch("chr1")
    reverse = str.maketrans("ACGT", "TGCA")
    texts = ["", ""]
    for number in range(PAIRS):
        start = (number * 61 + seed * 7) % (LENGTH - 350)
        mates = (sequence[start : start + 100], sequence[start + 200 : start + 300].translate(reverse)[::-1])
        for mate, bases in enumerate(mates):
            texts[mate] += f"@R{seed}:{number}\n{bases}\n+\n{'I' * 100}\n"
    return texts[0], texts[1]


LANES = (("A-1", "X"), ("A-1", "Y"), ("A-2", "X"))


def delivery_of(site: Site, name: str, lanes: Sequence[tuple[str, str]] = LANES) -> tuple[Path, str]:
    """Write a delivery with these lanes; return it and the first read of A-1's second lane."""
    builder = DeliveryBuilder(site.folder / name, site.reference, name=name)
    for number, (barcode, lane) in enumerate(lanes):
        for mate, text in enumerate(lane_of(site.reference, number), start=1):
            file = f"{barcode}_{lane}_R{mate}.fastq.gz"
            write_fastq(builder.folder / file, text)
            builder.add(barcode, file, f"fastq_{mate}", lane)
    return builder.finish(), lane_of(site.reference, 1)[0].splitlines()[1]


def test_an_aligner_that_loses_reads_of_a_lane_holds_its_specimen(genome: Path, tmp_path: Path) -> None:
    site = Site(tmp_path, genome)
    delivery, bases = delivery_of(site, "D-1")
    bwa = shutil.which("bwa")
    change, observed = f"records = records[:{PAIRS}]", 3 * PAIRS
    site.install("bwa", ALIGNER.format(python=sys.executable, bwa=bwa, bases=bases, change=change))
    code, delivery_id, messages = site.deliver(delivery)
    assert code == 0, messages
    verdicts = site.verdicts(delivery_id)
    assert [(reason.code, reason.severity, reason.observed, reason.threshold) for reason in verdicts["A-1"].reasons][
        :1
    ] == [("reads_lost", "hold", observed, 4 * PAIRS)]
    assert verdicts["A-2"].verdict == "accept"
    assert site.added(delivery_id) == {site.participant("A-2")}
    assert site.returned() == {"A-1": ("hold", [("reads_lost", observed, 4 * PAIRS)]), "A-2": ("accept", [])}
    with (site.workspace.delivery(delivery_id).report / "verdicts.tsv").open() as lines:
        assert [row["code"] for row in csv.DictReader(lines, delimiter="\t") if row["severity"] == "hold"] == [
            "reads_lost"
        ]
    (site.tools / "bwa").unlink()
    assert not list(site.workspace.deliveries.glob("*/staged"))
    finished = site.workspace.participant(site.participant("A-2")).cram.stat().st_mtime_ns
    code, _, messages = site.deliver(delivery)
    assert code == 0, messages
    decisions = merge(site.verdicts(delivery_id).values())
    assert set(decisions.values()) == {"accept"}
    assert site.added(delivery_id) == {site.participant("A-1"), site.participant("A-2")}
    assert {verdict for verdict, _ in site.returned().values()} == {"accept"}
    tables = json.loads((site.workspace.delivery(delivery_id).report / "tables.json").read_text())
    assert set(tables["tables"]) == site.added(delivery_id)
    rows = specimens.read(site.workspace.delivery(delivery_id).specimens)
    assert [(row.entry, row.records) for row in rows] == [("aligned", 2 * PAIRS)] * 3
    # only the specimen without an alignment was aligned again
    assert site.workspace.participant(site.participant("A-2")).cram.stat().st_mtime_ns == finished


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
    with (site.workspace.root / "config.yaml").open("a") as config:
        config.write("aligner: minimap2\n")
    code, _, messages = site.deliver(delivery)
    assert code == 0 and f"delivery {delivery_id}: 2 accepted, 0 held, 0 rejected" in messages, messages
    for barcode in ("A-1", "A-2"):
        with pysam.AlignmentFile(str(site.workspace.participant(site.participant(barcode)).cram)) as cram:
            assert next(program["PN"] for program in cram.header.to_dict()["PG"]) == "minimap2"


def test_a_caller_that_ends_early_and_a_person_hold_and_release_their_specimens(genome: Path, tmp_path: Path) -> None:
    site = Site(tmp_path, genome, config="caller: freebayes\n", coverage="{hold_below: 5, reject_below: null}")
    delivery, _ = delivery_of(site, "D-1", LANES[:3])  # A-2 has half the reads
    freebayes = shutil.which("freebayes")
    held = site.participant("A-1")
    site.install("freebayes", CALLER.format(python=sys.executable, freebayes=freebayes, participant=held))
    code, delivery_id, messages = site.deliver(delivery)
    assert code == 0, messages
    assert f"delivery {delivery_id}: 0 accepted, 2 held, 0 rejected" in messages
    (reason,) = site.verdicts(delivery_id)["A-1"].reasons
    assert (reason.code, reason.severity) == ("calls_incomplete", "hold")
    assert str(reason.observed).startswith("none in chr1:") and str(reason.observed).endswith(f"-{LENGTH}")
    assert site.added(delivery_id) == set()
    assert {barcode: verdict for barcode, (verdict, _) in site.returned().items()} == {"A-1": "hold", "A-2": "hold"}
    assert site.returned()["A-1"][1] == [("calls_incomplete", reason.observed, reason.threshold)]
    files = [site.workspace.participant(site.participant(barcode)).path for barcode in ("A-1", "A-2")]
    made = {
        file: file.stat().st_mtime_ns for folder in files for file in (*folder.glob("*.cram"), *folder.glob("qc/*"))
    }
    site.accept("A-2")
    (site.tools / "freebayes").unlink()
    code, _, messages = site.deliver(delivery)
    assert code == 0, messages
    assert {verdict.verdict for verdict in site.verdicts(delivery_id).values()} == {"accept"}
    assert {verdict for verdict, _ in site.returned().values()} == {"accept"}
    assert site.added(delivery_id) == {held, site.participant("A-2")}
    assert {file: file.stat().st_mtime_ns for file in made} == made  # only calls are made
    assert any("accept  qc      decided by" in message for message in messages)
    code, _, messages = site.deliver(delivery)
    assert (code, "nothing to do: everything is there" in messages) == (0, True), messages


def test_a_specimen_of_which_a_job_fails_stops_nobody_and_is_tried_again(genome: Path, tmp_path: Path) -> None:
    site = Site(tmp_path, genome, config="caller: freebayes\n")
    delivery, _ = delivery_of(site, "D-1", [*LANES, ("A-3", "X")])
    people = {barcode: site.participant(barcode) for barcode in BARCODES}
    for barcode, tool in (("A-1", "mosdepth"), ("A-2", "freebayes")):
        crash = CRASH.format(participant=people[barcode], tool=shutil.which(tool), inbox=INBOX)
        site.install(tool, crash)
    code, delivery_id, messages = site.deliver(delivery)
    assert code == 0, messages
    assert f"delivery {delivery_id}: 1 accepted, 2 held, 0 rejected" in messages
    verdicts = site.verdicts(delivery_id)
    for barcode, gate, rule in (("A-1", "qc", "depth"), ("A-2", "call", "call_piece")):
        (reason,) = verdicts[barcode].reasons
        assert (verdicts[barcode].gate, reason.code, reason.severity) == (gate, "not_processed", "hold")
        assert reason.observed == rule and site.returned()[barcode] == ("hold", [("not_processed", rule, None)])
        assert f"not processed: {people[barcode]}: {rule} failed" in "\n".join(messages)
    assert "2 specimens not processed: mend the cause and run the same command again" in "\n".join(messages)
    assert site.added(delivery_id) == {people["A-3"]}
    # the log is for the receiver only, without names of people and of folders
    home = site.workspace.delivery(delivery_id)
    page = (home.report / "verdicts.html").read_text()
    assert page.count("it crashed") == 2 and "hong" not in page.lower() and INBOX not in page
    assert "it crashed" not in next(site.workspace.returned.glob("*/*/return.html")).read_text()
    for tool in ("mosdepth", "freebayes"):
        (site.tools / tool).unlink()
    made = [*site.workspace.participants.rglob("*.cram"), *site.workspace.participant(people["A-3"]).path.rglob("*.*")]
    times = [path.stat().st_mtime_ns for path in made]
    code, _, messages = site.deliver(delivery)
    assert code == 0, messages
    assert f"delivery {delivery_id}: 3 accepted, 0 held, 0 rejected" in messages
    assert site.added(delivery_id) == {*people.values()}
    assert {verdict for verdict, _ in site.returned().values()} == {"accept"}
    assert [path.stat().st_mtime_ns for path in made] == times
    assert not list(home.failures.iterdir()) and not home.staged.exists()
