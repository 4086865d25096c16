"""Paired reads of a sequencer: fragments, duplicates, base qualities, errors, lanes."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from test_genome.population import PEOPLE, Population, haplotype
from test_genome.reference import AUTOSOME, MT, N, Reference, Sequence, X, Y, pars

READ_LENGTH = 150
INSERT_MEAN, INSERT_SD, _INSERT_LEAST = 400, 60, 160
# The shares of fragments that are ligated from two places, and of reads that are not human.
_CHIMERIC, _FOREIGN = 0.004, 0.002
DUPLICATES = (0.05, 0.08)
MT_FOLD = 4.0  # depth of MT over depth of the autosome; it is hundreds in life, which would only cost time

# The four quality bins of a NovaSeq. A base is below Q37 more often late in a read and in the second read,
# and in some reads more than in others; an error then is as likely as the quality says.
_BINS = np.array([2, 11, 25, 37], dtype=np.uint8)
_LOW_AT_START, _LOW_AT_END = (0.02, 0.03), (0.07, 0.12)
_READ_SPREAD = 0.6
_SHARE_Q2, _SHARE_Q11 = 0.01, 0.25

_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[np.frombuffer(b"ACGT", dtype=np.uint8)] = np.frombuffer(b"TGCA", dtype=np.uint8)
_CODE = np.zeros(256, dtype=np.uint8)
_CODE[np.frombuffer(b"ACGT", dtype=np.uint8)] = np.arange(4)
_LETTER = np.frombuffer(b"ACGT", dtype=np.uint8)

Matrix = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ReadPairs:
    """Two matrices of bases and two of phred qualities, one row per pair."""

    bases: tuple[Matrix, Matrix]
    qualities: tuple[Matrix, Matrix]

    def __len__(self) -> int:
        return len(self.bases[0])

    def take(self, rows: npt.NDArray[np.intp]) -> ReadPairs:
        """Return the pairs of these rows."""
        first, second = ((first[rows], second[rows]) for first, second in (self.bases, self.qualities))
        return ReadPairs(first, second)


def chromosomes(reference: Reference, population: Population, key: str) -> tuple[list[Sequence], list[Sequence]]:
    """Return the nuclear and the mitochondrial haplotypes of a person; a man's Y has his own PARs, not N."""
    sex = next(person.sex for person in PEOPLE if person.key == key)

    def part(contig: str, column: int, start: int = 0, end: int | None = None) -> Sequence:
        return haplotype(reference, population, key, contig, column, start=start, end=end)

    nuclear = [part(AUTOSOME, 0), part(AUTOSOME, 1), part(X, 0)]
    if sex == "female":
        nuclear.append(part(X, 1))
    else:
        on_x, on_y = pars(reference, X), pars(reference, Y)
        middle = part(Y, 0, on_y[0].end, on_y[1].start)
        par1, par2 = (part(X, 1, par.start, par.end) for par in on_x)
        nuclear.append(np.concatenate([par1, middle, par2]))
    return nuclear, [part(MT, 0)]


def draw_pairs(
    rng: np.random.Generator,
    people: list[tuple[tuple[list[Sequence], list[Sequence]], float]],
) -> ReadPairs:
    """Draw the read pairs of a specimen.

    ``people`` has the chromosomes and the depth (per two copies, without duplicates) of each person in it.
    """
    parts = []
    for (nuclear, mitochondrial), depth in people:
        parts.append(_fragments(rng, nuclear, depth / 2))
        parts.append(_fragments(rng, mitochondrial, depth * MT_FOLD))
    share = rng.uniform(*DUPLICATES)
    first = np.concatenate([part[0] for part in parts])
    second = np.concatenate([part[1] for part in parts])
    copied = rng.integers(len(first), size=round(len(first) * share / (1 - share)))
    order = rng.permutation(np.concatenate([np.arange(len(first)), copied]))
    sequenced = [_sequence(rng, bases[order], mate) for mate, bases in enumerate((first, second))]
    return ReadPairs((sequenced[0][0], sequenced[1][0]), (sequenced[0][1], sequenced[1][1]))


