"""The registration table: what an institution pre-registers, one row per specimen.

The table is tab- or comma-separated UTF-8 with a header, its columns in any order. A problem names the file, the row
(the header is row 1) and the column, and never the value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from baekman.columns import TextColumn
from baekman.consent import Decision, Scope
from baekman.errors import Problem

PARTICIPANT_TYPES = ("rare", "severe", "general")
SEXES = ("female", "male")
DECISIONS = tuple(Decision)


def _words(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


_DAY = "`YYYY-MM-DD`"
_TEXT = "text of up to 200 characters"
REGISTRATION_COLUMNS = (
    TextColumn("institution", _TEXT, "Name of the institution, as in its deliveries.", True),
    TextColumn("specimen_id", _TEXT, "Barcode: the institution's label of the specimen. One row a specimen.", True),
    TextColumn("participant", _TEXT, "Subject code: the institution's code of the participant.", True),
    TextColumn(
        "participant_type",
        _words(PARTICIPANT_TYPES),
        "Rare disease, severe disease, or general; `rare_disease` and `severe disease` are read too.",
        True,
    ),
    TextColumn("registered_sex", _words(SEXES), "Sex, to compare with the reads and for ploidy on X and Y.", True),
    TextColumn("consent", _words(DECISIONS), "Decision of the participant on `scopes`.", True),
    TextColumn(
        "consent_from", f"{_DAY}; may be empty unless `consent` is `granted`", "First day of the decision.", True
    ),
    TextColumn("consent_to", _DAY, "Last day of the decision, inclusive; empty: without an end."),
    TextColumn(
        "scopes",
        f"{_words(Scope)}, separated by `;`",
        "Uses that the decision is about; empty: `genome` where `consent` is `granted`, else all.",
    ),
    TextColumn("consent_template", _TEXT, "Consent form."),
    TextColumn("consent_version", _TEXT, "Version of the form."),
    TextColumn("birth_year", "four digits", "Year of birth; records before it are held."),
    TextColumn("name", _TEXT, "Name of the person, to look for it in deliveries."),
    TextColumn("resident_registration_number", _TEXT, "Number of the person, to look for it in deliveries."),
    TextColumn(
        "array_genotypes",
        "path of a VCF or BCF; a relative one starts at the table's folder",
        "Array genotypes of the participant, to compare with the reads.",
    ),
)
COLUMNS = tuple(column.name for column in REGISTRATION_COLUMNS)
REQUIRED_COLUMNS = tuple(column.name for column in REGISTRATION_COLUMNS if column.is_required)
# the leak scan of a registration table looks for the values in these
CONFIDENTIAL_COLUMNS = ("institution", "specimen_id", "participant", "name", "resident_registration_number")


@dataclass(kw_only=True, slots=True)  # not frozen: that costs more than all else in a million rows
class RegistrationRow:
    """One row of a registration table, parsed; ``repr`` shows its place and none of its values.

    Attributes:
        file: Name of the table, without its folder.
        row: Row in the table, from 1 (the header).
        institution: The institution, NFC.
        barcode: Column ``specimen_id``: the institution's label of the specimen, NFC.
        subject_code: Column ``participant``: the institution's code of the participant, NFC.
        participant_type: One of ``PARTICIPANT_TYPES``.
        registered_sex: One of ``SEXES``.
        decision: Column ``consent``.
        scopes: The uses that the decision is about.
        consent_from: First day of the decision; None when the table gives none.
        consent_to: Last day of the decision, inclusive; None without an end.
        consent_template: The consent form; "" when absent.
        consent_version: Version of the form; "" when absent.
        birth_year: Year of birth; None when absent.
        name: Name of the person; "" when absent.
        resident_registration_number: Number of the person; "" when absent.
        array_genotypes: Path of the file with array genotypes; None when absent.
        source_hash: SHA-256 (hex) of the table.
        number: Number of the row among all rows of an import, from 1.
    """

    file: str
    row: int
    institution: str
    barcode: str
    subject_code: str
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
    number: int = 0

    def __repr__(self) -> str:
        return f"RegistrationRow({self.file}, row {self.row})"

    def problem(self, column: str, *, expected: str, found: str, action: str) -> Problem:
        """Return a problem in ``column`` of this row."""
        return Problem(
            file=self.file,
            place=f"row {self.row}, column {column}",
            expected=expected,
            found=found,
            action=action,
        )


def header_problems(file: str, *, header: list[str]) -> list[Problem]:
    """Return the problems in the ``header`` of ``file``: columns that are missing, unknown or repeated."""
    problems = [
        Problem(file=file, place="row 1", expected=f"a column {name}", found="none", action="add it to the header")
        for name in REQUIRED_COLUMNS
        if name not in header
    ]
    for field, name in enumerate(header, 1):
        # the message does not quote the header: if it is missing, the first row's values stand in its place
        if name not in COLUMNS:
            found, action = "another one", "rename or remove the column"
        elif name in header[: field - 1]:
            found, action = f"{name} a second time", "keep one of them"
        else:
            continue
        problems.append(
            Problem(
                file=file,
                place=f"row 1, field {field}",
                expected=f"a column of {' '.join(COLUMNS)}",
                found=found,
                action=action,
            )
        )
    return problems
