"""The book of a project: for each participant the project ID, the date shift and the record key.

A row is drawn at the first question for a participant and stays the same. The registry's sealed head notes the newest
change of each book: a book from an older copy is refused, since it lacks rows that were released, or has rows that
were destroyed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem
from baekman.registry.books.pages import Head, OpenPages, Pages, note_of
from baekman.registry.books.rows import ROWS, by_page, draw

if TYPE_CHECKING:
    from baekman.registry.records import Registry

FOLDER = "books"
DESTROYED = "destroyed"


class Book:
    """An open book; several processes may use one book."""

    def __init__(self, registry: Registry, project_id: str) -> None:
        self.project_id = project_id
        self._registry = registry
        self._pages = Pages(registry.folder / FOLDER / project_id, ring=registry.ring)

    def rows(self, participant_ids: Iterable[str]) -> pa.Table:
        """Return the rows of participants, each once, sorted by participant; missing ones are drawn.

        Ask for the participants of one bucket of the records at a time: they are on one page, so memory does not grow
        with the project.

        Returns:
            ``participant_id``, ``project_id`` (``X…``), ``date_shift_days`` (int32: -366 to 366 days, never 0, to be
            added to every date) and ``record_key`` (16 random bytes).

        Raises:
            InputRefused: A participant is not registered or has withdrawn; the book was destroyed, is of an older
                copy, or was changed by hand.
        """
        wanted = pa.array(sorted(set(participant_ids)), pa.string())
        self._require_current()
        with self._pages.opened() as opened:
            self._require(opened.head)
            rows, missing = _look_up(opened, wanted)
        if not missing:
            return rows
        with self._pages.alone():
            with self._pages.opened() as opened:
                self._require(opened.head)
                rows, missing = _look_up(opened, wanted)
                self._require_registered(missing)
                drawn = draw(pa.array(missing, pa.string()))
                _add(opened, drawn)
            self._note(opened.head)
        return pa.concat_tables([rows, drawn]).combine_chunks().sort_by("participant_id")

    def has_row(self, participant_id: str) -> bool:
        """Return whether there is a row of a participant."""
        if not self._pages.exists():
            return False
        with self._pages.opened() as opened:
            return not _look_up(opened, pa.array([participant_id]))[1]

    def destroy_row(self, participant_id: str) -> bool:
        """Destroy the row of a participant; return False when there was none."""
        return bool(self.destroy_rows([participant_id]))

    def destroy_rows(self, participant_ids: Iterable[str]) -> list[str]:
        """Destroy the rows of participants and return those who had one, sorted.

        The whole book gets a new key and the old one is overwritten: an earlier copy of the pages does not open.
        """
        wanted = pa.array(sorted(set(participant_ids)), pa.string())
        if not self._pages.exists():
            return []
        with self._pages.alone():
            with self._pages.opened() as opened:
                gone = _look_up(opened, wanted)[0]["participant_id"].combine_chunks()
            if len(gone):
                self._pages.replace_key(lambda opened: _remove(opened, gone))
            with self._pages.opened() as opened:
                self._note(opened.head)
        return [str(each) for each in gone.to_pylist()]

    def count(self) -> int:
        """Return the number of rows; errors are those of ``rows``."""
        self._require_current()
        with self._pages.opened() as opened:
            self._require(opened.head)
            return opened.head.rows

    def destroy(self) -> bool:
        """Destroy the book for ever; return False when it was destroyed before.

        The registry notes it first, so a killed destruction is finished by the next call, and no new book is made.
        """
        with self._pages.alone(is_last=True):
            is_new = self._registry.noted(self._note_name) != DESTROYED or self._pages.folder.is_dir()
            self._registry.note(self._note_name, DESTROYED)
            self._pages.destroy()
        return is_new

    def accept(self) -> str:
        """Take the book as it is for the newest, after a back-up was restored; return a line when the newest is lost.

        People get other IDs where their rows are lost.
        """
        noted = self._registry.noted(self._note_name)
        if noted == DESTROYED:
            return f"{self.project_id}: its book destroyed again" if self.destroy() else ""
        if not self._pages.exists():
            self._registry.note(self._note_name, None)
            return f"{self.project_id}: its book is lost; people get other IDs in its next release" if noted else ""
        with self._pages.alone(), self._pages.opened() as opened:
            head = opened.head
        try:
            self._require(head)
        except InputRefused:
            self._note(head)
            return f"{self.project_id}: its newest book is lost; people without a row in this one get other IDs"
        return ""

    def seal_key_again(self) -> None:
        """Seal the book's key with the key that the registry uses."""
        with self._pages.alone():
            if self._pages.exists():
                self._pages.reseal_keys()

    # -- the newest state

    @property
    def _note_name(self) -> str:
        return f"book {self.project_id}"

    def _note(self, head: Head) -> None:
        self._registry.note(self._note_name, dict(note_of(head)))

    def open(self) -> None:
        """Make the book if the project never had one; errors are those of ``rows``."""
        self._require_current()
        if self._registry.noted(self._note_name) is None:
            with self._pages.alone(is_last=True):
                self._pages.create()
                with self._pages.opened() as opened:
                    self._note(opened.head)
        if not self._pages.exists():
            raise _refused(self.project_id, "the book of this project", "none: it is lost")

    def require_whole(self) -> None:
        """Raise InputRefused when a page was changed by hand, or the book is of an older copy."""
        self.open()
        with self._pages.opened() as opened:
            self._require(opened.head)
            for name in opened.head.pages:
                opened.read(int(name, 16))

    def _require_current(self) -> None:
        if self._registry.noted(self._note_name) == DESTROYED:
            raise InputRefused(
                Problem(
                    file=f"book of {self.project_id}",
                    expected="the book of an open project",
                    found="a destroyed one",
                    action="the project was closed: describe a new project with `baekman project add`",
                )
            )

    def _require(self, head: Head) -> None:
        noted = self._registry.noted(self._note_name) or {"change": 0, "token": ""}
        is_other = noted["change"] == head.change and noted["token"] != head.token
        if noted["change"] > head.change or (is_other and head.change):
            found = "another change" if is_other else f"change {head.change}"
            raise _refused(self.project_id, f"change {noted['change']} of the book or a later one", found)

    def _require_registered(self, participants: Sequence[str]) -> None:
        """Raise InputRefused when one of ``participants`` is unknown or has withdrawn; the book is held alone."""
        known = set(self._registry.not_withdrawn(participants))
        refused = [each for each in participants if each not in known]
        if refused:
            for each in refused:
                pseudonyms.check(each, "P")
            raise InputRefused(
                Problem(
                    file=f"book of {self.project_id}",
                    place=refused[0],
                    expected="registered participants who have not withdrawn",
                    found=f"{len(refused)} others",
                    action="propose the release again: it leaves them out",
                )
            )


