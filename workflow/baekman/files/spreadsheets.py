"""Labels as spreadsheets change them: error cells, words for an empty cell, dates, and numbers in scientific notation.

Two labels that became the same text would make one person of two.
"""

from __future__ import annotations

import re
import unicodedata

# in every language of a spreadsheet an error ends with ! or ?, or is #N/A; too narrow a column shows ####
ERROR_CELL = re.compile(r"#(?:N/A|[^\s#]{1,16}[!?]|REF|VALUE|NAME|DIV/0|NUM|NULL|#+)|ERR:[0-9]{3}")
EMPTY_WORDS = frozenset(
    (
        *("na", "n/a", "n.a.", "<na>", "nan", "nil", "none", "null", "-", "--", "---", ".", "?"),
        *("tbd", "unknown", "missing", "없음", "미상", "해당없음", "해당 없음", "모름"),
    )
)
SCIENTIFIC = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{1,3}")
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)"
DATE = re.compile(
    rf"[0-9]{{1,2}}-{_MONTH}(?:-[0-9]{{2,4}})?|{_MONTH}-[0-9]{{1,4}}"
    r"|(?:18|19|20|21)[0-9]{2}[-/.][0-9]{1,2}[-/.][0-9]{1,2}(?:[ t][0-9:.]+)?|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}"
    r"|(?:[0-9]{2,4}년 ?)?[0-9]{1,2}월(?: ?[0-9]{1,2}일)?",
    re.IGNORECASE,
)


def is_error_cell(value: str) -> bool:
    """Return whether ``value`` is the error of a formula, such as ``#N/A`` or ``#REF!``."""
    if not value or value.lstrip()[:1] not in "#＃Ee":
        return False
    return bool(ERROR_CELL.fullmatch(_plain(value).upper()))


def is_empty_word(value: str) -> bool:
    """Return whether ``value`` is a word for an empty cell, such as ``NA``, ``null`` or ``-``."""
    return len(value) <= 8 and _plain(value).casefold() in EMPTY_WORDS


def cell_fault(value: str) -> str:
    """Return what a spreadsheet has made of the label ``value``, in words; "" for a plain label."""
    if not value:
        return ""
    if is_error_cell(value):
        return "the error cell of a spreadsheet"
    if is_empty_word(value):
        return "a word for an empty cell"
    if value[0].isdigit() or value[0] in "+-" or (value[-1].isdigit() and "-" in value):
        plain = _plain(value)
        if SCIENTIFIC.fullmatch(plain):
            return "a number in scientific notation, which has lost its digits"
        if DATE.fullmatch(plain):
            return "a date"
    return ""


def _plain(value: str) -> str:
    return unicodedata.normalize("NFKC", value).strip()
