"""Snakemake's plans: for one delivery, for the next, after a change of the configuration, and after a failure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from baekman.align.aligners import INDEX_ENDINGS
from baekman.call.callers import CALLERS
from baekman.qc.metrics import Metrics, write_metrics
from baekman.verdicts import read_verdicts
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from baekman.workspace.runs.failures import read_failures
from support import PROJECT
from support.plans import MOMENT, PlannedWorkspace
from support.servers import forks

OF_DELIVERY = {
    "batch": 1,
    "write_tables": 1,
    "multiqc": 1,
    "verdict_table": 1,
    "delivery_report": 1,
    "run_manifest": 1,
    "all": 1,
}


@pytest.fixture
def workspace(tmp_path: Path) -> PlannedWorkspace:
    """Return a workspace without a delivery."""
    return PlannedWorkspace(tmp_path)


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> tuple[PlannedWorkspace, str]:
    workspace = PlannedWorkspace(tmp_path_factory.mktemp("finished"))
    delivery = workspace.receive("fastq", "gvcf")
    workspace.finish(delivery)
    return workspace, delivery


@pytest.fixture
def finished(_made: tuple[PlannedWorkspace, str]) -> tuple[PlannedWorkspace, str]:
    """Return a workspace with one finished delivery; dry runs leave it as it is."""
    workspace, delivery = _made
    workspace.configure(workspace.config)
    return workspace, delivery


def test_a_new_delivery_is_planned_up_to_the_gate_and_beyond_it(workspace: PlannedWorkspace) -> None:
    delivery = workspace.receive("two_lanes", "fastq", "cram", "bam", "gvcf")
    jobs = workspace.plan(delivery).jobs
    assert jobs == {
        "reference": 1,
        "aligner_index": 1,
        "align_reads": 4,
        "alignment_statistics": 4,
        "depth": 4,
        "gather_calls": 1,
        "metrics": 5,
        "verdicts": 1,
        **OF_DELIVERY,
    }


def test_target_regions_are_cut_once_and_a_change_of_them_calls_again(
    finished: tuple[PlannedWorkspace, str],
) -> None:
    workspace, delivery = finished
    bed = workspace.folder / "targets.bed"
    bed.write_text("chr1\t10\t200\n", encoding="ascii")
    os.utime(bed, (MOMENT, MOMENT))
    workspace.configure(workspace.config + "target_regions: targets.bed\n")
    jobs = workspace.plan(delivery).jobs
    assert {rule: jobs[rule] for rule in ("targets", "depth", "metrics", "align_reads")} == {
        "targets": 1,
        "depth": 1,
        "metrics": 1,
        "align_reads": 0,
    }


def test_the_aligners_index_is_made_only_for_reads_that_are_aligned(workspace: PlannedWorkspace) -> None:
    workspace.configure(workspace.config + "aligned_input: accept\n")
    jobs = workspace.plan(workspace.receive("cram", "bam"), "align").jobs
    assert jobs["align_reads"] == 2
    assert "aligner_index" not in jobs
    assert workspace.plan(workspace.receive("cram", "fastq"), "align").jobs["aligner_index"] == 1


def test_after_the_gate_only_accepted_participants_are_called(workspace: PlannedWorkspace) -> None:
    delivery = workspace.receive("fastq", "fastq", "fastq")
    workspace._make(workspace.plan(delivery, "qc"))
    workspace.accept(delivery, number=2)
    jobs = workspace.plan(delivery, "call").jobs
    assert jobs == {"call_piece": 2, "gather_calls": 2, "call": 1}


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("align", "align_reads"),
        ("qc", "verdicts"),
        ("cohort", "batch"),
        ("tables", "write_tables"),
        ("report", "run_manifest"),
    ],
)
def test_any_stage_can_be_the_last(workspace: PlannedWorkspace, target: str, last: str) -> None:
    jobs = workspace.plan(workspace.receive("fastq"), target).jobs
    assert jobs[target] == 1 and jobs[last] == 1
    after = {"align": "metrics", "qc": "batch", "cohort": "write_tables", "tables": "run_manifest"}
    assert after.get(target) not in jobs


def test_alleles_are_annotated_after_the_batch_where_files_are_configured(workspace: PlannedWorkspace) -> None:
    delivery = workspace.receive("fastq")
    assert "annotate" not in workspace.plan(delivery).jobs
    (workspace.folder / "genes.gff3").write_text("")
    workspace.configure(f"{workspace.config}\nannotate:\n  genes: {workspace.folder / 'genes.gff3'}\n")
    assert workspace.plan(delivery).jobs["annotate"] == workspace.plan(delivery, "cohort").jobs["annotate"] == 1


def test_a_finished_delivery_plans_nothing(finished: tuple[PlannedWorkspace, str]) -> None:
    workspace, delivery = finished
    assert "Nothing to be done" in workspace.plan(delivery).text


def test_nothing_is_planned_for_a_participant_of_whom_a_later_delivery_brought_data(tmp_path: Path) -> None:
    workspace = PlannedWorkspace(tmp_path)
    delivery = workspace.receive("fastq", "fastq", "gvcf")
    workspace.finish(delivery)
    participant = workspace.deliveries[delivery][0]
    folder = tmp_path / "participants" / participant
    (folder / "delivery").write_text("D0000000000000\n")
    # the files are those of the other delivery, whose run is at the call
    for path in folder.rglob("*.*"):
        path.touch()
    shutil.rmtree(tmp_path / "deliveries" / delivery / "staged", ignore_errors=True)
    assert "Nothing to be done" in workspace.plan(delivery).text
    (tmp_path / "thresholds.yaml").write_text("{metrics: {}}\n")
    jobs = workspace.plan(delivery).jobs
    assert jobs == {"verdicts": 1, **OF_DELIVERY}


def test_deleted_staged_files_that_were_used_plan_nothing(finished: tuple[PlannedWorkspace, str]) -> None:
    workspace, delivery = finished
    for file in (workspace.folder / "deliveries" / delivery / "staged").rglob("*.*"):
        file.unlink()
    assert "Nothing to be done" in workspace.plan(delivery).text


def test_a_lost_alignment_needs_the_staged_reads_again(finished: tuple[PlannedWorkspace, str]) -> None:
    workspace, delivery = finished
    home = workspace.folder / "deliveries" / delivery
    reads = next(row for row in specimens.read(home / "specimens.tsv") if row.entry == "fastq")
    cram = workspace.folder / "participants" / reads.participant_id / "aligned.cram"
    cram.unlink()
    jobs = workspace.plan(delivery).jobs
    workspace.touch(cram)
    assert (jobs["staged_file"], jobs["align_reads"]) == (2, 1)
    for file in reads.files:
        workspace.touch(workspace.folder / file)
    assert "Nothing to be done" in workspace.plan(delivery).text


def test_a_second_delivery_plans_only_its_own_jobs_and_the_cohorts(finished: tuple[PlannedWorkspace, str]) -> None:
    workspace, first = finished
    second = workspace.receive("fastq")
    plan = workspace.plan(second)
    assert plan.jobs == {
        "align_reads": 1,
        "alignment_statistics": 1,
        "depth": 1,
        "metrics": 1,
        "verdicts": 1,
        **OF_DELIVERY,
    }
    older = {first, *workspace.deliveries[first]}
    assert not [path for path in plan.outputs if older & set(Path(path).parts)]


@pytest.mark.parametrize(
    ("setting", "rerun"),
    [
        (
            "caller: freebayes",
            {"call_piece", "gather_calls", "batch", "write_tables", "delivery_report", "run_manifest"},
        ),
        ("sites: {low_qual: 50}", {"batch", "write_tables", "delivery_report", "run_manifest"}),
        ("gates: {qc: report}", {"verdicts"}),
    ],
    ids=["caller", "site_filter", "gate"],
)
def test_a_changed_setting_reruns_the_jobs_that_depend_on_it_and_no_other(
    finished: tuple[PlannedWorkspace, str], setting: str, rerun: set[str]
) -> None:
    workspace, delivery = finished
    workspace.configure(f"{workspace.config}{setting}\n")
    jobs = workspace.plan(delivery).jobs
    assert rerun <= set(jobs)
    untouched = {"reference", "aligner_index", "align_reads", "alignment_statistics", "depth", "metrics"}
    assert not untouched & set(jobs)
    if "call_piece" not in rerun:
        assert "call_piece" not in jobs and "gather_calls" not in jobs


def test_another_aligner_aligns_again(finished: tuple[PlannedWorkspace, str]) -> None:
    workspace, delivery = finished
    workspace.configure(f"{workspace.config}aligner: minimap2\n")
    assert {"aligner_index", "align_reads", "metrics", "verdicts"} <= set(workspace.plan(delivery).jobs)


def test_a_genome_in_pieces_is_called_in_pieces(workspace: PlannedWorkspace) -> None:
    delivery = workspace.receive("fastq")
    workspace._make(workspace.plan(delivery, "qc"))
    workspace.accept(delivery)
    jobs = workspace.plan(delivery, "call", options=("--set-scatter", "call=4")).jobs
    assert jobs == {"call_piece": 4, "gather_calls": 1, "call": 1}


def test_tools_from_conda_are_planned_like_the_others(workspace: PlannedWorkspace) -> None:
    workspace.configure(f"{workspace.config}caller: gatk\naligner: bwa-mem2\n")
    delivery = workspace.receive("fastq")
    plan = workspace.plan(delivery, "qc")
    assert {f"reference/genome.fa{ending}" for ending in INDEX_ENDINGS["bwa-mem2"]} <= plan.outputs
    workspace._make(plan)
    workspace.accept(delivery)
    assert workspace.plan(delivery, "call").jobs == {"call_piece": 1, "gather_calls": 1, "call": 1}


def test_every_environment_of_a_rule_pins_its_tools() -> None:
    rules = "".join(file.read_text(encoding="utf-8") for file in (PROJECT / "rules").glob("*.smk"))
    named = set(re.findall(r'"\.\./envs/(\w+\.yaml)"', rules))
    assert all(f'"{caller}": "../envs/' in rules for caller in CALLERS)
    assert named == {file.name for file in (PROJECT / "envs").glob("*.yaml")} - {"baekman.yaml"}
    for name in named:
        packages = yaml.safe_load((PROJECT / "envs" / name).read_text(encoding="utf-8"))["dependencies"]
        assert packages and all(re.fullmatch(r"[\w-]+=\d[\w.]*", package) for package in packages)


def test_a_profile_by_a_relative_path_is_found_from_another_workspace(workspace: PlannedWorkspace) -> None:
    delivery = workspace.receive("gvcf")
    # the command of the README, in the project's folder
    arguments = ["--dry-run", "--config", f"delivery={delivery}", f"workspace={workspace.folder}"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--profile", "profiles/slurm"],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
        env={**os.environ, "PWD": str(PROJECT)},
    )
    assert done.returncode == 0, done.stderr
    assert "gather_calls" in done.stdout


def test_the_threads_of_jobs_elsewhere_are_not_those_of_this_machine(workspace: PlannedWorkspace) -> None:
    delivery = workspace.receive("fastq")
    profile = ("--profile", str(PROJECT / "profiles" / "slurm"))
    many = ("--set-threads", "align_reads=4096")
    assert "threads: 4096" in workspace.plan(delivery, "align", options=(*profile, *many)).text
    assert "threads: 4096" not in workspace.plan(delivery, "align", options=many).text
    assert "threads: 3\n" in workspace.plan(delivery, "align", options=(*profile, *many, "--cores", "3")).text


def test_a_delivery_that_was_never_received_plans_nothing_and_is_reported(workspace: PlannedWorkspace) -> None:
    inbox = workspace.folder / "inbox"
    inbox.mkdir()
    (inbox / "delivery.yaml").write_text(
        "delivery: D-1\ninstitution: HERE\nplatform: ILLUMINA\nreference: genome\n", encoding="utf-8"
    )
    (inbox / "manifest.tsv").write_text(
        f"specimen_id\tfile\tkind\tread_group\tsha256\tsize\nS1\ts1.bam\tbam\t\t{'0' * 64}\t1\n", encoding="utf-8"
    )
    plan = workspace.plan(str(inbox))
    assert "not received yet: its jobs are known after intake" in plan.text
    assert set(plan.jobs) <= {"all"}


def test_snakemakes_own_folder_is_for_owner_and_group(tmp_path: Path) -> None:
    """Its log too, which plain `snakemake` opens before it reads a rule."""
    workspace = PlannedWorkspace(tmp_path)
    delivery = workspace.receive("gvcf")
    before = os.umask(0o022)
    try:
        workspace.finish(delivery)
    finally:
        os.umask(before)
    paths = [tmp_path / ".snakemake", *(tmp_path / ".snakemake").rglob("*")]
    assert any(path.suffix == ".log" for path in paths)
    assert [path for path in paths if path.stat().st_mode & 0o027] == []


def test_a_job_that_is_tried_again_gets_twice_the_memory_and_time(tmp_path: Path) -> None:
    rule = """
