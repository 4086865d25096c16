"""Delivered FASTQ in one stream: examined and aligned at once; the alignment counts only when all of it is right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pysam
import pytest
from baekman.align.aligners import Aligner
from baekman.align.alignment import align
from baekman.intake.orders.lanes import inspect_lane, merge_lanes
from baekman.intake.orders.order import open_order
from baekman.intake.receive import receive
from baekman.intake.specimen import inspect
from baekman.tools.pipes import PipeFailed
from baekman.workspace import specimens
from baekman.workspace.paths import ARRAY, Workspace
from support.delivery_builder import (
    DeliveryBuilder,
    codes,
    fastq,
    make_workspace,
    registration,
    simple_delivery,
)

# an aligner that runs `{script}` instead of aligning
BROKEN = "#!/bin/sh\n{script}\n"


@pytest.fixture
def workspace(tmp_path: Path, reference: Path) -> Workspace:
    """Return a workspace with four registered specimens."""
    folder = tmp_path / "W"
    make_workspace(folder, reference, [registration(f"A-{number}", number) for number in (1, 2, 3, 4)])
    return Workspace(folder)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, reference: Path) -> Path:
    """Return the reference with the aligners' indexes."""
    prepared = tmp_path_factory.mktemp("indexed") / "tiny.fa"
    prepared.write_bytes(reference.read_bytes())
    for name in ("bwa", "minimap2"):
        Aligner(name=name, reference=prepared).write_index()
    return prepared


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the place of a program that takes the place of bwa once it is written."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin" / "bwa"


