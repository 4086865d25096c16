"""Notes of commands on stderr: what happened next to the result, and no error."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from baekman.engine.progress import is_quiet
from baekman.files.shown_text import printable


def note(line: str) -> None:
    """Print a line on stderr at once, unless ``--quiet`` was given."""
    if not is_quiet():
        print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print each warning (UserWarning) of the block as a note when the block ends, as the Python API shows it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for each in caught:
        if each.category is UserWarning:
            note(f"note: {each.message}")
