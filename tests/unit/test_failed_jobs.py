"""Failed jobs: those of one specimen, and what stops everybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman import pseudonyms
from baekman.failed_jobs import LEFT_OUT, Assessment, alike, assess
from baekman.workflow_run import FailedJob, WorkflowRun
from baekman.workspace import specimens
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.runs.failures import Failure, clear_failures, read_failures, write_failures
from support.delivery_builder import INSTITUTION, make_workspace, registration, write_reference

ENTRIES = ("fastq", "bam", "gvcf")


@pytest.fixture
def folder(tmp_path: Path) -> DeliveryFolder:
    """Return the folder of a delivery of three participants, one for each of ``ENTRIES``."""
    folder = Workspace(tmp_path).delivery(pseudonyms.new("D"))
    folder.path.mkdir(parents=True)
    rows = [
        specimens.StagedFiles(
            participant_id=pseudonyms.new("P"),
            specimen_id=pseudonyms.new("S"),
            entry=entry,
            lane="L1",
            file_1="x",
            file_2="",
            sex="female",
            array_genotypes="",
        )
        for entry in ENTRIES
    ]
    specimens.write(folder.specimens, rows)
    return folder


def people(folder: DeliveryFolder) -> dict[str, str]:
    """Return the participants by entry."""
    return {row.entry: row.participant_id for row in specimens.read(folder.specimens)}


def run_of(*jobs: tuple[str, str, str], folder: DeliveryFolder, has_ended: bool = True) -> WorkflowRun:
    """Return a run in which jobs failed: rule, participant and the text of its log."""
    root = folder.path.parent.parent
    failed = {}
    for number, (rule, participant, text) in enumerate(jobs):
        log = Path("logs") / rule / f"{number}.log"
        (root / log).parent.mkdir(parents=True, exist_ok=True)
        (root / log).write_text(text)
        failed[number] = FailedJob(rule=rule, log=str(log), participant=participant)
    return WorkflowRun(failed=failed, exit_code=1, has_ended=has_ended)


def assessed(run: WorkflowRun, folder: DeliveryFolder) -> Assessment:
    """Return the assessment of ``run``."""
    return assess(run, workspace=Workspace(folder.path.parent.parent), folder=folder)


def test_a_job_of_one_specimen_stops_nobody_and_holds_it_at_its_gate(folder: DeliveryFolder) -> None:
    own = people(folder)
    run = run_of(("gather_calls", own["gvcf"], "a"), ("call_piece", own["bam"], "b"), folder=folder)
    found = assessed(run, folder)
    assert (found.stops_all, found.leaves_nobody, found.cause) == (False, False, "")
    assert {failure.participant_id: (failure.gate, failure.rule) for failure in found.failures} == {
        own["gvcf"]: ("qc", "gather_calls"),
        own["bam"]: ("call", "call_piece"),
    }
    write_failures(folder, found.failures)
    # with the third nobody is left
    assert assessed(run_of(("align_reads", own["fastq"], ""), folder=folder), folder).leaves_nobody
    clear_failures(folder, ("qc",))
    assert list(read_failures(folder)) == [own["bam"]]


def test_an_interruption_is_no_failure_of_a_specimen(folder: DeliveryFolder) -> None:
    run = run_of(("align_reads", people(folder)["fastq"], "killed"), folder=folder, has_ended=False)
    assert assessed(run, folder).stops_all


def test_a_step_that_all_share_stops_everybody(folder: DeliveryFolder) -> None:
    run = run_of(("align_reads", people(folder)["fastq"], ""), ("aligner_index", "", "no"), folder=folder)
    assert assessed(run, folder).stops_all


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("samtools: error closing output: No space left on device", "make room"),
        ("OSError: [Errno 122] Disk quota exceeded", "make room"),
        ("bash: line 1: mosdepth: command not found", "baekman doctor"),
        ("refused: PATH: expected bwa, found none; install it (envs/apt.txt on Debian, …)", "baekman doctor"),
        ("OSError: [Errno 30] Read-only file system: 'x'", "read-only"),
    ],
)
def test_a_cause_of_the_machine_holds_no_specimen(folder: DeliveryFolder, text: str, words: str) -> None:
    found = assessed(run_of(("depth", people(folder)["fastq"], f"{text}\n"), folder=folder), folder)
    assert found.stops_all and words in found.cause


def test_one_error_of_many_specimens_is_shown_once(tmp_path: Path) -> None:
    failures = [
        Failure(participant_id=pseudonyms.new("P"), gate="qc", rule="depth", lines=("x", f"pid {number}: crashed"))
        for number in range(5)
    ]
    other = Failure(participant_id=pseudonyms.new("P"), gate="qc", rule="metrics", lines=("pid 7: crashed",))
    first, second = alike([other, *failures], Workspace(tmp_path))
    assert (first.rule, first.count, len(first.participants)) == ("depth", 5, 5)
    assert (second.rule, second.count) == ("metrics", 1)


def test_the_lines_of_a_log_name_nobody(tmp_path: Path) -> None:
    root = tmp_path / "W"
    registry = make_workspace(root, write_reference(tmp_path), [registration("A-1", 1)])
    record = registry.specimen(INSTITUTION, "A-1")
    assert record is not None
    folder = Workspace(root).delivery(pseudonyms.new("D"))
    barcode, secret = "A-10001", next(text for text in registry.identifiers_of(record) if len(text) > 6)
    text = (
        f"{root.resolve()}/participants/x failed\n'/inbox/Han bit/A.bam' and /dev/shm/B.bam: lost in /dev/stdout\n"
        f"{secret} is in it\nsent by hong@example.org\n{barcode}\n"
    )
    run = run_of(("inspect", record.participant_id, text), folder=folder)
    found = assess(run, workspace=Workspace(root), folder=folder, gate="intake", participants=[record.participant_id])
    assert found.failures[0].lines == (
        "participants/x failed",
        "'…' and …: lost in /dev/stdout",
        LEFT_OUT,
        LEFT_OUT,
        barcode,
    )
