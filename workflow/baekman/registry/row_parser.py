"""The parser of registration rows: from the fields of a record to a ``RegistrationRow`` or its problems."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from baekman.consent import ALL_SCOPES, Decision, Scope
from baekman.errors import InputRefused, Problem
from baekman.files.spreadsheets import cell_fault, is_empty_word, is_error_cell
from baekman.registry.registration import (
    DECISIONS,
    PARTICIPANT_TYPES,
    REQUIRED_COLUMNS,
    SEXES,
    RegistrationRow,
)

MAX_CHARACTERS = 200
FORMAT_AS_TEXT = "format the column as text in the spreadsheet, then enter the value again"
_DISEASE = re.compile(r"[ _-]disease$")
_CONSENT_COLUMNS = ("consent", "consent_from", "consent_to", "scopes", "consent_template", "consent_version")
_PERSON_COLUMNS = ("participant_type", "registered_sex", "birth_year")
_TEXT_COLUMNS = (
    "institution",
    "specimen_id",
    "participant",
    "name",
    "resident_registration_number",
    "array_genotypes",
)
_NEVER_EMPTY = frozenset(REQUIRED_COLUMNS) - {"consent_from"}
# a label that a spreadsheet replaced would make one person of two
_LABEL_COLUMNS = ("institution", "specimen_id", "participant", "resident_registration_number")
_MOST_CACHED = 10_000


class RowParser:
    """The parser of a table's rows. ``source_hash`` is the SHA-256 of the table."""

    def __init__(self, file: Path, header: Sequence[str], *, source_hash: str) -> None:
        self.file = file
        self.header = header
        self.source_hash = source_hash
        self._row = 0
        self._fields: dict[str, str] = {}
        self._problems: list[Problem] = []
        # these columns have few different values: each combination of fields is parsed once
        self._consents: dict[tuple[str, ...], _Consent] = {}
        self._persons: dict[tuple[str, ...], _Person] = {}

    def parse(self, row: int, *, fields: Sequence[str]) -> RegistrationRow:
        """Return the row with the number ``row``; InputRefused with every problem in it."""
        if len(fields) != len(self.header):
            raise InputRefused(
                Problem(
                    file=self.file.name,
                    place=f"row {row}",
                    expected=f"{len(self.header)} fields",
                    found=f"{len(fields)}",
                    action="check for a separator inside a field",
                )
            )
        self._row = row
        self._fields = dict(zip(self.header, fields, strict=True))
        self._problems = []
        parts = self._cached() or self._read()
        if self._problems:
            raise InputRefused(self._problems)
        consent, person, texts = parts
        array = texts.array_genotypes
        return RegistrationRow(
            file=self.file.name,
            row=row,
            institution=texts.institution,
            barcode=texts.barcode,
            subject_code=texts.subject_code,
            participant_type=person.participant_type,
            registered_sex=person.registered_sex,
            decision=consent.decision,
            scopes=consent.scopes,
            consent_from=consent.begins,
            consent_to=consent.ends,
            consent_template=consent.template,
            consent_version=consent.version,
            birth_year=person.birth_year,
            name=texts.name,
            resident_registration_number=texts.resident_registration_number,
            array_genotypes=self.file.parent / array if array else None,
            source_hash=self.source_hash,
        )

    def _problem(self, column: str, expected: str, found: str, action: str = "correct the registration") -> None:
        self._problems.append(
            Problem(
                file=self.file.name,
                place=f"row {self._row}, column {column}",
                expected=expected,
                found=found,
                action=action,
            )
        )

    def _text(self, column: str) -> str:
        """Return the field, NFC; "" when it is absent or refused."""
        value = self._fields.get(column, "").strip()
        if not value.isascii():
            value = unicodedata.normalize("NFC", value)
        if len(value) > MAX_CHARACTERS or not value.isprintable():
            fault = _text_fault(value)
            if fault:
                self._problem(column, f"at most {MAX_CHARACTERS} printable characters on one line", fault)
                return ""
        if not value and column in _NEVER_EMPTY:
            self._problem(column, "a value", "none")
        if fault := _cell_fault(column, value):
            self._problem(column, "a value as it was assigned, or an empty field", fault, FORMAT_AS_TEXT)
            return ""
        return value

    def _choice(self, column: str, choices: Sequence[str]) -> str:
        value = self._text(column).lower()
        if value and value not in choices:
            self._problem(column, f"one of {' '.join(choices)}", "another value")
            return ""
        return value

    def _day(self, column: str) -> date | None:
        value = self._text(column)
        day = _date(value) if value else None
        if value and day is None:
            self._problem(column, "a date as YYYY-MM-DD", "another value")
        return day

    def _birth_year(self) -> int | None:
        value = self._text("birth_year")
        if not value:
            return None
        if not re.fullmatch(r"(18|19|20)[0-9]{2}", value):
            self._problem("birth_year", "a year of four digits", "another value")
            return None
        return int(value)

    def _scopes(self) -> tuple[Scope, ...]:
        scopes = _scopes(self._text("scopes"))
        if scopes is None:
            self._problem("scopes", f"any of {' '.join(ALL_SCOPES)}, separated by ;", "another value")
        return scopes or ()

    def _cached(self) -> tuple[_Consent, _Person, _Texts] | None:
        """Return the parts of the row if an earlier row had the same consent and person, and no text has a problem."""
        consent = self._consents.get(self._fields_of(_CONSENT_COLUMNS))
        person = self._persons.get(self._fields_of(_PERSON_COLUMNS))
        if consent is None or person is None:
            return None
        texts = _Texts._make(map(self._text, _TEXT_COLUMNS))
        if self._problems:
            self._problems = []
            return None
        return consent, person, texts

    def _read(self) -> tuple[_Consent, _Person, _Texts]:
        """Return the parts of the row; note problems in the order of reading."""
        decision = self._choice("consent", DECISIONS) or Decision.REFUSED.value
        scopes = self._scopes()
        if not scopes:
            # deny by default: an unqualified yes is to sequencing alone, an unqualified no is to everything
            scopes = (Scope.GENOME,) if decision == Decision.GRANTED else ALL_SCOPES
        begins, ends = self._day("consent_from"), self._day("consent_to")
        if decision == Decision.GRANTED and begins is None and not self._fields.get("consent_from", "").strip():
            self._problem("consent_from", "the date from which consent holds", "none")
        if begins and ends and ends < begins:
            self._problem("consent_to", "a date not before consent_from", "an earlier one")
        array = self._text("array_genotypes")
        participant_type = self._text("participant_type").lower()
        # the programme's own forms say "rare disease" and "rare_disease"
        participant_type = _DISEASE.sub("", participant_type)
        if participant_type and participant_type not in PARTICIPANT_TYPES:
            self._problem("participant_type", f"one of {' '.join(PARTICIPANT_TYPES)}", "another value")
        institution = self._text("institution")
        barcode, subject_code = self._text("specimen_id"), self._text("participant")
        sex = self._choice("registered_sex", SEXES)
        form = self._text("consent_template"), self._text("consent_version")
        person = _Person(participant_type, sex, self._birth_year())
        name, number = self._text("name"), self._text("resident_registration_number")
        texts = _Texts(institution, barcode, subject_code, name, number, array)
        consent = _Consent(Decision(decision), scopes, begins, ends, *form)
        if not self._problems:
            for cache in (self._consents, self._persons):
                if len(cache) >= _MOST_CACHED:
                    cache.clear()
            self._consents[self._fields_of(_CONSENT_COLUMNS)] = consent
            self._persons[self._fields_of(_PERSON_COLUMNS)] = person
        return consent, person, texts

    def _fields_of(self, columns: Sequence[str]) -> tuple[str, ...]:
        return tuple([self._fields.get(column, "") for column in columns])


class _Consent(NamedTuple):
    decision: Decision
    scopes: tuple[Scope, ...]
    begins: date | None
    ends: date | None
    template: str
    version: str


class _Person(NamedTuple):
    participant_type: str
    registered_sex: str
    birth_year: int | None


class _Texts(NamedTuple):
    """The values of ``_TEXT_COLUMNS``, in their order."""

    institution: str
    barcode: str
    subject_code: str
    name: str
    resident_registration_number: str
    array_genotypes: str


def _cell_fault(column: str, value: str) -> str:
    """Return what a spreadsheet has made of ``value``, in words; "" for a plain value. A name may be a word."""
    if column in _LABEL_COLUMNS:
        return cell_fault(value)
    if is_error_cell(value):
        return "the error cell of a spreadsheet"
    return "a word for an empty cell" if column == "array_genotypes" and is_empty_word(value) else ""


def _text_fault(value: str) -> str:
    """Return why ``value`` is no plain text on one line; "" when it is."""
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
    """Return the scopes named in ``text``; None when another word is among them."""
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
