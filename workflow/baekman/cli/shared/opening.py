"""The opening of a cohort by a command, with the notes that an answer needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from baekman.cli.shared.notes import note
from baekman.cli.shared.places import cohort_folder
from baekman.engine.progress import is_quiet

if TYPE_CHECKING:
    from baekman.api.cohort import Cohort

BARE = (
    "note: a bare cohort, of no workspace: no consent is asked and no audit log written "
    "(--workspace DIR names its workspace)"
)


@contextmanager
def opened_cohort(
    cohort: Path | None,
    *,
    workspace: Path | None,
    bare_note: Literal["stdout", "stderr", ""] = "stderr",
    may_be_freeze: bool = False,
    **options: Any,
) -> Iterator[Cohort]:
    """Yield the cohort that ``--cohort`` and ``--workspace`` mean (``places.cohort_folder``), as ``open_cohort`` does.

    A note says that it is bare when the block ends well.

    ``bare_note``: where the note goes. Programs read the stdout of most commands, and so the note goes to stderr;
    stderr stays empty where a command writes only files, and stdout has the note. Unless it ``may_be_freeze``, the
    folder of a freeze is refused.
    """
    from baekman.api.opening import open_cohort
    from baekman.cohort.store import no_store
    from baekman.freezes.folder import is_freeze

    folder = cohort_folder(cohort, workspace)
    if not may_be_freeze and is_freeze(folder):
        raise no_store(folder)
    opened = open_cohort(folder, workspace=workspace, **options)
    for sentence in getattr(opened, "notes", ()):  # of a freeze
        note(f"note: {sentence}")
    yield opened
    if opened.store.is_bare and bare_note:
        sentence = BARE.replace("bare cohort", "freeze") if is_freeze(folder) else BARE
        if bare_note == "stderr":
            note(sentence)
        elif not is_quiet():
            typer.echo(sentence)


def note_left_out(cohort: Cohort, *, counted_in: str = "") -> None:
    """Print how many participants without consent are left out; ``counted_in`` names numbers that count them."""
    count = cohort.left_out
    if not count:
        return
    people = "1 participant" if count == 1 else f"{count} participants"
    purpose = f" to {cohort.purpose} use" if cohort.purpose else ""
    note(f"note: {people} without consent{purpose} in force left out")
    if counted_in:
        note(
            f"note: {counted_in} still count them; `baekman withdraw ID` takes a participant out of all numbers, and "
            "`baekman cohort freeze` and `baekman export` count only who is shown"
        )


def note_other_snapshot(cohort: Cohort, tables: Path, participant: str) -> None:
    """Print which snapshot the finished table of ``participant`` is of, when it is another than that of ``cohort``."""
    from baekman.tables.files import table_path
    from baekman.tables.keys import open_keys
    from baekman.tables.snapshots import TableSnapshot, other_sentence

    snapshot = TableSnapshot(cohort.snapshot.content, cohort.snapshot.participants)
    keys, path = open_keys(cohort.store.workspace), table_path(tables, participant)
    if sentence := other_sentence(path, keys=keys, store=cohort.store, of_sites=snapshot):
        note(f"note: {sentence}")


def note_unknown_types(freeze: Path) -> None:
    """Print how many participants of a freeze have no type, as where the registry cannot be opened."""
    from baekman.freezes.reading import open_freeze

    count = open_freeze(freeze).participants().column("type").null_count
    if count:
        people = "1 participant has" if count == 1 else f"{count} participants have"
        note(f"note: {people} no type in participants.parquet: the registry, or its key, is not at hand")
