"""Shards: tiles of the reference, which bound every chunk of work for the life of a store."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from baekman.errors import InputRefused, Problem
from baekman.genome.regions import Region

DEFAULT_SHARD_BASES = 3_000_000
SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
HEADER = ("shard", "contig", "start", "end")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A tile: ``start`` and ``end`` are 1-based and inclusive; ``name`` is the zero-padded number."""

    name: str
    contig: str
    start: int
    end: int


def tile(known: npt.NDArray[np.bool_], *, bases: int) -> list[tuple[int, int]]:
    """Cut a contig into tiles with about ``bases`` non-N bases each.

    ``known`` is True where the reference base is not N. Returns 1-based inclusive (start, end) pairs. They tile the
    whole contig, N included, so that every record has a shard.
    """
    length = len(known)
    total = int(known.sum())
    pieces = max(1, round(total / bases))
    cumulative = np.cumsum(known)
    targets = [total * piece // pieces for piece in range(1, pieces)]
    cuts = [int(np.searchsorted(cumulative, target)) + 1 for target in targets]
    borders = [0, *cuts, length]
    return [(begin + 1, end) for begin, end in itertools.pairwise(borders) if end > begin]


def make_shards(
    contigs: Iterable[tuple[str, npt.NDArray[np.uint8]]], *, bases: int = DEFAULT_SHARD_BASES
) -> list[Shard]:
    """Tile a reference; ``contigs`` are (name, upper-case bases) in the order of the reference."""
    shards: list[Shard] = []
    for name, sequence in contigs:
        for start, end in tile(sequence != ord("N"), bases=bases):
            shards.append(Shard(name=f"{len(shards):05d}", contig=name, start=start, end=end))
    return shards


def read_shards(path: Path) -> list[Shard]:
    """Read a shard table (TSV ``shard contig start end``, 1-based inclusive).

    Raises InputRefused with every line that is malformed.
    """
    problems: list[Problem] = []
    shards: list[Shard] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputRefused(
            Problem(file=path.name, expected="a shard table", found="no file that can be read as UTF-8 text")
        ) from None
    if not lines or tuple(lines[0].split("\t")) != HEADER:
        raise InputRefused(
            Problem(
                file=path.name,
                place="line 1",
                expected="the columns shard, contig, start, end",
                found="others",
            )
        )
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != 4 or not (fields[2].isdecimal() and fields[3].isdecimal()):
            problems.append(
                Problem(
                    file=path.name,
                    place=f"line {number}",
                    expected="shard, contig, start and end separated by tabs",
                    found=f"{len(fields)} columns" if len(fields) != 4 else "a start or end that is no number",
                )
            )
            continue
        if not SHARD_NAME.fullmatch(fields[0]):
            problems.append(
                Problem(
                    file=path.name,
                    place=f"line {number}",
                    expected="a shard's name of letters, digits, '.', '_' or '-' that can name a file",
                    found="something else",
                )
            )
        shards.append(Shard(name=fields[0], contig=fields[1], start=int(fields[2]), end=int(fields[3])))
    if problems:
        raise InputRefused(problems)
    return shards


def check_tiling(shards: Sequence[Shard], lengths: dict[str, int], *, file: str) -> None:
    """Raise InputRefused unless the shards tile every contig of the reference exactly once, in order.

    ``lengths``: contig -> number of bases. ``file``: name of the shard table in messages.
    """
    problems: list[Problem] = []
    by_contig: dict[str, list[Shard]] = {}
    for shard in shards:
        by_contig.setdefault(shard.contig, []).append(shard)
    for contig in by_contig.keys() - lengths.keys():
        problems.append(
            Problem(
                file=file,
                place=f"contig {contig}",
                expected="a contig of the reference",
                found="none of that name",
            )
        )
    if len({shard.name for shard in shards}) != len(shards):
        problems.append(Problem(file=file, expected="a name of its own for each shard", found="a name used twice"))
    pieces = [contig for contig, _ in itertools.groupby(shards, key=lambda shard: shard.contig)]
    for contig in sorted({contig for contig in pieces if pieces.count(contig) > 1}):
        problems.append(
            Problem(
                file=file,
                place=f"contig {contig}",
                expected="its shards one after the other",
                found="those of another contig between them",
            )
        )
    for contig, length in lengths.items():
        expected = 1
        for shard in by_contig.get(contig, []):
            if shard.start != expected or shard.end < shard.start:
                problems.append(
                    Problem(
                        file=file,
                        place=f"shard {shard.name}",
                        expected=f"start {expected}",
                        found=f"{shard.start}-{shard.end}",
                        action="shards must follow each other without gap or overlap",
                    )
                )
            expected = shard.end + 1
        if expected != length + 1:
            problems.append(
                Problem(
                    file=file,
                    place=f"contig {contig}",
                    expected=f"shards up to base {length}",
                    found=f"shards up to base {expected - 1}",
                )
            )
    if problems:
        raise InputRefused(problems)


def piece_regions(shards: Sequence[Shard], piece: str) -> list[Region]:
    """Return the regions of ``piece`` (``N-of-M``, from 1): the shards in M groups of neighbours, evenly."""
    number, groups = (int(text) for text in piece.split("-of-"))
    first, last = (len(shards) * border // groups for border in (number - 1, number))
    return [Region(shard.contig, shard.start, shard.end) for shard in shards[first:last]]


def format_shards(shards: Sequence[Shard]) -> str:
    """Return the shard table as text, the inverse of ``read_shards``."""
    rows = ["\t".join(HEADER)]
    rows += [f"{s.name}\t{s.contig}\t{s.start}\t{s.end}" for s in shards]
    return "\n".join(rows) + "\n"


def shards_hash(shards: Sequence[Shard]) -> str:
    """Return the SHA-256 of the shard table, which a store fixes for its life."""
    return hashlib.sha256(format_shards(shards).encode()).hexdigest()
