"""samtools' statistics of an alignment, which is read and decompressed once for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from baekman.files.atomic import atomic_file
from baekman.tools import programs as tools
from baekman.tools.fan_out import fan_out


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The files of ``samtools stats``, ``flagstat`` and ``idxstats``."""

    stats: Path
    flagstat: Path
    idxstats: Path


def write_statistics(cram: Path, *, reference: Path, output: Statistics, threads: int = 1) -> None:
    """Write the statistics of ``cram``, an alignment to ``reference``.

    mosdepth is not among the readers: it goes by the index, and takes nothing of a CRAM but positions and CIGARs.
    Raises ``PipeFailed`` when a tool fails; no file appears.
    """
    samtools = tools.command("samtools")
    with (
        atomic_file(output.stats) as stats,
        atomic_file(output.flagstat) as flagstat,
        atomic_file(output.idxstats) as idxstats,
    ):
        fan_out(
            [*samtools, "view", "-u", "-@", str(threads - 1), "-T", reference, cram],
            {
                stats: [*samtools, "stats", "--ref-seq", reference, "-"],
                flagstat: [*samtools, "flagstat", "-"],
                idxstats: [*samtools, "idxstats", "-"],
            },
        )