def write_fastq(path: Path, pairs: ReadPairs, *, mate: int, flow_cell: str, lane: int) -> None:
    """Write gzipped FASTQ of one mate (0 or 1) with Illumina read names, which are equal for both mates."""
    count = len(pairs)
    prefix = f"@A00417:212:{flow_cell}:{lane}:".encode()
    # Tile, x and y have a fixed width so that all records are rows of one matrix.
    per_tile = 800
    index = np.arange(count)
    tile = 1101 + index // per_tile
    rng = np.random.default_rng([count, lane])
    x = 10_000 + rng.integers(22_000, size=count)
    y = 10_000 + (index % per_tile) * 33 + rng.integers(33, size=count)
    name = [_digits(tile, 4), b":", _digits(x, 5), b":", _digits(y, 5)]
    tail = f" {mate + 1}:N:0:GATTACCA+TTGCAGTC\n".encode()
    fields = [prefix, *name, tail, pairs.bases[mate], b"\n+\n", pairs.qualities[mate] + np.uint8(33), b"\n"]
    rows = np.hstack([_repeat(field, count) if isinstance(field, bytes) else field for field in fields])
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as out:
        out.write(rows.tobytes())


def _fragments(rng: np.random.Generator, molecules: list[Sequence], depth: float) -> tuple[Matrix, Matrix]:
    """Draw fragments evenly from the molecules, ``depth`` fold each; return both ends of the fragments."""
    bases = np.concatenate([part for molecule in molecules for part in (molecule, np.full(1, N, np.uint8))])
    gaps = np.concatenate([[0], np.cumsum(bases == N)])
    wanted = round(depth * (len(bases) - gaps[-1]) / (2 * READ_LENGTH))
    drawn = int(wanted * 1.5) + 200
    starts = rng.integers(len(bases), size=drawn)
    lengths = np.maximum(rng.normal(INSERT_MEAN, INSERT_SD, size=drawn).astype(np.int64), _INSERT_LEAST)
    ends = starts + lengths
    whole = ends <= len(bases)
    whole[whole] = gaps[ends[whole]] == gaps[starts[whole]]
    starts, ends = starts[whole][:wanted], ends[whole][:wanted]
    if len(starts) < wanted:
        raise ValueError("the molecules are too short for their fragments")
    along = np.arange(READ_LENGTH)
    forward = bases[starts[:, None] + along]
    backward = _COMPLEMENT[bases[ends[:, None] - 1 - along]]
    chimeric = np.flatnonzero(rng.random(wanted) < _CHIMERIC)
    backward[chimeric] = backward[rng.permutation(chimeric)]
    foreign = np.flatnonzero(rng.random(wanted) < _FOREIGN)
    for ends_of_foreign in (forward, backward):
        ends_of_foreign[foreign] = _LETTER[rng.integers(4, size=(len(foreign), READ_LENGTH))]
    swap = (rng.random(wanted) < 0.5)[:, None]
    return np.where(swap, backward, forward), np.where(swap, forward, backward)


def _sequence(rng: np.random.Generator, bases: Matrix, mate: int) -> tuple[Matrix, Matrix]:
    """Return the bases with the errors of a sequencer, and their qualities."""
    cycle = np.linspace(0, 1, READ_LENGTH, dtype=np.float32) ** 2
    low = _LOW_AT_START[mate] + (_LOW_AT_END[mate] - _LOW_AT_START[mate]) * cycle
    spread = rng.lognormal(-(_READ_SPREAD**2) / 2, _READ_SPREAD, size=(len(bases), 1)).astype(np.float32)
    ratio = rng.random(bases.shape, dtype=np.float32) / (low * spread)
    qualities = np.full(bases.shape, _BINS[3])
    qualities[ratio < 1] = _BINS[2]
    qualities[ratio < _SHARE_Q11] = _BINS[1]
    qualities[ratio < _SHARE_Q2] = _BINS[0]
    wrong_at = (10.0 ** (-np.arange(64, dtype=np.float32) / 10)).astype(np.float32)
    rows, columns = np.nonzero(rng.random(bases.shape, dtype=np.float32) < wrong_at[qualities])
    read = bases.copy()
    shifted = (_CODE[read[rows, columns]] + rng.integers(1, 4, size=len(rows), dtype=np.uint8)) % 4
    read[rows, columns] = _LETTER[shifted]
    read[qualities == _BINS[0]] = N
    return read, qualities


def _digits(numbers: npt.NDArray[np.int64], width: int) -> Matrix:
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def _repeat(text: bytes, count: int) -> Matrix:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (count, len(text)))
