"""The reference in a workspace: the FASTA under its own name, with what every tool wants beside it."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

from baekman.files import atomic
from baekman.genome.callable_bases import write_regions
from baekman.genome.ploidy import par_of_reference, read_par
from baekman.genome.regions import Region
from baekman.genome.shards import Shard, format_shards, make_shards, read_shards
from baekman.tools import programs as tools
from baekman.tools.pipes import piped

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
    write_regions(output, par=par, output=output.with_name("depth_regions.bed"))
    table = read_shards(shards) if shards else make_shards(sequences(output))
    atomic.write_text(output.with_name("shards.tsv"), format_shards(table))


def sequences(fasta: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Name and upper-case bases of each contig of an indexed FASTA."""
    with pysam.FastaFile(str(fasta)) as file:
        for name in file.references:
            yield name, np.frombuffer(file.fetch(name).upper().encode("ascii"), np.uint8)


def find_par(par: str) -> Sequence[Region]:
    """The pseudo-autosomal regions in the BED file ``par``, or those of the known reference of that name."""
    return read_par(Path(par)) if Path(par).is_file() else par_of_reference(par)


def piece_regions(shards: Sequence[Shard], piece: str) -> list[Region]:
    """The regions of ``piece`` (``N-of-M``, from 1): the shards in M groups of neighbours, evenly."""
    number, groups = (int(text) for text in piece.split("-of-"))
    first, last = (len(shards) * border // groups for border in (number - 1, number))
    return [Region(shard.contig, shard.start, shard.end) for shard in shards[first:last]]
