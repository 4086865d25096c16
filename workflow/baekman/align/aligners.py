"""The aligners behind one interface: their indexes, and the command that aligns one lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baekman.tools import programs as tools
from baekman.tools.pipes import piped

# the files that an aligner needs next to the FASTA, as endings added to its name
INDEX_ENDINGS: dict[str, tuple[str, ...]] = {
    "bwa": (".amb", ".ann", ".bwt", ".pac", ".sa"),
    "bwa-mem2": (".0123", ".amb", ".ann", ".bwt.2bit.64", ".pac"),
    "minimap2": (".mmi",),
}
# bwa reads this number of bases at a time; a fixed number makes the result the same for any --threads
BATCH_BASES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Aligner:
    """An aligner (``name``: a key of ``INDEX_ENDINGS``) with the indexed FASTA ``reference`` and its threads."""

    name: str
    reference: Path
    threads: int = 1

    def write_index(self) -> None:
        """Write the files of ``INDEX_ENDINGS`` next to the reference. Raises ``PipeFailed``."""
        command = tools.command(self.name)
        if self.name == "minimap2":
            piped([*command, "-x", "sr", "-d", f"{self.reference}.mmi", self.reference])
        else:
            piped([*command, "index", self.reference])

    def command(self, reads: Sequence[str], *, read_group: str) -> list[str]:
        """Return the command that aligns ``reads``: two files, or one with pairs in turn and single reads among them.

        ``read_group`` is the @RG line, its tabs written as backslash and t.
        """
        command = [*tools.command(self.name), *options(self.name), "-t", str(self.threads), "-R", read_group]
        if self.name == "minimap2":
            return [*command, f"{self.reference}.mmi", *reads]
        smart_pairing = ["-p"] if len(reads) == 1 else []
        return [*command, *smart_pairing, str(self.reference), *reads]


def options(name: str) -> list[str]:
    """Return the options of the aligner ``name`` that decide the result."""
    if name == "minimap2":
        # the index does not hold all of the preset: -x sr is needed on both sides
        return ["-a", "-x", "sr", "-Y"]
    return ["mem", "-K", str(BATCH_BASES), "-Y"]


def read_group(participant: str, lane: str, platform: str) -> str:
    """Return the @RG line of a lane, tabs as backslash and t for aligners; it holds the pseudonymous ID only."""
    fields = (f"ID:{participant}.{lane}", f"SM:{participant}", f"LB:{participant}", f"PL:{platform}")
    return "\\t".join(("@RG", *fields, f"PU:{participant}.{lane}"))
