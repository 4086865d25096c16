"""The registration table: what an institution pre-registers, one row per specimen.

Tab- or comma-separated UTF-8 with a header, columns in any order. Every problem of every file is reported
at once, with file, row (the header is row 1) and column, and never with the value.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from baekman.consent import ALL_SCOPES, Decision, Scope
from baekman.errors import InputRefused, Reason

REQUIRED_COLUMNS = (
    "institution",
    "specimen_id",
    "participant",
    "participant_type",
    "registered_sex",
    "consent",
    "consent_from",
)
OPTIONAL_COLUMNS = (
    "consent_to",
    "scopes",
    "consent_template",
    "consent_version",
    "birth_year",
    "name",
    "resident_registration_number",
    "array_genotypes",
)
COLUMNS = REQUIRED_COLUMNS + OPTIONAL_COLUMNS
# what must be found nowhere else: the leak scan of a registration table looks for these
CONFIDENTIAL_COLUMNS = ("institution", "specimen_id", "participant", "name", "resident_registration_number")

PARTICIPANT_TYPES = ("rare", "severe", "general")
SEXES = ("female", "male")
_DISEASE = re.compile(r"[ _-]disease$")
MAX_CHARACTERS = 200
MAX_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrationRow:
    """One row of a registration table, parsed. ``repr`` shows where it stands and none of its values."""

    file: str
    row: int
    institution: str
    specimen_id: str
    participant: str
    participant_type: str
    registered_sex: str
    decision: Decision
    scopes: tuple[Scope, ...]
    consent_from: date | None
    consent_to: date | None
    consent_template: str
    consent_version: str
    birth_year: int | None
    name: str
    resident_registration_number: str
    array_genotypes: Path | None
    source_hash: str

    def __repr__(self) -> str:
        return f"RegistrationRow({self.file}, row {self.row})"

    def reason(self, column: str, *, expected: str, found: str, action: str) -> Reason:
        """A reason to refuse this row."""
        return Reason(
            file=self.file,
            place=f"row {self.row}, column {column}",
            expected=expected,
            found=found,
            action=action,
        )


def read_registrations(files: Sequence[Path]) -> list[RegistrationRow]:
    """The rows of ``files``; InputRefused with every problem in any of them."""
    rows: list[RegistrationRow] = []
    problems: list[Reason] = []
    for file in files:
        try:
            rows += _read(file)
        except InputRefused as refused:
            problems += refused.reasons
    problems += _repeated_specimens(rows)
    if problems:
        raise InputRefused(problems)
    return rows


def read_table(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (row number, fields) of a tab- or comma-separated table; InputRefused when it is none."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError:
        raise _whole(file, "a readable file", "none", "check the path") from None
    if len(data) > MAX_BYTES:
        raise _whole(file, f"at most {MAX_BYTES} bytes", "more", "split the table")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        row = data.count(b"\n", 0, failure.start) + 1
        raise _whole(
            file, "UTF-8", f"other bytes in row {row}", "save the table as UTF-8 (not EUC-KR or CP949)"
        ) from None
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise _whole(file, "text", f"a NUL character in row {row}", "export the table again")
    first = text.split("\n", 1)[0]
    tabs = "\t" in first
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=not tabs,
    )
    lines: list[tuple[int, list[str]]] = []
    try:
        row = 1
        for fields in reader:
            if any(fields):
                lines.append((row, fields))
            row = reader.line_num + 1
    except csv.Error:
        raise _whole(
            file,
            "a table",
            f"a malformed or overlong field in row {reader.line_num}",
            "export the table again",
        ) from None
    if not lines:
        raise _whole(file, "a header", "an empty file", "export the table again")
    return [name.strip() for name in lines[0][1]], lines[1:]


def _whole(file: Path, expected: str, found: str, action: str) -> InputRefused:
    return InputRefused(Reason(file=file.name, expected=expected, found=found, action=action))


def _read(file: Path) -> list[RegistrationRow]:
    header, lines = read_table(file)
    problems = _header_problems(file.name, header)
    if problems:
        raise InputRefused(problems)
    source_hash = hashlib.sha256(file.read_bytes()).hexdigest()
    rows = []
    for number, fields in lines:
        if len(fields) != len(header):
            problems.append(
                Reason(
                    file=file.name,
                    place=f"row {number}",
                    expected=f"{len(header)} fields",
                    found=f"{len(fields)}",
                    action="check for a separator inside a field",
                )
            )
            continue
        parser = _Row(file, number, dict(zip(header, fields, strict=True)))
        row = parser.parse(source_hash)
        problems += parser.problems
        if not parser.problems:
            rows.append(row)
    if problems:
        raise InputRefused(problems)
    return rows


def _header_problems(file: str, header: list[str]) -> list[Reason]:
    problems = [
        Reason(file=file, place="row 1", expected=f"a column {name}", found="none", action="add it to the header")
        for name in REQUIRED_COLUMNS
        if name not in header
    ]
    for place, name in enumerate(header, 1):
        # the header is not quoted: where it is missing, the first row's values stand in its place
        if name not in COLUMNS:
            found, action = "another one", "rename or remove the column"
        elif name in header[: place - 1]:
            found, action = f"{name} a second time", "keep one of them"
        else:
            continue
        problems.append(
            Reason(
                file=file,
                place=f"row 1, field {place}",
                expected=f"a column of {' '.join(COLUMNS)}",
                found=found,
                action=action,
            )
        )
    return problems


class _Row:
    """The parser of one row; what does not fit is noted in ``problems``."""

    def __init__(self, file: Path, number: int, fields: dict[str, str]) -> None:
        self.file = file
        self.number = number
        self.fields = fields
        self.problems: list[Reason] = []

    def problem(self, column: str, expected: str, found: str, action: str = "correct the registration") -> None:
        self.problems.append(
            Reason(
                file=self.file.name,
                place=f"row {self.number}, column {column}",
                expected=expected,
                found=found,
                action=action,
            )
        )

    def text(self, column: str) -> str:
        """The field, NFC; empty when absent or refused."""
        value = self.fields.get(column, "").strip()
        if not value.isascii():
            value = unicodedata.normalize("NFC", value)
        found = unfit(value)
        if found:
            self.problem(column, f"at most {MAX_CHARACTERS} printable characters on one line", found)
            return ""
        if not value and column in REQUIRED_COLUMNS and column != "consent_from":
            self.problem(column, "a value", "none")
        return value

    def choice(self, column: str, choices: Sequence[str]) -> str:
        value = self.text(column).lower()
        if value and value not in choices:
            self.problem(column, f"one of {' '.join(choices)}", "another value")
            return ""
        return value

    def day(self, column: str) -> date | None:
        value = self.text(column)
        return self.parsed(column, value, "a date as YYYY-MM-DD", _date) if value else None

    def parsed(self, column: str, value: str, expected: str, parse: Callable[[str], date | None]) -> date | None:
        parsed = parse(value)
        if parsed is None:
            self.problem(column, expected, "another value")
        return parsed

    def birth_year(self) -> int | None:
        value = self.text("birth_year")
        if not value:
            return None
        if not re.fullmatch(r"(18|19|20)[0-9]{2}", value):
            self.problem("birth_year", "a year of four digits", "another value")
            return None
        return int(value)

    def scopes(self) -> tuple[Scope, ...]:
        found = _scopes(self.text("scopes"))
        if found is None:
            self.problem("scopes", f"any of {' '.join(ALL_SCOPES)}, separated by ;", "another value")
        return found or ()

    def parse(self, source_hash: str) -> RegistrationRow:
        decision = self.choice("consent", tuple(Decision)) or Decision.REFUSED.value
        scopes = self.scopes()
        if not scopes:
            # deny by default: an unqualified yes is to sequencing alone, an unqualified no is to everything
            scopes = (Scope.GENOME,) if decision == Decision.GRANTED else ALL_SCOPES
        begins, ends = self.day("consent_from"), self.day("consent_to")
        if decision == Decision.GRANTED and begins is None and not self.fields.get("consent_from", "").strip():
            self.problem("consent_from", "the date from which consent holds", "none")
        if begins and ends and ends < begins:
            self.problem("consent_to", "a date not before consent_from", "an earlier one")
        array = self.text("array_genotypes")
        participant_type = self.text("participant_type").lower()
        # "rare disease" and "rare_disease" are what the programme's own forms say
        participant_type = _DISEASE.sub("", participant_type)
        if participant_type and participant_type not in PARTICIPANT_TYPES:
            self.problem("participant_type", f"one of {' '.join(PARTICIPANT_TYPES)}", "another value")
        return RegistrationRow(
            file=self.file.name,
            row=self.number,
            institution=self.text("institution"),
            specimen_id=self.text("specimen_id"),
            participant=self.text("participant"),
            participant_type=participant_type,
            registered_sex=self.choice("registered_sex", SEXES),
            decision=Decision(decision),
            scopes=scopes,
            consent_from=begins,
            consent_to=ends,
            consent_template=self.text("consent_template"),
            consent_version=self.text("consent_version"),
            birth_year=self.birth_year(),
            name=self.text("name"),
            resident_registration_number=self.text("resident_registration_number"),
            array_genotypes=self.file.parent / array if array else None,
            source_hash=source_hash,
        )


def unfit(value: str) -> str:
    """What makes ``value`` no plain one-line text: "" when nothing does."""
    if len(value) > MAX_CHARACTERS:
        return f"{len(value)} characters"
    # Cc: control characters; Cf: invisible ones, which would let two equal-looking barcodes differ
    if not value.isprintable() and any(
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in value
    ):
        return "a control or invisible character"
    return ""


@lru_cache(maxsize=1024)
def _scopes(text: str) -> tuple[Scope, ...] | None:
    """The scopes named in ``text``; None when it names another thing."""
    names = {name for name in re.split(r"[,;|\s]+", text.lower()) if name}
    if not names <= {scope.value for scope in ALL_SCOPES}:
        return None
    return tuple(scope for scope in ALL_SCOPES if scope.value in names)


@lru_cache(maxsize=4096)
def _date(value: str) -> date | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _repeated_specimens(rows: Sequence[RegistrationRow]) -> list[Reason]:
    """A specimen belongs to one participant, within the files as in the registry."""
    owners: dict[tuple[str, str], RegistrationRow] = {}
    problems = []
    for row in rows:
        owner = owners.setdefault((row.institution, row.specimen_id), row)
        if owner.participant != row.participant:
            problems.append(
                row.reason(
                    "specimen_id",
                    expected="a specimen of one participant",
                    found=f"the specimen of another participant in row {owner.row} of {owner.file}",
                    action="give each specimen a barcode of its own",
                )
            )
    return problems
