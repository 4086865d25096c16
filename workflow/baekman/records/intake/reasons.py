"""The reasons to refuse a row of a delivery of records, and their bits in the mask of a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from baekman.verdicts import Decision, Reason, Severity

# ``row``: the row is left out; ``participant``: no row of the participant is taken
Effect = Literal["row", "participant"]


@dataclass(frozen=True)
class ReasonKind:
    """The effect of a reason, its observation in words, and the advice to the institution."""

    effect: Effect
    meaning: str
    action: str


REASON_KINDS: dict[str, ReasonKind] = {
    "not_registered": ReasonKind(
        "participant",
        "the institution has not registered this subject code",
        "register the subject, then deliver under a new name",
    ),
    "unknown_code": ReasonKind(
        "row",
        "a code that the dictionary does not have",
        "correct the code, or ask the receiver to add it to the dictionary",
    ),
    "no_consent_for_scope": ReasonKind(
        "row",
        "the subject does not consent to the scope of the code today, or has withdrawn",
        "do not send records of a scope without consent",
    ),
    "before_birth": ReasonKind(
        "participant",
        "a year before the registered year of birth",
        "check for a swap of subjects, and correct the date or the registration",
    ),
    "after_death": ReasonKind(
        "participant", "a day after the day of death", "check for a swap of subjects, and correct the date or the death"
    ),
    "spreadsheet_error": ReasonKind(
        "row",
        "an error cell (`#N/A`), a word for an empty cell (`NA`), a label in scientific notation, a date in "
        "another form or with a time zone",
        "export the value again as text, and dates as YYYY-MM-DD",
    ),
    "identifier_shape": ReasonKind(
        "row",
        "a resident registration number, a telephone number or an e-mail address",
        "remove the identifier of a person",
    ),
    "free_text": ReasonKind(
        "row",
        "text that is no number or no category of the dictionary",
        "send a number or a category of the dictionary, and no other text",
    ),
    "unit_differs": ReasonKind(
        "row",
        "another unit than that of the dictionary, or a value of a code that has none",
        "convert the value to the unit of the dictionary",
    ),
    "out_of_range": ReasonKind(
        "row",
        "a value outside of `low` and `high` or missing, a missing category, a day outside of the coverage, an "
        "end before the beginning, coverage after `as_of`",
        "correct the value, the date or the coverage",
    ),
}

# Each fault is a reason in a column; its bit in the mask of a row is its place. A row may have several.
FAULTS: tuple[tuple[str, str], ...] = (
    ("not_registered", "subject_code"),
    ("spreadsheet_error", "subject_code"),
    ("unknown_code", "code"),
    ("spreadsheet_error", "code"),
    ("identifier_shape", "code"),
    ("no_consent_for_scope", "code"),
    ("before_birth", "time"),
    ("after_death", "time"),
    ("spreadsheet_error", "time"),
    ("out_of_range", "time"),
    ("spreadsheet_error", "end"),
    ("out_of_range", "end"),
    ("spreadsheet_error", "value"),
    ("identifier_shape", "value"),
    ("free_text", "value"),
    ("unit_differs", "value"),
    ("out_of_range", "value"),
    ("spreadsheet_error", "unit"),
    ("unit_differs", "unit"),
    ("spreadsheet_error", "category"),
    ("identifier_shape", "category"),
    ("free_text", "category"),
    ("out_of_range", "category"),
    ("spreadsheet_error", "episode"),
    ("identifier_shape", "episode"),
    ("free_text", "episode"),
    ("spreadsheet_error", "first"),
    ("spreadsheet_error", "last"),
    ("out_of_range", "last"),
)
BIT = {fault: 1 << place for place, fault in enumerate(FAULTS)}
HOLDING = sum(BIT[fault] for fault in (("before_birth", "time"), ("after_death", "time")))
# Faults of a row with a known code and consent: a day with such a row and no other was not seen.
OF_DATA = sum(
    bit
    for (code, column), bit in BIT.items()
    if column not in ("subject_code", "code") and REASON_KINDS[code].effect == "row"
)


def faults_in(mask: int) -> Iterator[tuple[str, str]]:
    """Yield the faults (reason, column) in the mask of a row."""
    return (fault for place, fault in enumerate(FAULTS) if mask >> place & 1)


@dataclass(frozen=True, kw_only=True)
class RecordsVerdict:
    """The verdict on the rows of one participant of a delivery.

    ``rows`` is the number of delivered rows, ``accepted`` that of the rows that are taken. ``reasons``: ``metric`` is
    the column and ``observed`` the number of rows. A reason is a note where other rows of the participant go on.
    """

    participant_id: str
    verdict: Decision
    rows: int
    accepted: int
    reasons: tuple[Reason, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return a JSON object with the keys ``participant verdict rows accepted reasons``."""
        return {
            "participant": self.participant_id,
            "verdict": self.verdict,
            "rows": self.rows,
            "accepted": self.accepted,
            "reasons": [reason.to_json() for reason in self.reasons],
        }


def verdict_on(participant_id: str, counts: dict[tuple[str, str], int], *, rows: int, accepted: int) -> RecordsVerdict:
    """Return the verdict on a participant with the rows ``counts`` of each fault (reason, column)."""
    is_held = any(REASON_KINDS[code].effect == "participant" for code, _ in counts)
    verdict: Decision = "hold" if is_held else "reject" if rows and not accepted else "accept"
    severities: dict[Decision, Severity] = {"hold": "hold", "reject": "reject", "accept": "note"}
    reasons = tuple(
        reason_of(fault, counts[fault], severity=severities[verdict]) for fault in FAULTS if fault in counts
    )
    return RecordsVerdict(participant_id=participant_id, verdict=verdict, rows=rows, accepted=accepted, reasons=reasons)


def reason_of(fault: tuple[str, str], count: int, *, severity: Severity) -> Reason:
    """Return the reason of ``count`` rows with ``fault``."""
    code, column = fault
    return Reason(
        code=code, severity=severity, metric=column, observed=count, threshold=0, action=REASON_KINDS[code].action
    )
