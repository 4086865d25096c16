"""The reference of a workspace: the FASTA under its own name, and the files next to it that tools read."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

from baekman.files import atomic
from baekman.genome.callable_bases import write_regions, write_target_regions
from baekman.genome.contigs import Contig, contigs_in
from baekman.genome.par import find_par
from baekman.genome.shards import format_shards, make_shards, read_shards
from baekman.genome.targets import Targets, format_targets, read_targets
from baekman.tools import programs as tools
from baekman.tools.pipes import piped

CACHED_FASTA = "reference.fa"
COPY_BYTES = 1 << 20


def prepare(fasta: Path, *, output: Path, par: str = "", shards: Path | None = None) -> None:
    """Write ``output`` (plain FASTA) and next to it .fai, .dict, ``depth_regions.bed`` and ``shards.tsv``.

    A plain ``fasta`` is linked, a compressed one expanded. ``par`` is as for ``par.find_par``. ``shards`` is a shard
    table to copy; without it the reference is tiled. Raises ``InputRefused`` for a malformed shard table.
    """
    if _is_compressed(fasta):
        with atomic.atomic_file(output) as temporary:
            _expand(fasta, temporary)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
        output.symlink_to(fasta.resolve())
    with atomic.atomic_file(output.with_name(output.name + ".fai")) as index:
        piped([*tools.command("samtools"), "faidx", output, "--fai-idx", index])
    # samtools writes the path of the file as UR; the dictionary names no path
    dictionary = piped([*tools.command("samtools"), "dict", "-u", ".", output]).decode()
    atomic.write_text(output.with_suffix(".dict"), dictionary.replace("\tUR:.", ""))
    regions = find_par(par, contigs=contig_lengths(output))
    write_regions(output, par=regions, output=output.with_name("depth_regions.bed"))
    table = read_shards(shards) if shards else make_shards(sequences(output))
    atomic.write_text(output.with_name("shards.tsv"), format_shards(table))


def prepare_targets(bed: Path, *, reference: Path, aliases: Mapping[str, str], output: Path) -> None:
    """Write the target regions of ``bed`` to ``output``, sorted and merged, with the contigs of ``reference``.

    Next to it, ``depth_regions.bed`` of the reference is cut to them: ``target_depth_regions.bed``. ``aliases`` are
    other names of contigs in ``bed``. Raises ``InputRefused`` for lines that are no region of the reference.
    """
    targets = read_targets(bed, lengths=contig_lengths(reference), aliases=aliases)
    atomic.write_text(output, format_targets(targets.regions))
    depth, cut = (output.with_name(name) for name in ("depth_regions.bed", "target_depth_regions.bed"))
    write_target_regions(depth, targets=targets, output=cut)


def workspace_targets(bed: Path | None, *, reference: Path, padding: int) -> Targets | None:
    """Return the targets in the ``output`` of ``prepare_targets``; None for None."""
    return read_targets(bed, lengths=contig_lengths(reference), aliases={}, padding=padding) if bed else None


def contig_lengths(fasta: Path) -> dict[str, int]:
    """Return the number of bases by contig, from the .fai next to ``fasta``."""
    index = fasta.with_name(fasta.name + ".fai").read_text(encoding="utf-8")
    return {name: int(length) for name, length, *_ in (line.split("\t") for line in index.splitlines())}


def cached_reference(reference: Path, *, cache: Path) -> tuple[Path, dict[str, Contig]]:
    """Return a plain FASTA of ``reference`` with its index, and its contigs by name, in order.

    Both are made once in the folder ``cache``, since the FASTA's own folder may be read-only, and again when the FASTA
    changes. A plain FASTA is linked. M5s are those of ``samtools dict``.
    """
    status = reference.stat()
    folder = cache / f"{status.st_size}.{status.st_mtime_ns}"
    if not folder.is_dir():
        try:
            with atomic.atomic_folder(folder) as temporary:
                _fill_cache(reference, temporary)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    contigs = contigs_in((folder / "contigs.sam").read_text(encoding="utf-8"))
    return folder / CACHED_FASTA, {contig.name: contig for contig in contigs}


def sequences(fasta: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Generate the name and the upper-case bases of each contig of an indexed FASTA."""
    with pysam.FastaFile(str(fasta)) as file:
        for name in file.references:
            yield name, np.frombuffer(file.fetch(name).upper().encode("ascii"), np.uint8)


def _fill_cache(reference: Path, folder: Path) -> None:
    fasta = folder / CACHED_FASTA
    if _is_compressed(reference):
        _expand(reference, fasta)
    else:
        fasta.symlink_to(reference.resolve())
    samtools = tools.command("samtools")
    subprocess.run([*samtools, "faidx", str(fasta)], check=True, capture_output=True)
    dictionary = subprocess.run([*samtools, "dict", str(fasta)], check=True, capture_output=True).stdout.decode()
    lines = [f"@SQ\tSN:{c.name}\tLN:{c.length}\tM5:{c.m5}" for c in contigs_in(dictionary)]
    (folder / "contigs.sam").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _is_compressed(fasta: Path) -> bool:
    return fasta.suffix in (".gz", ".bgz")


def _expand(fasta: Path, output: Path) -> None:
    with gzip.open(fasta) as source, output.open("wb") as sink:
        shutil.copyfileobj(source, sink, COPY_BYTES)
