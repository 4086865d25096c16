"""The lanes of a specimen with several: each is examined and aligned by a job of its own, then one job merges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from baekman.align import alignment
from baekman.align.aligners import Aligner
from baekman.align.staged_alignment import MARKDUP
from baekman.files.atomic import atomic_file
from baekman.intake.contents import Contents
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.examination.specimen import check_specimen
from baekman.intake.inspection import write_note
from baekman.intake.orders.order import OpenOrder, open_order
from baekman.intake.orders.stream import Streamed, stream_lane
from baekman.intake.specimen import inspection_of
from baekman.intake.streamed_specimen import stage_alignment
from baekman.tools.pipes import PipeFailed
from baekman.workspace.paths import Workspace
from baekman.workspace.specimens import STAGED_CRAM, StagedFiles

NOTE = ".sealed"  # the ending of the note of a lane, which only the job that merges the lanes can open


@dataclass(frozen=True, kw_only=True)
class _Lane:
    """An examined lane: by row of the manifest the contents and the reads that were passed on; the records written."""

    contents: Mapping[int, Contents]
    passed_on: Mapping[int, int]
    records: int

    @property
    def expected(self) -> int:
        """The number of reads that the aligner got."""
        return sum(self.passed_on.values())


def inspect_lane(workspace: Workspace, delivery_id: str, participant_id: str, *, lane: str, aligner: Aligner) -> None:
    """Examine and align one ``lane`` of an ordered specimen in one stream; write its BAM and its sealed note.

    The BAM has no byte when the lane does not pass.

    Raises:
        InputRefused: There is no order.
        PipeFailed: A tool fails on reads that pass.
    """
    opened = open_order(workspace, delivery_id, participant_id)
    order = opened.order
    files = {row.row: DeliveredFile(folder=order.folder, row=row, key=order.key) for row in order.lanes[lane]}
    bam = opened.home.lane(participant_id, lane)
    written = bam.with_name(f".{bam.name}.tmp")
    records = 0

    def write(staged: StagedFiles) -> None:
        nonlocal records
        records = alignment.align_lane(staged, aligner=aligner, output=written, platform=order.platform)

    bam.parent.mkdir(parents=True, exist_ok=True)
    bam.unlink(missing_ok=True)
    try:
        streamed = stream_lane(order, lane, files=files, aligner=aligner, align=write)
        if not order.goes_on([*order.findings, *check_specimen(opened, streamed.contents)]):
            written.unlink(missing_ok=True)
            written.touch()
        elif streamed.failure is not None:
            raise streamed.failure
        _write_lane_note(opened, lane, streamed, records=records)
        written.replace(bam)
    finally:
        written.unlink(missing_ok=True)


def merge_lanes(workspace: Workspace, delivery_id: str, participant_id: str, *, aligner: Aligner) -> None:
    """Merge the lanes of an ordered specimen that passes, mark duplicates, stage the CRAM; write the inspection's note.

    Raises:
        InputRefused: There is no order.
        PipeFailed: A tool fails, or a lane has other reads than its aligner got while the sum of all lanes is right.
    """
    opened = open_order(workspace, delivery_id, participant_id)
    lanes = {lane: _read_lane_note(opened, lane) for lane in opened.order.lanes}
    streamed = Streamed(
        contents={row: contents for lane in lanes.values() for row, contents in lane.contents.items()},
        passed_on={row: reads for lane in lanes.values() for row, reads in lane.passed_on.items()},
        failure=None,
    )

    def finish(folder: Path) -> None:
        cram, counts = folder / STAGED_CRAM, folder / MARKDUP
        _require_lanes(lanes, aligner)
        alignment.merge_lanes(
            [opened.home.lane(participant_id, lane) for lane in lanes], aligner=aligner, output=cram, metrics=counts
        )

    contents, findings, staged = stage_alignment(opened, aligner=aligner, stream=lambda folder: streamed, finish=finish)
    write_note(opened.home.note(participant_id), inspection_of(opened, contents, findings=findings, staged=staged))


def _require_lanes(lanes: Mapping[str, _Lane], aligner: Aligner) -> None:
    """Raise ``PipeFailed`` for a lane with other reads than the aligner got.

    Where the sum of all lanes differs too, the QC gate compares it and holds the specimen (``reads_lost``).
    """
    if sum(lane.records for lane in lanes.values()) != sum(lane.expected for lane in lanes.values()):
        return
    for name, lane in lanes.items():
        if lane.records != lane.expected:
            raise PipeFailed(f"{aligner.name} wrote {lane.records} reads of {lane.expected} of the lane {name}")


def _write_lane_note(opened: OpenOrder, lane: str, streamed: Streamed, *, records: int) -> None:
    values = {
        "contents": {str(row): contents.to_json() for row, contents in streamed.contents.items()},
        "passed_on": {str(row): reads for row, reads in streamed.passed_on.items()},
        "records": records,
    }
    note = opened.home.lane(opened.order.participant_id, lane).with_suffix(NOTE)
    with atomic_file(note, durable=False) as file:
        file.write_bytes(opened.ring.seal(values, identity=_identity(opened, lane)))


def _read_lane_note(opened: OpenOrder, lane: str) -> _Lane:
    note = opened.home.lane(opened.order.participant_id, lane).with_suffix(NOTE)
    values = opened.ring.unseal(note.read_bytes(), identity=_identity(opened, lane))
    return _Lane(
        contents={int(row): Contents.from_json(contents) for row, contents in values["contents"].items()},
        passed_on={int(row): reads for row, reads in values["passed_on"].items()},
        records=values["records"],
    )


def _identity(opened: OpenOrder, lane: str) -> str:
    return f"{opened.order.identity} {lane}"
