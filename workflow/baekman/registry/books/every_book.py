"""What happens to the books of all projects: a withdrawal, a new key of the registry, a restored back-up, a check."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem
from baekman.registry.books.book import DESTROYED, FOLDER, Book
from baekman.registry.records import Registry
from baekman.workspace.paths import Top
from baekman.workspace.purge import RemovalNote

NOTE = "book "


def books(registry: Registry) -> list[Book]:
    """Return the books in the folder of ``registry``, by project."""
    folder = registry.folder / FOLDER
    names = sorted(path.name for path in folder.glob("J*")) if folder.is_dir() else []
    return [Book(registry, name) for name in names if pseudonyms.is_valid(name, "J")]


def projects_with(registry: Registry, participant_id: str) -> list[str]:
    """Return the projects with a row of the participant."""
    return [book.project_id for book in books(registry) if book.has_row(participant_id)]


def destroy_rows(registry: Registry, participant_ids: Collection[str]) -> list[tuple[str, str]]:
    """Destroy the rows of participants in every book; return (project, participant) of each."""
    return [
        (book.project_id, participant_id)
        for book in (books(registry) if participant_ids else [])
        for participant_id in book.destroy_rows(participant_ids)
    ]


def leave_books(registry: Registry, participant_id: str, *, note: RemovalNote) -> set[str]:
    """Destroy the rows of a participant who withdraws; return a line for each, as a receipt lists it.

    ``note`` gets the projects first, so the receipt of a withdrawal that was killed has them too.
    """
    if having := projects_with(registry, participant_id):
        note.books |= set(having)
        note.is_done = False
        note.save()
        destroy_rows(registry, [participant_id])
    return {f"{Top.REGISTRY}/{FOLDER}/{project_id}: the row of this participant" for project_id in note.books}


def seal_again(registry: Registry) -> int:
    """Seal the keys of all books with the key that ``registry`` uses; return their number."""
    sealed = books(registry)
    for book in sealed:
        book.seal_key_again()
    return len(sealed)


def restore(registry: Registry, *, withdrawn: Collection[str], closed: Collection[str]) -> Iterator[str]:
    """Put the books in order after a back-up was restored; yield a line for each thing done.

    The books of ``closed`` projects and the rows of ``withdrawn`` participants are destroyed again. A book that is
    older than the registry has noted counts from now on.
    """
    for book in _all_books(registry):
        project_id = book.project_id
        if project_id in closed:
            if book.destroy():
                yield f"{project_id}: its book destroyed again"
        elif line := book.accept():
            yield line
    for project_id, participant_id in destroy_rows(registry, withdrawn):
        yield f"{participant_id}: row of the book of {project_id} destroyed again"


def require_whole(registry: Registry) -> None:
    """Raise InputRefused with each book that was changed by hand, is lost or of an older copy."""
    problems: list[Problem] = []
    for book in _all_books(registry):
        try:
            book.require_whole()
        except InputRefused as refused:
            problems += refused.problems
    if problems:
        raise InputRefused(problems)


def _all_books(registry: Registry) -> list[Book]:
    """Return the books in the folder and those that the registry has noted, but none that is destroyed for good."""
    notes = {
        name.removeprefix(NOTE): value for name, value in registry.guard.head().notes.items() if name.startswith(NOTE)
    }
    gone = {project_id for project_id, value in notes.items() if value in (None, DESTROYED)}
    existing = {book.project_id for book in books(registry)}
    return [Book(registry, project_id) for project_id in sorted((notes.keys() - gone) | existing)]
