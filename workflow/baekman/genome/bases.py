"""The bases of a reference FASTA as a cohort store keeps them."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from baekman.errors import InputRefused, Problem
from baekman.genome.contigs import Contig
from baekman.tools import programs as tools

INDEXES = (".fai", ".gzi")
PLAIN = np.full(256, ord("N"), np.uint8)
PLAIN[[*b"ACGT"]] = [*b"ACGT"]


def upper_sequences(reference: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield name and bases (ASCII, upper case) of each contig of an indexed or indexable FASTA."""
    import pysam  # only the creation of a store needs it

    before = pysam.set_verbosity(0)  # the refusal has the message, not htslib
    try:
        fasta = pysam.FastaFile(str(reference))
    finally:
        pysam.set_verbosity(before)
    with fasta:
        for name in fasta.references:
            yield name, np.frombuffer(fasta.fetch(name).upper().encode(), np.uint8)


def plain(sequence: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a sequence with N for every letter but ACGT: a VCF allows no other in REF, and callers write N there.

    VCF 4.3 prescribes the first base in the alphabet that the letter stands for, but GATK and bcftools write N.
    """
    return PLAIN[sequence]


def read_contigs(reference: Path) -> tuple[list[Contig], str]:
    """Return the contigs of a FASTA, and the CRC-32 (hex) of all bases as the store has them."""
    if not reference.is_file():
        raise InputRefused(Problem(file=reference.name, expected="a reference FASTA", found="no such file"))
    require_index(reference)
    contigs: list[Contig] = []
    crc32 = 0
    try:
        for name, sequence in upper_sequences(reference):
            bases = plain(sequence)
            crc32 = isal_zlib.crc32(bases.data, crc32)
            stored = "" if np.array_equal(bases, sequence) else hashlib.md5(bases.data).hexdigest()
            m5 = hashlib.md5(sequence.data).hexdigest()
            contigs.append(Contig(name=name, length=len(sequence), m5=m5, stored_md5=stored))
    except (OSError, ValueError) as error:
        raise InputRefused(
            Problem(
                file=reference.name,
                expected="a FASTA that samtools faidx can index",
                found="one that it cannot",
                action="compress with bgzip, not gzip, or leave it plain",
            )
        ) from error
    return contigs, f"{crc32:08x}"


def require_index(reference: Path) -> None:
    """Raise InputRefused when an index next to a FASTA is not of its bases, for example of those before a change.

    Bases that a stale index finds are others, without any error. A FASTA without an index, and one that cannot be
    indexed, pass: the reader makes the index, or refuses the FASTA.
    """
    indexes = [path for ending in INDEXES if (path := reference.with_name(reference.name + ending)).is_file()]
    if not indexes:
        return
    with tempfile.TemporaryDirectory() as folder:
        made = {ending: Path(folder) / ending[1:] for ending in INDEXES}
        options = ["--fai-idx", str(made[".fai"]), "--gzi-idx", str(made[".gzi"])]
        command = [*tools.command("samtools"), "faidx", *options, str(reference)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return
        # a .gzi next to a plain FASTA is not read
        used = [path for path in indexes if made[path.suffix].is_file()]
        stale = [path for path in used if _content(path) != _content(made[path.suffix])]
    if stale:
        raise InputRefused(
            Problem(
                file=path.name,
                expected=f"the index of {reference.name}",
                found="that of other bases: the FASTA has changed since",
                action="delete it, or make it again with samtools faidx",
            )
            for path in stale
        )


def _content(index: Path) -> object:
    """Return the content of an index: the columns of a .fai, the bytes of a .gzi."""
    data = index.read_bytes()
    return data if index.name.endswith("gzi") else [line.split(b"\t")[:5] for line in data.splitlines()]
