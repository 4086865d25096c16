"""The header of a VCF: the lines that begin with ``#``, their definitions, contigs and samples."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baekman.genome.contigs import Contig

BLOCK_BYTES = 1 << 16
# possessive: a hostile header costs no more than its length, and no comma of a quoted text ends a field
_FIELD = re.compile(r'([^=,"]++)=("(?:[^"\\]|\\.)*+"?+[^,]*+|[^,]*+),?+')
# as callers write the thousands of GRCh38: an ID, a length, perhaps others but an M5, and no quotes
_PLAIN_CONTIG = re.compile(
    r'^##contig=<ID=([^,="\s]++),length=([0-9]++)(?:>|(?:,(?!\s*(?:ID|length|md5)\s*=)[^,="\n]++=[^,"\n]*+)++(?<=>))$',
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A header line ``##KIND=<ID=…,…>``; ``fields`` holds all of its fields, texts without their quotes."""

    kind: str
    id: str
    fields: dict[str, str]


class HeaderText:
    """The header lines at the head of a VCF text, collected as its blocks pass."""

    def __init__(self) -> None:
        self._lines = bytearray()
        self._rest = b""
        self.is_whole = False

    def __len__(self) -> int:
        return len(self._lines) + len(self._rest)

    def __str__(self) -> str:
        return self._lines.decode("utf-8", "surrogateescape")

    def feed(self, block: bytes) -> bytes:
        """Take the header lines of the next ``block`` and return the bytes of records; none before the header ends."""
        if self.is_whole:
            return block
        unread = self._rest + block
        end = lines_end(unread, b"#")
        self._lines += unread[:end]
        self._rest = unread[end:]
        # without a line's end, a header line may only have begun
        self.is_whole = bool(self._rest) and (b"\n" in self._rest or not self._rest.startswith(b"#"))
        if not self.is_whole:
            return b""
        records, self._rest = self._rest, b""
        return records


def lines_end(text: bytes, mark: bytes) -> int:
    """Return the offset in ``text`` at which its leading lines that begin with ``mark`` end; whole lines only."""
    if not text.startswith(mark):
        return 0
    other = re.search(rb"\n(?!" + re.escape(mark) + rb")", text)
    return other.end() if other else text.rfind(b"\n") + 1


def read_header(path: Path) -> str:
    """Read the header of the gzip-compressed VCF ``path``."""
    header = HeaderText()
    with gzip.open(path) as content:
        while not header.is_whole and (block := content.read(BLOCK_BYTES)):
            header.feed(block)
    return str(header)


def vcf_samples(header: str) -> tuple[str, ...]:
    """Return the names of the sample columns; none where the last line of ``header`` is no ``#CHROM`` line."""
    last = header.rstrip("\r\n").rsplit("\n", 1)[-1]
    return tuple(last.split("\t")[9:]) if last.startswith("#CHROM\t") else ()


def definitions(header: str, *kinds: str) -> Iterator[Definition]:
    """Generate the definitions of ``kinds`` (``contig``, ``FILTER``, ``INFO``, …; all without one) that have an ID."""
    for line in header.split("\n"):
        if not line.startswith("##"):
            continue
        kind, opened, rest = line[2:].partition("=<")
        if not opened or (kinds and kind not in kinds):
            continue
        fields = _fields(rest.rstrip().removesuffix(">"))
        if fields.get("ID"):
            yield Definition(kind=kind, id=fields["ID"], fields=fields)


def vcf_contigs(header: str) -> tuple[Contig, ...]:
    """Return the contigs that ``header`` defines; the length is -1 where it is no number."""
    plain = _PLAIN_CONTIG.findall(header)
    if len(plain) == header.count("##contig=<"):
        return tuple(Contig(name=name, length=int(length), m5="") for name, length in plain)
    return tuple(
        Contig(
            name=contig.id,
            length=int(length) if (length := contig.fields.get("length", "")).isdigit() else -1,
            m5=contig.fields.get("md5", "").lower(),
        )
        for contig in definitions(header, "contig")
    )


def _fields(text: str) -> dict[str, str]:
    if '"' not in text:
        pairs = (field.partition("=") for field in text.split(","))
        return {name.strip(): value for name, equals, value in pairs if name and equals}
    fields = {}
    at = 0
    while at < len(text):
        if field := _FIELD.match(text, at):
            fields[field[1].strip()] = field[2].strip('"')
            at = field.end()
        else:
            at = text.find(",", at) + 1 or len(text)
    return fields
