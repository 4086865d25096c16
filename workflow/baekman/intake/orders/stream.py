"""Delivered FASTQ of one lane in one stream: checksum, examination, new names and alignment, without a copy.

Each file is decompressed once. A thread examines it and writes the copy of its text to a FIFO, from which the aligner
reads. The alignment counts only when every file passed to its end.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from baekman.align.aligners import Aligner
from baekman.intake.contents import Contents, examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.orders.order import Order
from baekman.kernels.delivered.fastq import FastqCopy
from baekman.tools.pipes import PipeFailed
from baekman.workspace.specimens import StagedFiles

POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """The contents of the files by row of the manifest, and the number of reads that were passed on for each.

    ``failure``: the tool that failed on the reads, or None.
    """

    contents: Mapping[int, Contents]
    passed_on: Mapping[int, int]
    failure: PipeFailed | None


class _Sink:
    """Writes the copy of a FASTQ text to a FIFO, its reads named ``<lane>.<number>``, until its reader has gone."""

    def __init__(self, fifo: Path, *, lane: str, over: threading.Event) -> None:
        self._fifo = fifo
        self._over = over
        self._copy = FastqCopy(lane.encode())
        self._descriptor = -1
        self.is_cut = False  # the reader went before it had the whole copy

    @property
    def reads(self) -> int:
        """The number of whole reads that were copied."""
        return self._copy.reads

    def write(self, text: bytes) -> None:
        """Write the copy of ``text``."""
        copy = memoryview(self._copy.feed(text))
        while copy and not self.is_cut:
            if self._descriptor < 0:
                self._open()
                continue
            try:
                copy = copy[os.write(self._descriptor, copy) :]
            except BrokenPipeError:
                self.is_cut = True

    def close(self) -> None:
        """Open the FIFO if nothing was written, so that its reader sees an end, and close it."""
        if self._descriptor < 0:
            self._open()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        """Wait for the reader; give up when the alignment is over."""
        while not self.is_cut:
            try:
                self._descriptor = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as fault:
                if fault.errno != errno.ENXIO:
                    raise
                self.is_cut = self._over.wait(POLL_SECONDS)
                continue
            os.set_blocking(self._descriptor, True)
            return


def stream_lane(
    order: Order,
    lane: str,
    *,
    files: Mapping[int, DeliveredFile],
    aligner: Aligner,
    align: Callable[[StagedFiles], None],
) -> Streamed:
    """Examine the two FASTQ files of a ``lane`` of ``order`` while ``align`` reads their renamed copies.

    Args:
        order: The order.
        lane: A lane of the order.
        files: The delivered files by row of the manifest.
        aligner: The aligner that reads the copies.
        align: Called once with the lane, its files FIFOs. What it writes counts only when the contents pass.

    Returns:
        The contents and the numbers of reads. A tool that fails raises nothing.
    """
    over = threading.Event()
    pair = order.lanes[lane]
    with tempfile.TemporaryDirectory(prefix="baekman-") as scratch, ThreadPoolExecutor(len(pair)) as pool:
        fifos = {row.row: Path(scratch, f"{lane}_{row.kind[-1]}.fastq") for row in pair}
        for fifo in fifos.values():
            os.mkfifo(fifo, 0o600)
        sinks = {number: _Sink(fifo, lane=lane, over=over) for number, fifo in fifos.items()}
        tasks = {number: pool.submit(_examined, order, files[number], aligner, sinks[number]) for number in sinks}
        failure = None
        try:
            align(_lane(order, lane, list(fifos.values())))
        except PipeFailed as failed:
            failure = failed
        finally:
            over.set()
        contents = {number: task.result() for number, task in tasks.items()}
    if failure is None and any(sink.is_cut for sink in sinks.values()):
        failure = PipeFailed(f"{aligner.name} ended before it had read all reads")
    return Streamed(
        contents=contents, passed_on={number: sink.reads for number, sink in sinks.items()}, failure=failure
    )


def _examined(order: Order, delivered: DeliveredFile, aligner: Aligner, sink: _Sink) -> Contents:
    try:
        return examine(
            delivered,
            reference=aligner.reference,
            registered=order.identifiers,
            barcode=order.barcode,
            copy=sink.write,
        )
    finally:
        sink.close()


def _lane(order: Order, lane: str, fifos: Sequence[Path]) -> StagedFiles:
    return StagedFiles(
        participant_id=order.participant_id,
        specimen_id=order.specimen_id,
        entry="fastq",
        lane=lane,
        file_1=str(fifos[0]),
        file_2=str(fifos[1]),
        sex=order.sex,
        array_genotypes="",
    )
