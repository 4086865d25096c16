"""The sheet of a delivery of records, ``records.yaml``: institution, source, days and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal

from baekman.config.sheet import read_sheet, schema_problems
from baekman.errors import InputRefused, Problem
from baekman.files.untrusted import walk
from baekman.intake.delivery import SHEET_LIMIT, folder_problems, read_bounded

SHEET = "records.yaml"
Format = Literal["csv", "parquet", "omop"]
ENDINGS: Mapping[Format, tuple[str, ...]] = {"csv": (".csv", ".tsv"), "parquet": (".parquet",)}
COVERAGE_NAMES = ("coverage.csv", "coverage.tsv", "coverage.parquet")


@dataclass(frozen=True, kw_only=True)
class RecordsSheet:
    """A checked sheet. Everything but ``source``, ``first``, ``last``, ``as_of`` and ``format`` is confidential.

    ``first`` and ``last``: the period, both inclusive; None where only ``coverage``, a file, states the days.
    ``files`` are those of events, relative to ``folder`` and sorted; for OMOP all files of the folder.
    """

    folder: Path
    name: str
    institution: str
    source: str
    first: date | None
    last: date | None
    as_of: datetime
    format: Format
    encoding: str
    files: tuple[str, ...]
    coverage: str | None


def read_records_sheet(folder: Path) -> RecordsSheet:
    """Read ``records.yaml`` in ``folder``; the files are not opened.

    ``as_of`` is the end of the period by default, ``delivery`` the source and ``as_of``. Without ``files`` all CSV or
    Parquet files count; a file ``coverage.csv`` or ``coverage.parquet`` states the coverage.

    Raises:
        InputRefused: The sheet is malformed, with all faults at once. No value of it is quoted.
    """
    problems: list[Problem] = []
    content = read_bounded(folder, SHEET, SHEET_LIMIT, problems)
    loaded = read_sheet(content, file=SHEET, problems=problems) if content is not None else None
    if loaded is not None:
        loaded = {key: value.strip() if isinstance(value, str) else value for key, value in loaded.items()}
        problems += schema_problems(loaded, schema="records", file=SHEET)
    if loaded is None or problems:
        raise InputRefused(problems)
    if unreadable := folder_problems(folder):
        raise InputRefused(unreadable)
    names = sorted(name for name in walk(folder) if name != SHEET)
    coverage = loaded.get("coverage") or next((name for name in COVERAGE_NAMES if name in names), None)
    delivered = [name for name in names if name != coverage]
    format: Format | None = loaded.get("format") or _format_of(loaded.get("files") or delivered)
    problems += _problems(loaded, format=format, coverage=coverage)
    files = loaded.get("files") or _files_of(delivered, format)
    if not files:
        expected = f"files of the format {format}" if format else "files of one format (csv or parquet)"
        problems.append(Problem(file=SHEET, place="files", expected=expected, found="none in the folder"))
    if problems or format is None:
        raise InputRefused(problems)
    days = _days(loaded)
    as_of = _as_of(loaded) or datetime.combine(days["to"], time())
    return RecordsSheet(
        folder=folder,
        name=loaded.get("delivery") or f"{loaded['source']} {as_of.isoformat()}",
        institution=loaded["institution"],
        source=loaded["source"],
        first=days.get("from"),
        last=days.get("to"),
        as_of=as_of,
        format=format,
        encoding=loaded.get("encoding", "utf-8"),
        files=tuple(sorted(files)),
        coverage=coverage if format != "omop" else None,
    )


def _format_of(names: list[str]) -> Format | None:
    """Return the format that the endings of ``names`` show; None where they show none or several."""
    shown = [form for form, endings in ENDINGS.items() if any(name.lower().endswith(endings) for name in names)]
    return shown[0] if len(shown) == 1 else None


def _files_of(names: list[str], form: Format | None) -> list[str]:
    endings = ENDINGS.get(form, ()) if form else ()
    return names if form == "omop" else [name for name in names if name.lower().endswith(endings)]


def _problems(sheet: Mapping[str, Any], *, format: Format | None, coverage: str | None) -> Iterator[Problem]:
    """Yield the faults that more than one key of a sheet of the right form has."""
    for key in ("from", "to"):
        if "period" in sheet and _date(sheet["period"][key]) is None:
            yield _problem(f"period.{key}", "a date that exists", "another one")
    if "as_of" in sheet and _as_of(sheet) is None:
        yield _problem("as_of", "a date and time that exist", "another one")
    if "period" not in sheet and coverage is None and format != "omop":
        expected = "the days that the source has seen, as a period from and to, or as a coverage file"
        yield _problem("period", expected, "neither")
    if "period" not in sheet and "as_of" not in sheet:
        yield _problem("as_of", "the date and time of the extraction, or a period that ends with it", "neither")
    if format is None and sheet.get("files"):
        yield _problem(
            "format", "csv, parquet or omop, or files that all end with .csv or all with .parquet", "neither"
        )
    if sheet.get("encoding", "utf-8") != "utf-8" and format != "csv":
        yield _problem("encoding", "utf-8, as only files of the format csv may have another", "another one")
    if coverage is not None and coverage in sheet.get("files", ()):
        yield _problem("coverage", "a file of its own", "one of the files of events")
    days = _days(sheet)
    if len(days) == 2 and days["from"] > days["to"]:
        yield _problem("period.to", "a day that is not before the first", "an earlier one")
    as_of = _as_of(sheet)
    if as_of is not None and "to" in days and days["to"] > as_of.date():
        yield _problem("period.to", "a day that is not after as_of", "a later one")


def _problem(place: str, expected: str, found: str) -> Problem:
    return Problem(file=SHEET, place=place, expected=expected, found=found)


def _days(sheet: Mapping[str, Any]) -> dict[str, date]:
    days = {key: _date(text) for key, text in sheet.get("period", {}).items()}
    return {key: day for key, day in days.items() if day is not None}


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _as_of(sheet: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(sheet["as_of"]) if "as_of" in sheet else None
    except ValueError:
        return None
