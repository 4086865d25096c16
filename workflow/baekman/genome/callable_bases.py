"""The bases of a reference on which coverage is judged: the non-N bases of autosomes, X, Y and PARs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pysam

from baekman.files import atomic
from baekman.genome.chromosomes import chromosome_kind, is_autosome
from baekman.genome.regions import Region
from baekman.genome.targets import Targets, cut_to_targets


def write_regions(reference: Path, *, par: Sequence[Region] = (), output: Path) -> None:
    """Write the regions of ``coverage_regions`` as BED: contig, start, end and kind (``autosome X Y PAR``)."""
    regions = coverage_regions(reference, par=par)
    atomic.write_text(output, "".join(f"{c}\t{start}\t{end}\t{kind}\n" for c, start, end, kind in regions))


def write_target_regions(depth_regions: Path, *, targets: Targets, output: Path) -> None:
    """Write the parts of ``depth_regions``, a file of ``write_regions``, that lie in the target regions."""
    fields = (line.split("\t") for line in depth_regions.read_text(encoding="utf-8").splitlines())
    stretches = ((contig, int(start), int(end), kind) for contig, start, end, kind in fields)
    lines = (f"{c}\t{start}\t{end}\t{kind}\n" for c, start, end, kind in cut_to_targets(stretches, targets))
    atomic.write_text(output, "".join(lines))


def coverage_regions(reference: Path, *, par: Sequence[Region] = ()) -> list[tuple[str, int, int, str]]:
    """Return the non-N stretches of autosomes, X and Y as (contig, start, end, kind), 0-based half-open.

    They come in genome order. ``kind`` is ``autosome``, ``X``, ``Y`` or ``PAR``; ``par`` cuts X and Y. Autosomes are
    the contigs with a number as name, with or without ``chr``; where no contig has one, all but X, Y and MT. Decoys
    and alternate contigs are left out.
    """
    with pysam.FastaFile(str(reference)) as fasta:
        numbered = any(is_autosome(contig) for contig in fasta.references)
        regions = []
        for contig in fasta.references:
            kind = chromosome_kind(contig)
            if kind == "MT" or (kind == "autosome" and numbered and not is_autosome(contig)):
                continue
            pars = [p for p in par if kind in ("X", "Y") and chromosome_kind(p.contig) == kind]
            for start, end in non_n(fasta.fetch(contig).encode("ascii")):
                regions += [(contig, *piece) for piece in _cut(start, end, kind, pars)]
    return regions


def non_n(bases: bytes) -> list[tuple[int, int]]:
    """Return the maximal stretches without N or n, 0-based half-open."""
    known = (np.frombuffer(bases, dtype=np.uint8) & 0xDF) != ord("N")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _cut(start: int, end: int, kind: str, pars: Iterable[Region]) -> list[tuple[int, int, str]]:
    """Return a stretch (0-based half-open) cut at the borders of ``pars`` (1-based inclusive)."""
    pieces, at = [], start
    for par in sorted(pars):
        low, high = max(at, par.start - 1), min(end, par.end)
        if low < high:
            pieces += [(at, low, kind)] if at < low else []
            pieces.append((low, high, "PAR"))
            at = high
    return pieces + ([(at, end, kind)] if at < end else [])