def open_book(registry: Registry, project_id: str) -> Book:
    """Return the book of the project ``project_id``, which is made if the project never had one.

    Raises:
        InputRefused: The book was destroyed or is lost.
    """
    book = Book(registry, pseudonyms.check(project_id, "J"))
    book.open()
    return book


def _look_up(opened: OpenPages, wanted: pa.Array) -> tuple[pa.Table, list[str]]:
    """Return the rows of ``wanted``, sorted by participant, and those without one."""
    parts = [ROWS.empty_table()]
    missing: list[str] = []
    for page, ids in by_page(wanted):
        rows = opened.read(page)
        parts.append(rows.filter(pc.is_in(rows["participant_id"], value_set=ids)))
        missing += ids.filter(pc.invert(pc.is_in(ids, value_set=rows["participant_id"]))).to_pylist()
    return pa.concat_tables(parts).combine_chunks().sort_by("participant_id"), missing


def _add(opened: OpenPages, drawn: pa.Table) -> None:
    for page, ids in by_page(drawn["participant_id"].combine_chunks()):
        new = drawn.filter(pc.is_in(drawn["participant_id"], value_set=ids))
        opened.write(page, pa.concat_tables([opened.read(page), new]).sort_by("participant_id"))


def _remove(opened: OpenPages, participants: pa.Array) -> None:
    for page, ids in by_page(participants):
        rows = opened.read(page)
        opened.write(page, rows.filter(pc.invert(pc.is_in(rows["participant_id"], value_set=ids))))


def _refused(project_id: str, expected: str, found: str) -> InputRefused:
    action = "restore the newest back-up of the registry, then run `baekman restore check`"
    return InputRefused(Problem(file=f"book of {project_id}", expected=expected, found=found, action=action))
