"""The manifest of a delivery, ``manifest.tsv``: one row per delivered file, as the institution wrote it."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from baekman.config.schema_errors import Fault, faults
from baekman.config.sheet import decode, describe
from baekman.errors import Problem
from baekman.files.spreadsheets import cell_fault

FileKind = Literal["fastq_1", "fastq_2", "bam", "cram", "gvcf"]

MANIFEST = "manifest.tsv"
COLUMNS = ("specimen_id", "file", "kind", "read_group", "sha256", "md5", "size")
REQUIRED_COLUMNS = ("specimen_id", "file", "kind", "size")
# A value that is meant as a size may be quoted; it is too short for a number of a person.
QUOTABLE_SIZE = re.compile(r"[0-9][0-9.,eE+kKMGB ]{0,7}")
COLUMNS_WANTED = "the manifest is tab separated, with the columns " + " ".join(COLUMNS)
FIELD_LIMIT = 4096  # characters
PROBLEM_LIMIT = 200


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One delivered file.

    ``row`` is the 1-based line of the manifest; the header is line 1. ``sha256`` and ``md5`` are in lower case, ""
    where absent. ``size`` is in bytes.
    """

    row: int
    barcode: str
    file: str
    kind: FileKind
    read_group: str
    sha256: str
    md5: str
    size: int

    @property
    def encrypted(self) -> bool:
        """True if the file is a Crypt4GH container; checksum and size are then those of the plaintext."""
        return self.file.endswith(".c4gh")


