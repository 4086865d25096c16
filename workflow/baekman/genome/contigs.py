"""The contigs of a reference: length and M5, as the SAM specification defines it."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from baekman.files import atomic
from baekman.tools import programs as tools

FASTA = "reference.fa"


@dataclass(frozen=True, kw_only=True)
class Contig:
    """A contig of a reference.

    ``length``: number of bases. ``m5``: MD5 of the upper-case bases, as in the M5 of SAM's @SQ; "" if unknown.
    ``stored_md5``: MD5 of the bases that a cohort store keeps, where they differ (N for letters other than ACGT).
    """

    name: str
    length: int
    m5: str
    stored_md5: str = ""


def prepared(reference: Path, *, cache: Path) -> tuple[Path, dict[str, Contig]]:
    """A plain FASTA of ``reference`` with its index, and its contigs by name, in order.

    Both are made once, in the folder ``cache`` (the FASTA's own folder may be read-only; a plain one is
    linked), and again when the FASTA changes. M5s are those of ``samtools dict``.
    """
    status = reference.stat()
    folder = cache / f"{status.st_size}.{status.st_mtime_ns}"
    if not folder.is_dir():
        try:
            with atomic.atomic_folder(folder) as made:
                _prepare(reference, made)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    contigs = contigs_in((folder / "contigs.sam").read_text(encoding="utf-8"))
    return folder / FASTA, {contig.name: contig for contig in contigs}


def _prepare(reference: Path, folder: Path) -> None:
    fasta = folder / FASTA
    if reference.suffix in (".gz", ".bgz"):
        with gzip.open(reference) as source, fasta.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    else:
        fasta.symlink_to(reference.resolve())
    samtools = tools.command("samtools")
    subprocess.run([*samtools, "faidx", str(fasta)], check=True, capture_output=True)
    made = subprocess.run([*samtools, "dict", str(fasta)], check=True, capture_output=True)
    lines = [f"@SQ\tSN:{c.name}\tLN:{c.length}\tM5:{c.m5}" for c in contigs_in(made.stdout.decode())]
    (folder / "contigs.sam").write_text("\n".join(lines) + "\n", encoding="utf-8")


def contigs_in(header: str) -> list[Contig]:
    """The contigs that a SAM header names (``@SQ``); malformed lines are left out."""
    found = []
    for line in header.splitlines():
        if not line.startswith("@SQ\t"):
            continue
        fields = dict(field.split(":", 1) for field in line.split("\t")[1:] if ":" in field)
        if fields.get("SN") and fields.get("LN", "").isdigit():
            found.append(Contig(name=fields["SN"], length=int(fields["LN"]), m5=fields.get("M5", "").lower()))
    return found


def differences(found: Iterable[Contig], reference: dict[str, Contig]) -> tuple[int, int]:
    """How many contigs of ``found`` are in ``reference`` too, and how many of these differ in length or M5.

    An M5 that is not told differs from none.
    """
    shared = [(contig, reference[contig.name]) for contig in found if contig.name in reference]
    differing = [one for one, other in shared if one.length != other.length or (one.m5 and one.m5 != other.m5)]
    return len(shared), len(differing)


def is_autosome(contig: str) -> bool:
    """Return whether a human contig's name (``chr7``, ``7``) is that of an autosome: a number."""
    return contig.removeprefix("chr").isdigit()
