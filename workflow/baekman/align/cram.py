"""The CRAM of a participant: its index, and its header without paths and command lines."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pysam

from baekman.tools import programs as tools
from baekman.tools.pipes import piped

# CRAM 3.0: htsjdk before 2024, and so many readers in the field, does not know the newer codecs of 3.1
CRAM_FORMAT = "cram,version=3.0"


def index_of(cram: Path) -> Path:
    """Return the path of the index of ``cram``."""
    return cram.with_name(cram.name + ".crai")


def write_index(cram: Path) -> None:
    """Write ``<cram>.crai``. Raises ``PipeFailed``."""
    piped([*tools.command("samtools"), "index", cram, index_of(cram)])


def count_reads(cram: Path) -> int:
    """Return the number of reads in ``cram``; secondary and supplementary alignments are no reads.

    No bases are decoded. Raises ``PipeFailed``.
    """
    options = ["--input-fmt-option", "required_fields=0x2"]  # the flags
    return int(piped([*tools.command("samtools"), "view", "-c", "-F", "0x900", *options, cram]))


def last_lane(cram: Path) -> int:
    """Return the greatest number of a lane among the read groups of a participant's CRAM (``<ID>.L<number>``)."""
    with pysam.AlignmentFile(str(cram), check_sq=False) as opened:
        groups = opened.header.to_dict().get("RG", [])
    lanes = (str(group.get("ID", "")).rpartition(".L")[2] for group in groups)
    return max((int(lane) for lane in lanes if lane.isdecimal()), default=0)


def clean_header(cram: Path) -> None:
    """Remove each path and command line from the header of ``cram``, in place (the header only gets shorter).

    htslib writes the path of the reference into @SQ (UR), tools write their command lines into @PG (CL).
    Raises ``PipeFailed``.
    """
    samtools = tools.command("samtools")
    header = piped([*samtools, "view", "-H", "--no-PG", cram]).decode()
    with tempfile.TemporaryDirectory(prefix="baekman-") as scratch:
        cleaned = Path(scratch, "header.sam")
        kept = (clean_header_line(line) for line in header.splitlines())
        cleaned.write_text("".join(f"{line}\n" for line in kept if line), encoding="utf-8")
        piped([*samtools, "reheader", "--no-PG", "-i", cleaned, cram])


def clean_header_line(line: str) -> str:
    """Return ``line`` without the fields UR and CL; "" for a comment."""
    if line.startswith("@CO"):
        return ""
    return "\t".join(field for field in line.split("\t") if not field.startswith(("UR:", "CL:")))