rule {name}:
    output: "{name}.done"
    retries: 2
    shell: "echo {{resources.mem_mb}} {{resources.runtime}} >> {name}; test $(wc -l < {name}) = 3; touch {{output}}"
"""
    names = ("align_reads", "another")  # with resources of its own, and with those of all rules
    everything = "rule all:\n    input: 'align_reads.done', 'another.done'\n"
    (tmp_path / "Snakefile").write_text(everything + "".join(rule.format(name=name) for name in names))
    profile = ("--workflow-profile", str(PROJECT / "profiles" / "default"))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *profile, "--cores", "1"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / name).read_text().split("\n")[:-1] for name in names] == [
        ["24000 1440", "48000 2880", "96000 5760"],
        ["2000 60", "4000 120", "8000 240"],
    ]


def run_to_gate(folder: Path, delivery: str) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` for a delivery up to its gate."""
    words = ("--snakefile", str(PROJECT / "Snakefile"), "--directory", str(folder), "--nocolor", "--cores", "1")
    arguments = [*words, "--config", f"delivery={delivery}", "--", "qc"]
    return forks.run("snakemake", arguments, folder=folder, environment={**os.environ, "PWD": str(folder)})


def write_metrics_of(place: Path, row: specimens.StagedFiles) -> None:
    """Write metrics of a specimen without a value."""
    metrics = Metrics(
        participant_id=row.participant_id,
        specimen_id=row.specimen_id,
        registered_sex="female",
        observed_sex="not_assessed",
        values={},
    )
    write_metrics(Workspace(place).participant(row.participant_id).metrics, metrics)