class Run:
    """Carries out orders with an aligner; notes the ordered participants and what they left in the staged folder."""

    def __init__(self, reference: Path, name: str = "bwa") -> None:
        self.aligner = Aligner(name=name, reference=reference)
        self.ordered: list[str] = []
        self.failed: list[str] = []
        self.staged: list[set[str]] = []
        self.lanes: dict[str, int] = {}  # bytes of each lane that was aligned last

    def __call__(self, workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        self.ordered += participants
        for participant in participants:
            try:
                self._carry_out(workspace, delivery_id, participant)
            except PipeFailed as failure:
                self.failed.append(str(failure))
        folder = workspace.delivery(delivery_id).staged
        self.staged += [{path.name for path in staged.iterdir()} for staged in folder.iterdir()]

    def _carry_out(self, workspace: Workspace, delivery_id: str, participant: str) -> None:
        order = open_order(workspace, delivery_id, participant).order
        if not order.form.startswith("lanes-"):
            inspect(workspace, delivery_id, participant, aligner=self.aligner)
            return
        for lane in order.lanes:
            inspect_lane(workspace, delivery_id, participant, lane=lane, aligner=self.aligner)
            self.lanes[lane] = workspace.delivery(delivery_id).lane(participant, lane).stat().st_size
        merge_lanes(workspace, delivery_id, participant, aligner=self.aligner)


def install(program: Path, script: str) -> None:
    program.write_text(BROKEN.format(script=script))
    program.chmod(0o755)


SPOILED = [("reject", ["truncated", "checksum_wrong"]), ("reject", ["pairs_differ"]), ("reject", ["checksum_wrong"])]


def spoiled(folder: Path, reference: Path) -> Path:
    """Write a delivery of A-1, and of three specimens with faults that only a job finds: ``SPOILED``."""
    builder = DeliveryBuilder(folder, reference)
    builder.pair("A-1", seed=1)
    _, cut = builder.pair("A-2", seed=2)
    cut.write_bytes(cut.read_bytes()[:-20])
    builder.rows[-1][-1] = str(cut.stat().st_size)
    builder.pair("A-3", seed=3, change=lambda mate, text: text if mate == 1 else fastq(77, 2, pairs=5))
    builder.pair("A-4", seed=4)
    builder.rows[-1][-2] = "0" * 64
    return builder.finish()


def test_fastq_is_aligned_in_the_stream_that_examines_it(
    workspace: Workspace, tmp_path: Path, reference: Path, indexed: Path
) -> None:
    run = Run(indexed)
    received = receive(spoiled(tmp_path / "in", reference), workspace=workspace, run=run)
    assert codes(received) == [("accept", []), *SPOILED]
    assert run.staged == [{"aligned.cram", "aligned.cram.crai", "aligned.json", "markdup.txt"}]
    (row,) = specimens.read(workspace.delivery(received.delivery_id).specimens)
    assert (row.entry, row.records) == ("aligned", 40)

    # the same records as from the staged copies of `baekman receive`
    other = Workspace(tmp_path / "other")
    make_workspace(other.root, reference, [registration("A-1", 1)])
    copied = receive(simple_delivery(tmp_path / "copied", reference, "A-1", seed=1), workspace=other)
    (lane,) = specimens.read(other.delivery(copied.delivery_id).specimens)
    assert lane.entry == "fastq"
    files = [str(other.root / file) for file in lane.files]
    staged = replace(lane, participant_id=row.participant_id, file_1=files[0], file_2=files[1])
    align([staged], aligner=run.aligner, output=tmp_path / "a.cram", metrics=tmp_path / "markdup.txt")
    texts = [pysam.view("-h", "--no-PG", str(file)) for file in (workspace.root / row.file_1, tmp_path / "a.cram")]
    assert texts[0] == texts[1]


def test_the_desk_compares_sizes_and_aligns_no_reads_that_cannot_pass(
    workspace: Workspace, tmp_path: Path, reference: Path, indexed: Path, broken: Path
) -> None:
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    cut = delivery / "A-2_LANE1_R2.fastq.gz"
    size = cut.stat().st_size
    cut.write_bytes(cut.read_bytes()[:-20])
    install(broken, f"touch {tmp_path}/aligned")
    forms: list[bool] = []

    def run(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        for participant in participants:
            order = open_order(workspace, delivery_id, participant).order
            forms.append(order.streams)
            if order.findings:
                reason = order.findings[0].reason
                assert (reason.code, reason.observed, reason.threshold) == (
                    "size_wrong",
                    f"{size - 20} bytes",
                    f"{size} bytes",
                )
                inspect(workspace, delivery_id, participant, aligner=Aligner(name="bwa", reference=indexed))

    received = receive(delivery, workspace=workspace, run=run)
    assert forms == [True, False]
    assert codes(received)[1] == ("reject", ["size_wrong", "truncated", "checksum_wrong"])
    assert not (tmp_path / "aligned").exists()


def test_lanes_are_aligned_alone_and_counted_and_one_that_does_not_pass_stops_all(
    workspace: Workspace, tmp_path: Path, reference: Path, indexed: Path
) -> None:
    builder = DeliveryBuilder(tmp_path / "in", reference)
    for lane, seed in (("X", 1), ("Y", 2)):
        builder.pair("A-1", seed=seed, lane=lane)
        builder.pair("A-2", seed=seed + 2, lane=lane)
    builder.rows[-1][-2] = "0" * 64
    builder.pair("A-3", seed=5, lane="X")
    builder.pair("A-3", seed=6, lane="Y", change=lambda mate, text: fastq(5, mate, name=lambda number: f"B:{number}"))
    delivery = builder.finish()
    lanes: list[dict[str, int]] = []
    run = Run(indexed)

    def carry_out(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        for participant in participants:
            run(workspace, delivery_id, [participant])
            lanes.append(dict(run.lanes))

    received = receive(delivery, workspace=workspace, run=carry_out)
    assert codes(received) == [("accept", []), ("reject", ["checksum_wrong"]), ("reject", ["content_repeated"] * 2)]
    assert [{lane: bool(size) for lane, size in sizes.items()} for sizes in lanes] == [
        {"L1": True, "L2": True},
        {"L1": True, "L2": False},
        {"L1": True, "L2": True},
    ]
    home = workspace.delivery(received.delivery_id)
    assert not home.lanes.exists() and not home.orders.exists()
    rows = specimens.read(home.specimens)
    assert [(row.entry, row.lane, row.records) for row in rows] == [("aligned", "L1", 40), ("aligned", "L2", 40)]
    cram = workspace.root / rows[0].file_1
    assert rows[0].file_1 == rows[1].file_1 and [path.name for path in cram.parent.parent.iterdir()] == [
        rows[0].participant_id
    ]
    names = [(read.query_name or "") for read in pysam.AlignmentFile(str(cram), reference_filename=str(reference))]
    assert sorted({name.partition(".")[0] for name in names}) == ["L1", "L2"] and len(names) == 80


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("kill -9 $$", "bwa ended with exit code -9"),
        (r"printf '@SQ\tSN:chr1\tLN:3000\n'", "bwa ended before it had read all reads"),
    ],
    ids=["killed", "reads_nothing"],
)
def test_a_crash_of_the_aligner_is_no_fault_of_the_reads_and_hides_none(
    workspace: Workspace, tmp_path: Path, reference: Path, indexed: Path, broken: Path, script: str, failure: str
) -> None:
    delivery = spoiled(tmp_path / "in", reference)
    install(broken, script)
    run = Run(indexed)
    received = receive(delivery, workspace=workspace, run=run)
    assert codes(received) == [("hold", ["not_processed"]), *SPOILED]
    assert run.failed == [failure]
    assert run.staged == [] and not list(workspace.delivery(received.delivery_id).staged.iterdir())
    broken.unlink()
    again = Run(indexed)
    assert codes(receive(delivery, workspace=workspace, run=again))[0] == ("accept", [])
    assert len(again.staged) == 1


def test_an_alignment_by_other_settings_is_not_taken_over(
    workspace: Workspace, tmp_path: Path, reference: Path, indexed: Path
) -> None:
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")

    class Killed(Exception):
        pass

    first = Run(indexed)

    def run(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        first(workspace, delivery_id, participants)
        raise Killed  # before the delivery is concluded

    with pytest.raises(Killed):
        receive(delivery, workspace=workspace, run=run)
    config = workspace.root / "config.yaml"
    before = config.read_text()
    config.write_text(before + "aligner: minimap2\n")
    second = Run(indexed, "minimap2")
    with pytest.raises(Killed):
        receive(
            delivery,
            workspace=workspace,
            run=lambda *order: (second(*order), (_ for _ in ()).throw(Killed))[0],
        )
    assert second.ordered == first.ordered
    # the same settings again: the alignment of the killed run counts
    third = Run(indexed, "minimap2")
    received = receive(delivery, workspace=workspace, run=third)
    assert (third.ordered, codes(received)) == ([], [("accept", [])])
    (row,) = specimens.read(workspace.delivery(received.delivery_id).specimens)
    assert "PN:minimap2" in pysam.view("-H", str(workspace.root / row.file_1))


def test_a_kill_during_the_stream_leaves_nothing_that_counts(
    workspace: Workspace, tmp_path: Path, reference: Path, indexed: Path, broken: Path
) -> None:
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    install(broken, f"touch {tmp_path}/reached; cat '{indexed}' >/dev/null; exec sleep 60")
    program = (
        "import sys; from pathlib import Path; from baekman.align.aligners import Aligner\n"
        "from baekman.intake.receive import receive; from baekman.intake.specimen import inspect\n"
        "from baekman.workspace.paths import Workspace\n"
        "folder, root, reference = map(Path, sys.argv[1:])\n"
        "aligner = Aligner(name='bwa', reference=reference)\n"
        "run = lambda w, d, ps: [inspect(w, d, p, aligner=aligner) for p in ps]\n"
        "receive(folder, workspace=Workspace(root), run=run)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program, str(delivery), str(workspace.root), str(indexed)], process_group=0
    )
    while not (tmp_path / "reached").exists():
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    (home,) = workspace.deliveries.glob("D*")
    assert not list(home.glob("inspected/*")) and not list(home.glob("staged/P*"))
    broken.unlink()
    run = Run(indexed)
    assert codes(receive(delivery, workspace=workspace, run=run)) == [("accept", [])]
    assert len(run.ordered) == 1
    assert [path.name[0] for path in (home / "staged").iterdir()] == ["P"]


def test_array_genotypes_are_staged_again_without_the_reads(tmp_path: Path, reference: Path, indexed: Path) -> None:
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=chr1,length=3000>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">',
    ]
    head = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tA-1"
    text = "\n".join([*lines, head, "chr1\t100\t.\tA\tC\t.\t.\t.\tGT\t0/1"])
    (tmp_path / "array.vcf").write_text(text + "\n")
    workspace = Workspace(tmp_path / "W")
    make_workspace(workspace.root, reference, [registration("A-1", 1, array_genotypes="array.vcf")])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    run = Run(indexed)
    received = receive(delivery, workspace=workspace, run=run)
    home = workspace.delivery(received.delivery_id)
    (row,) = before = specimens.read(home.specimens)
    shutil.rmtree(home.staged)  # as jobs do
    again = receive(delivery, workspace=workspace, run=run, again=True, needed={row.participant_id: {ARRAY}})
    assert (again.status, codes(again)) == ("again", [("accept", [])])
    assert run.staged[1:] == [{ARRAY, f"{ARRAY}.tbi"}]
    assert specimens.read(home.specimens) == before
    again = receive(delivery, workspace=workspace, run=run, again=True, needed={row.participant_id: {"aligned.cram"}})
    assert codes(again) == [("accept", [])] and "aligned.cram" in run.staged[2]
