"""The staged folder of one specimen: sanitised copies of its files, under pseudonymous names."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.files import atomic
from baekman.files.untrusted import FileFault
from baekman.intake.contents import Contents, vcf_header_of
from baekman.intake.delivered_file import DeliveredFile, Measured
from baekman.intake.manifest import ManifestRow
from baekman.intake.orders.order import OpenOrder, Order
from baekman.intake.reasons import Finding
from baekman.intake.staging import Lane, Source, stage_alignment, stage_fastq, stage_reads, stage_vcf
from baekman.workspace.paths import ARRAY
from baekman.workspace.specimens import StagedFiles


@dataclass(frozen=True, kw_only=True)
class ExaminedSpecimen:
    """An ordered specimen with its delivered files and their contents, by row of the manifest."""

    order: Order
    files: Mapping[int, DeliveredFile]
    contents: Mapping[int, Contents]

    @property
    def rows(self) -> list[ManifestRow]:
        """The rows of the manifest."""
        return [delivered.row for delivered in self.files.values()]

    def source(self, row: ManifestRow) -> Source:
        """Return the file of ``row`` for staging.

        Its blocks raise FileFault when the file cannot be read, and at its end when it has changed since it was
        examined.
        """
        return Source(blocks=self._blocks(row.row), size=row.size, header=self.contents[row.row].header)

    def _blocks(self, number: int) -> Iterator[bytes]:
        measured = Measured(self.files[number].blocks())
        yield from measured
        if measured.sha256 != self.contents[number].sha256:
            raise FileFault("checksum_wrong", "another content than a moment ago: it was changed while it was received")


def stage(opened: OpenOrder, specimen: ExaminedSpecimen) -> tuple[list[StagedFiles], list[Finding]]:
    """Write the staged folder of ``specimen``.

    Returns:
        The rows of ``specimens.tsv``, and findings to note: a difference between what was examined and what was
        staged is one that blocks.

    Raises:
        FileFault: A tool refuses a file, or a file has changed since it was examined.
    """
    order = specimen.order
    target = opened.home.staged / order.participant_id
    shutil.rmtree(target, ignore_errors=True)
    notes: list[Finding] = []
    with atomic.atomic_folder(target) as folder:
        kind = specimen.rows[0].kind
        if kind == "gvcf":
            entry, lanes = "gvcf", [_stage_gvcf(specimen, folder, notes=notes)]
        elif kind in ("bam", "cram") and not order.realigns:
            entry, lanes = "cram", [_stage_alignment(opened, specimen, folder, notes=notes)]
        elif kind in ("bam", "cram"):
            entry, lanes = "fastq", _stage_aligned_reads(opened, specimen, folder, notes=notes)
        else:
            entry, lanes = "fastq", _stage_pairs(specimen, folder, notes=notes)
        array = stage_array(order, folder, notes=notes)

    return [staged_row(opened, lane, entry=entry, array=array) for lane in lanes], notes


def stage_array_again(opened: OpenOrder) -> None:
    """Write the array genotypes of an order into the staged folder, which may have other files already.

    Raises:
        InputRefused: They can no longer be read.
    """
    participant, staged = opened.order.participant_id, opened.home.staged
    (staged / participant).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=staged, prefix=f".{participant}.", suffix=".tmp") as scratch:
        array = stage_array(opened.order, Path(scratch), notes=[])
        if array is None:
            raise InputRefused(
                Problem(
                    file="array genotypes",
                    place=participant,
                    expected="the registered file",
                    found="none, or another",
                    action="restore it, or import the registration again",
                )
            )
        for file in sorted(Path(scratch).iterdir(), reverse=True):  # the index first
            file.replace(staged / participant / file.name)


def staged_row(opened: OpenOrder, lane: Lane, *, entry: str, array: Path | None) -> StagedFiles:
    """Return the row of ``specimens.tsv`` of the staged files of ``lane``."""
    order = opened.order
    target = opened.home.staged / order.participant_id

    def relative(file: Path | None) -> str:
        return opened.workspace.relative(target / file.name) if file else ""

    return StagedFiles(
        participant_id=order.participant_id,
        specimen_id=order.specimen_id,
        entry=entry,
        lane=lane.lane,
        file_1=relative(lane.file_1),
        file_2=relative(lane.file_2),
        sex=order.sex,
        array_genotypes=relative(array),
        records=lane.records,
    )


def compare(
    contents: Mapping[int, Contents], rows: Sequence[ManifestRow], *, observed: int, notes: list[Finding]
) -> None:
    """Add a finding to ``notes`` unless ``observed`` is the number of reads or records in the files of ``rows``."""
    expected = sum(contents[row.row].records for row in rows)
    if observed != expected:
        is_gvcf = rows[0].kind == "gvcf"
        code, metric = ("records_lost", "records") if is_gvcf else ("reads_lost", "reads")
        numbers = tuple(row.row for row in rows)
        notes.append(Finding.of(code, metric=metric, observed=observed, threshold=expected, rows=numbers))


def _stage_gvcf(specimen: ExaminedSpecimen, folder: Path, *, notes: list[Finding]) -> Lane:
    (row,) = specimen.rows
    output = folder / "calls.g.vcf.gz"
    records = stage_vcf(specimen.source(row), output, sample=specimen.order.participant_id)
    compare(specimen.contents, [row], observed=records, notes=notes)
    return Lane(lane="L1", file_1=output, records=records)


def _stage_alignment(opened: OpenOrder, specimen: ExaminedSpecimen, folder: Path, *, notes: list[Finding]) -> Lane:
    """Stage the delivered alignment as it is, with its header and read names replaced."""
    (row,) = specimen.rows
    output = folder / "aligned.cram"
    reads = stage_alignment(
        specimen.source(row),
        output,
        participant=specimen.order.participant_id,
        platform=specimen.order.platform,
        reference=opened.reference,
        rename=specimen.order.renames,
    )
    compare(specimen.contents, [row], observed=reads, notes=notes)
    return Lane(lane="L1", file_1=output, records=reads)


def _stage_aligned_reads(
    opened: OpenOrder, specimen: ExaminedSpecimen, folder: Path, *, notes: list[Finding]
) -> list[Lane]:
    """Stage the reads of delivered alignments as FASTQ; a finding on reads without mates goes to ``notes``."""
    lanes: list[Lane] = []
    for row in specimen.rows:
        staged, single = stage_reads(
            specimen.source(row),
            folder,
            reference=opened.reference,
            # read groups without reads leave gaps in the numbers
            first_lane=1 + max((int(lane.lane[1:]) for lane in lanes), default=specimen.order.first_lane - 1),
            rename=specimen.order.renames,
        )
        lanes += staged
        if single:
            notes.append(Finding.of("reads_without_mate", metric="reads", observed=single, rows=(row.row,)))
        observed = sum(lane.records for lane in staged) + single
        compare(specimen.contents, [row], observed=observed, notes=notes)
    return lanes


def _stage_pairs(specimen: ExaminedSpecimen, folder: Path, *, notes: list[Finding]) -> list[Lane]:
    """Stage delivered pairs of FASTQ files, one lane per read group of the manifest."""
    rename = specimen.order.renames
    lanes: list[Lane] = []
    for lane, pair in specimen.order.lanes.items():
        file_1, file_2 = (folder / f"{lane}_{mate}.fastq.gz" for mate in (1, 2))
        reads = sum(
            stage_fastq(specimen.source(row), output, lane=lane, rename=rename)
            for row, output in zip(pair, (file_1, file_2), strict=True)
        )
        compare(specimen.contents, pair, observed=reads, notes=notes)
        lanes.append(Lane(lane=lane, file_1=file_1, file_2=file_2, records=reads))
    return lanes


def stage_array(order: Order, folder: Path, *, notes: list[Finding]) -> Path | None:
    """Stage in ``folder`` the registered array genotypes under the participant's ID; return None without any.

    A finding goes to ``notes`` when the file is not the registered one, or cannot be read.
    """
    if order.array_genotypes is None:
        return None
    try:
        content = order.array_genotypes.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != order.array_digest:
        notes.append(Finding.of("array_genotypes_changed"))
        return None
    output = folder / ARRAY
    try:
        array = Source(blocks=[content], size=len(content), header=vcf_header_of([content]))
        stage_vcf(array, output, sample=order.participant_id)
    except FileFault:
        output.unlink(missing_ok=True)
        notes.append(Finding.of("array_genotypes_unusable"))
        return None
    return output
