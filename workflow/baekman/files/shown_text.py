"""Text from outside, made harmless where people look at it: on terminals and in spreadsheets."""

from __future__ import annotations

import re

# control characters (C0, DEL, C1), and those that change the direction or the lines of text that follows
CONTROLS = r"[\x00-\x1F\x7F-\x9F\u200E\u200F\u2028-\u202E\u2066-\u2069]"
# the beginnings of a formula (OWASP, "CSV Injection"), also in full width
FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
REPLACEMENT = "\ufffd"

_CONTROLS = re.compile(CONTROLS)


def printable(text: str) -> str:
    """Return ``text``, one line, with each control character replaced: no terminal takes it for a command."""
    return _CONTROLS.sub(REPLACEMENT, text)


def spreadsheet_text(text: str) -> str:
    """Return the text of a cell; a quote comes before what a spreadsheet would take for a formula. Not for numbers."""
    return f"'{text}" if text.startswith(tuple(FORMULA_STARTS)) else text
