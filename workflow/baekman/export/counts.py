"""Samples and records of an export: those that were encoded, and those in the finished file."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import pysam

from baekman.errors import InputRefused, Problem
from baekman.files.bgzf_index import indexed_records

ENDING = ".records"  # of the file with the number of records, next to a piece
_LENGTHS = struct.Struct("<II")


def count_records(records: memoryview) -> int:
    """Return the number of whole BCF records in ``records`` (VCF specification, section 6.3)."""
    at = number = 0
    while at < len(records):
        at += 8 + sum(_LENGTHS.unpack_from(records, at))
        number += 1
    return number


def note_of(piece: Path) -> Path:
    """Return the file with the number of records of ``piece``, which is written before the piece."""
    return piece.with_name(piece.name + ENDING)


def require_whole(output: Path, *, pieces: Sequence[Path], samples: int) -> None:
    """Raise InputRefused, and delete ``output``, unless it has all records of the ``pieces`` and all ``samples``.

    BGZF files are counted by their index, other files by their lines or shapes.
    """
    expected = (samples, sum(int(note_of(piece).read_text()) for piece in pieces))
    observed = _counts(output)
    if observed == expected:
        return
    if output.is_dir():
        shutil.rmtree(output)
    else:
        output.unlink()
    raise InputRefused(
        Problem(
            file=output.name,
            expected=f"{expected[0]} participants and {expected[1]} records, as the cohort gave",
            found=f"{observed[0]} and {observed[1]}",
            action="run the same command again: the file was deleted",
        )
    )


def _counts(output: Path) -> tuple[int, int]:
    """Return the numbers of samples and records in a finished export."""
    if output.is_dir():
        return _length(output / "sample_id"), _length(output / "variant_position")
    if output.suffix == ".pgen":
        return _lines(output.with_suffix(".psam")), _lines(output.with_suffix(".pvar"))
    with pysam.VariantFile(str(output)) as file:
        samples = len(file.header.samples)
    if output.suffix in (".bcf", ".gz"):
        records = indexed_records(output)
        return samples, -1 if records is None else records
    return samples, _lines(output)


def _length(array: Path) -> int:
    """Return the length of a Zarr array, by its metadata of either version of the format."""
    for name in ("zarr.json", ".zarray"):
        if (array / name).is_file():
            return int(json.loads((array / name).read_text(encoding="utf-8"))["shape"][0])
    return -1


def _lines(path: Path) -> int:
    """Return the number of lines of a text after its header."""
    number = 0
    with path.open("rb") as text:
        for first in text:
            if not first.startswith(b"#"):
                number = 1
                break
        while block := text.read(1 << 20):
            number += block.count(b"\n")
    return number
