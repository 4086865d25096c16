"""The fields of records for the search of identifiers: their names, and the numbers among them.

A hospital's record number may have as many digits as a position in the genome. So a registered number counts only
where the format has text: not as a position, nor in a field that the header declares as a number.
"""

from __future__ import annotations

import re

from baekman.genome.vcf_header import definitions

_VCF_COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
_DIGITS = re.compile(rb"[0-9]+")
# names of phase sets, and other alignments, contain positions
_POSITIONED_KEYS = frozenset({b"PID"})
_POSITIONED_TAGS = frozenset({b"SA", b"XA", b"OA", b"MC", b"MD", b"OC", b"CG"})


class VcfLayout:
    """Lines of VCF records; the file's ``header`` declares which fields hold numbers."""

    def __init__(self, header: str) -> None:
        numeric: dict[str, set[bytes]] = {"INFO": set(), "FORMAT": set()}
        for field in definitions(header, *numeric):
            if field.fields.get("Type") in ("Integer", "Float"):
                numeric[field.kind].add(field.id.encode("utf-8", "surrogateescape"))
        self._numeric_info, self._numeric_format = numeric["INFO"], numeric["FORMAT"]

    def place(self, line: bytes, at: int) -> str:
        """Return the name of the column at byte ``at``."""
        column = line.count(b"\t", 0, at)
        return f"{_VCF_COLUMNS[column]} column" if column < len(_VCF_COLUMNS) else "sample column"

    def is_number(self, line: bytes, at: int) -> bool:
        """Return whether the digits at byte ``at`` are a position or the value of a numeric field."""
        fields = line.split(b"\t")
        column = line.count(b"\t", 0, at)
        digits = _DIGITS.match(line, at)
        if len(fields) < 8 or digits is None:
            return False
        if digits[0] == fields[1] or _VCF_COLUMNS[min(column, 8)] in ("POS", "ALT", "QUAL"):
            return True
        begins = line.rfind(b"\t", 0, at) + 1
        if column == 7:
            key, is_value, _ = line[max(begins, line.rfind(b";", begins, at) + 1) : at].partition(b"=")
            return bool(is_value) and key in self._numeric_info
        keys = fields[8].split(b":") if column > 8 else []
        number = line.count(b":", begins, at)
        return number < len(keys) and (keys[number] in self._numeric_format or keys[number] in _POSITIONED_KEYS)


class TagLayout:
    """Lines of one SAM tag each, ``<tab>TG:Z:value``."""

    def place(self, line: bytes, at: int) -> str:
        """Return the name of the tag."""
        return f"tag {line[1:3].decode('ascii', 'replace')}"

    def is_number(self, line: bytes, at: int) -> bool:
        """Return whether the tag holds positions."""
        return line[1:3] in _POSITIONED_TAGS
