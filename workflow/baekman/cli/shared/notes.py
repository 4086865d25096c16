"""Notes of commands on stderr: what happened next to the result, and no error."""

from __future__ import annotations

import sys

from baekman.engine.progress import is_quiet
from baekman.files.shown_text import printable


def note(line: str) -> None:
    """Print a line on stderr at once, unless ``--quiet`` was given."""
    if not is_quiet():
        print(printable(line), file=sys.stderr, flush=True)