def parse_manifest(content: bytes, *, problems: list[Problem]) -> list[ManifestRow]:
    """Return the rows of ``manifest.tsv`` and append its faults to ``problems``; unknown columns are ignored.

    Parsing stops when there are more than ``PROBLEM_LIMIT`` problems.
    """
    text = decode(content, file=MANIFEST, problems=problems)
    if text is None:
        return []
    if not text.strip():
        problems.append(Problem(file=MANIFEST, expected="a header", found="an empty file", action=COLUMNS_WANTED))
        return []
    # a lone carriage return is the line end of older programs on a Mac
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    header = [name.strip() for name in fields_of(lines[0]) or lines[0].split("\t")]
    header_problems = _header_problems(header)
    problems.extend(header_problems)
    if header_problems:
        return []
    rows: list[ManifestRow] = []
    seen: dict[tuple[str, str, str], int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        row = _parse_row(line, header, number, problems=problems)
        if row is None:
            if len(problems) > PROBLEM_LIMIT:
                return rows
            continue
        key = (row.barcode, row.kind, row.read_group)
        if row.kind.startswith("fastq") and key in seen:
            problems.append(
                Problem(
                    file=MANIFEST,
                    place=f"line {number}, column read_group",
                    expected=f"one {row.kind} per specimen and read group",
                    found=f"a second one (the first is in line {seen[key]})",
                    action="give every lane its own read_group",
                )
            )
        seen.setdefault(key, number)
        rows.append(row)
    if not rows and not problems:
        problems.append(Problem(file=MANIFEST, expected="one line per delivered file", found="only the header"))
    return rows


def _header_problems(header: list[str]) -> list[Problem]:
    """Return a problem for each required column that is missing, and for each column that is repeated."""
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if not {"sha256", "md5"} & set(header):
        missing.append("sha256 (or md5)")
    without = "one column, which is another" if len(header) == 1 else f"{len(header)} columns without it"
    return [
        *(
            Problem(file=MANIFEST, place="line 1", expected=f"the column {name}", found=without, action=COLUMNS_WANTED)
            for name in missing
        ),
        *(
            Problem(file=MANIFEST, place="line 1", expected=f"one column {name}", found=str(header.count(name)))
            for name in COLUMNS
            if header.count(name) > 1
        ),
    ]


def _parse_row(line: str, header: list[str], number: int, *, problems: list[Problem]) -> ManifestRow | None:
    """Return the row in ``line``; append its faults to ``problems`` and return None when it is malformed."""
    values = fields_of(line)
    if values is None:
        expected = 'a field in quotes that ends in the same line, with "" for a quote inside'
        problems.append(Problem(file=MANIFEST, place=f"line {number}", expected=expected, found="a lone quote"))
        return None
    if len(values) != len(header):
        expected = f"{len(header)} tab-separated fields, as in the header"
        problems.append(Problem(file=MANIFEST, place=f"line {number}", expected=expected, found=str(len(values))))
        return None
    oversized = [name for name, value in zip(header, values, strict=True) if len(value) > FIELD_LIMIT]
    for name in oversized:
        # the name of an unknown column may be anything, a person's name among it
        place = f"line {number}, column {name}" if name in COLUMNS else f"line {number}"
        problems.append(Problem(file=MANIFEST, place=place, expected=f"at most {FIELD_LIMIT} characters", found="more"))
    if oversized:
        return None
    stripped = ((name, value.strip(" ")) for name, value in zip(header, values, strict=True))
    fields = {name: value for name, value in stripped if name in COLUMNS and value}
    row_problems = [_row_problem(fault, number) for fault in faults("manifest", fields)]
    row_problems += _cell_problems(fields, number)
    problems.extend(row_problems)
    return None if row_problems else _row(fields, number)


def _row(fields: Mapping[str, str], number: int) -> ManifestRow:
    kind: Any = fields["kind"]
    return ManifestRow(
        row=number,
        barcode=fields["specimen_id"],
        file=plain_path(fields["file"]),
        kind=kind,
        read_group=fields.get("read_group", ""),
        sha256=fields.get("sha256", "").lower(),
        md5=fields.get("md5", "").lower(),
        size=int(fields["size"]),
    )


def fields_of(line: str) -> list[str] | None:
    """Return the fields of a tab-separated line; None where a quote is not closed.

    A field may stand in double quotes, as spreadsheets write one with a comma or a quote, which is doubled inside.
    """
    if '"' not in line:
        return line.split("\t")
    try:
        (fields,) = csv.reader([line], delimiter="\t", strict=True)
    except (csv.Error, ValueError):
        return None
    return fields


def plain_path(path: str) -> str:
    """Return the ``path`` of a delivered file as it is looked up: ``./`` and doubled ``/`` go, a backslash is ``/``.

    ``..`` and a ``/`` at the beginning stay, and are refused.
    """
    path = path.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def _cell_problems(fields: Mapping[str, str], number: int) -> list[Problem]:
    """Return a problem for each label and path that a spreadsheet has replaced by something else."""
    return [
        Problem(
            file=MANIFEST,
            place=f"line {number}, column {column}",
            expected="a value as it was assigned",
            found=fault,
            action="format the column as text in the spreadsheet and enter the value again",
        )
        for column in ("specimen_id", "file")
        if (fault := cell_fault(fields.get(column, "")))
    ]


def _row_problem(fault: Fault, number: int) -> Problem:
    """Return the line that reports ``fault`` of line ``number`` of the manifest."""
    if fault.rule == "required":
        place = f"line {number}, column {fault.keys[0]}"
        return Problem(file=MANIFEST, place=place, expected="a value", found="an empty field")
    if fault.rule == "anyOf":
        place, expected = f"line {number}, column sha256", "a checksum (sha256 or md5)"
        return Problem(file=MANIFEST, place=place, expected=expected, found="an empty field")
    quotable = _is_quotable(fault.place, str(fault.value))
    return Problem(
        file=MANIFEST,
        place=f"line {number}, column {fault.place}",
        expected=fault.expected,
        found=repr(fault.value) if quotable else describe(fault.value),
    )


def _is_quotable(column: str, value: str) -> bool:
    """Return whether ``value`` is a misspelling, and not the confidential value of another column."""
    if column == "kind":
        return bool(difflib.get_close_matches(value, get_args(FileKind)))
    return column == "size" and bool(QUOTABLE_SIZE.fullmatch(value))


def limited(problems: list[Problem]) -> list[Problem]:
    """Return at most ``PROBLEM_LIMIT`` problems, and one more that reports that the rest is not listed."""
    if len(problems) <= PROBLEM_LIMIT:
        return problems
    more = Problem(file=MANIFEST, expected="a manifest", found="more faults than are listed here")
    return [*problems[:PROBLEM_LIMIT], more]
