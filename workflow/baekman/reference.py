"""The reference in a workspace: the FASTA under its own name, with what every tool wants beside it."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

from baekman import atomic, tools
from baekman.piping import piped
from baekman.ploidy import Region, chromosome_kind
from baekman.shards import format_shards, make_shards, read_shards

COPY_BYTES = 1 << 20


def prepare(fasta: Path, *, output: Path, par: Sequence[Region] = (), shards: Path | None = None) -> None:
    """Write ``output`` (plain FASTA) and beside it .fai, .dict, ``depth_regions.bed`` and ``shards.tsv``.

    A plain ``fasta`` is linked, a compressed one expanded. ``shards`` is a shard table to take over; without
    one the reference is tiled.
    """
    if fasta.suffix in (".gz", ".bgz"):
        with (
            atomic.atomic_file(output) as temporary,
            gzip.open(fasta) as source,
            temporary.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink, COPY_BYTES)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
        output.symlink_to(fasta.resolve())
    with atomic.atomic_file(output.with_name(output.name + ".fai")) as index:
        piped([*tools.command("samtools"), "faidx", output, "--fai-idx", index])
    # without a path in it: UR is what samtools makes of the file's place
    dictionary = piped([*tools.command("samtools"), "dict", "-u", ".", output]).decode()
    atomic.write_text(output.with_suffix(".dict"), dictionary.replace("\tUR:.", ""))
    regions = [row for name, bases in sequences(output) for row in depth_regions(name, bases, par=par)]
    atomic.write_text(output.with_name("depth_regions.bed"), "".join(regions))
    table = read_shards(shards) if shards else make_shards(sequences(output))
    atomic.write_text(output.with_name("shards.tsv"), format_shards(table))


def sequences(fasta: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Name and upper-case bases of each contig of an indexed FASTA."""
    with pysam.FastaFile(str(fasta)) as file:
        for name in file.references:
            yield name, np.frombuffer(file.fetch(name).upper().encode("ascii"), np.uint8)


def depth_regions(contig: str, bases: npt.NDArray[np.uint8], *, par: Sequence[Region]) -> list[str]:
    """BED lines of the bases of ``contig`` that are not N, outside ``par``; the name is their kind.

    0-based and half-open; the kind is ``autosome``, ``X``, ``Y`` or ``MT``.
    """
    kept = bases != ord("N")
    for region in par:
        if chromosome_kind(region.contig) == chromosome_kind(contig) != "autosome":
            kept[region.start - 1 : region.end] = False
    edges = np.flatnonzero(np.diff(kept, prepend=False, append=False))
    kind = chromosome_kind(contig)
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [f"{contig}\t{start}\t{end}\t{kind}\n" for start, end in pairs]