def test_a_failed_job_holds_its_specimen_and_the_same_command_goes_on_with_the_others(
    workspace: PlannedWorkspace,
) -> None:
    delivery, place = workspace.receive("gvcf", "gvcf"), workspace.folder
    for output in workspace.plan(delivery, "qc").outputs:
        workspace.touch(place / output)
    folder = Workspace(place).delivery(delivery)
    rows = specimens.read(folder.specimens)
    failing, other = rows[0].participant_id, rows[1].participant_id
    write_metrics_of(place, rows[1])
    Workspace(place).participant(failing).metrics.unlink()  # the job that makes them finds an empty gVCF, and fails
    folder.verdicts("qc").unlink()  # without content until now

    first = run_to_gate(place, delivery)
    assert first.returncode == 1, first.stderr
    assert (
        f"not processed: {failing}: metrics failed (logs/metrics/{failing}.log)\n"
        "held (not_processed): the same command goes on with the others, and once more tries the held ones again"
    ) in first.stderr
    assert {each: failure.gate for each, failure in read_failures(folder).items()} == {failing: "qc"}

    second = run_to_gate(place, delivery)
    assert second.returncode == 0, second.stderr
    reasons = {verdict.participant_id: verdict.reasons for verdict in read_verdicts(folder.verdicts("qc"))}
    assert [(each.code, each.severity, each.observed) for each in reasons[failing]] == [
        ("not_processed", "hold", "metrics")
    ]
    assert "not_processed" not in [each.code for each in reasons[other]]

    write_metrics_of(place, rows[0])
    third = run_to_gate(place, delivery)
    assert third.returncode == 0, third.stderr
    assert "not_processed" not in folder.verdicts("qc").read_text() and not read_failures(folder)
