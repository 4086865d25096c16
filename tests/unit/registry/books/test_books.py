"""The book of a project is drawn once, at random, sealed, and destroyed for good."""

from __future__ import annotations

import math
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from baekman import pseudonyms
from baekman.errors import InputRefused
from baekman.files import locks
from baekman.registry import key_rotation
from baekman.registry.books import every_book
from baekman.registry.books.book import Book, open_book
from baekman.registry.books.rows import draw, pages_of
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, create_registry, open_registry
from support.kills import done_before, killed_before
from support.projects import FIRST, SECOND
from support.registrations import table

PEOPLE = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    row = "서울병원\tBAR-{0:04}\tSUBJ-{0}\tgeneral\tmale\tgranted\t2025-01-01\t\t\t1984\t\t\t"
    registry, _ = create_registry(folder)
    import_registrations(registry, [table(folder, *(row.format(number) for number in range(PEOPLE)))])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "W")
    return tmp_path / "W"


@pytest.fixture
def registry(folder: Path) -> Registry:
    return open_registry(folder)


def people(registry: Registry) -> list[str]:
    return [standing.participant_id for standing in registry.standing()]


def test_a_row_is_drawn_once_and_stays(registry: Registry, folder: Path) -> None:
    ids = people(registry)
    rows = open_book(registry, FIRST).rows(ids)
    assert rows["participant_id"].to_pylist() == ids and len(set(rows["project_id"].to_pylist())) == PEOPLE
    assert all(pseudonyms.is_valid(each, "X") for each in rows["project_id"].to_pylist())
    shifts = rows["date_shift_days"].to_pylist()
    assert 0 not in shifts and max(map(abs, shifts)) <= 366 and len(set(shifts)) > PEOPLE / 2
    assert len(set(rows["record_key"].to_pylist())) == PEOPLE
    again = open_book(open_registry(folder), FIRST)
    assert again.rows(reversed(ids)) == rows
    assert again.rows(ids[3:5] * 2) == rows.slice(3, 2)
    assert again.count() == PEOPLE


def test_order_and_time_of_drawing_do_not_show_in_a_book(registry: Registry) -> None:
    ids = people(registry)
    book, other = open_book(registry, FIRST), open_book(registry, SECOND)
    for start in range(PEOPLE - 8, -1, -8):
        book.rows(ids[start : start + 8])
    other.rows(ids)
    for one in (book, other):
        rows = one.rows(ids)
        assert rows["participant_id"].to_pylist() == ids
        assert abs(_rank_correlation(rows["project_id"].to_pylist(), ids)) < 0.65
    pairs = zip(*(one.rows(ids)["project_id"].to_pylist() for one in (book, other)), strict=True)
    assert all(mine != others for mine, others in pairs)


def _rank_correlation(first: list[str], second: list[str]) -> float:
    ranks = [np.argsort(np.argsort(np.array(each))) for each in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def test_linking_two_books_is_at_chance() -> None:
    """By order, by the next ID, by shift: as often right as a blind guess, in 20,000 rows."""
    count = 20_000
    participants = pa.array(np.sort(pseudonyms.new_column("P", count)).astype(str))
    mine, others = draw(participants), draw(participants)
    names = [np.array(each["project_id"].to_pylist()) for each in (mine, others)]
    own = np.arange(count)
    bound = 1 + 6 * math.sqrt(1)  # the matches of a random permutation: one, with a deviation of one
    for left, right in ((own, names[0].argsort()), (names[0].argsort(), names[1].argsort())):
        assert (left == right).sum() <= bound
    nearest = names[1].argsort()[np.searchsorted(np.sort(names[1]), names[0]).clip(max=count - 1)]
    assert (nearest == own).sum() <= bound
    shifts = [each["date_shift_days"].to_numpy() for each in (mine, others)]
    same = (shifts[0] == shifts[1]).sum()
    assert abs(same - count / 732) < 6 * math.sqrt(count / 732)
    for place in range(1, 13):  # no character of one ID says anything about the other, or about ours
        letters = [np.array([name[place] for name in each]) for each in (*names, participants.to_pylist())]
        for first, second in ((0, 1), (0, 2)):
            agreeing = (letters[first] == letters[second]).sum()
            assert abs(agreeing - count / 32) < 6 * math.sqrt(count / 32)


def test_new_pseudonyms_in_a_column_are_those_that_new_makes() -> None:
    column = [each.decode() for each in pseudonyms.new_column("X", 500)]
    assert len(set(column)) == 500 and all(pseudonyms.is_valid(each, "X") for each in column)
    assert {letter for each in column for letter in each[1:-1]} == set(pseudonyms.ALPHABET)
    assert pseudonyms.new_column("X", 0).tolist() == []


def test_a_page_is_the_bucket_of_a_record_store(tmp_path: Path) -> None:
    from baekman.records.store import RecordStore

    ids = [each.decode() for each in pseudonyms.new_column("P", 300)]
    store = RecordStore(path=tmp_path, buckets=256, owner="", workspace=tmp_path)
    assert [f"{page:02x}" for page in pages_of(pa.array(ids))] == [store.bucket_of(each) for each in ids]


def test_nothing_of_a_book_can_be_read_without_the_key(registry: Registry, folder: Path) -> None:
    rows = open_book(registry, FIRST).rows(people(registry))
    names = [*rows["participant_id"].to_pylist(), *rows["project_id"].to_pylist()]
    for path in (folder / "registry" / "books").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not [name for name in names if name.encode() in data]
        assert path.is_dir() or path.stat().st_mode & 0o077 == 0


def _sealed_sizes(folder: Path, project_id: str) -> dict[str, int]:
    """Return the size of each sealed page: a row more or less does not show in it."""
    with sqlite3.connect(folder / "registry" / "books" / project_id / "pages.sqlite") as connection:
        return dict(connection.execute("SELECT name, length(value) FROM sealed WHERE name != 'head'"))


def test_a_page_of_an_earlier_change_does_not_open_and_its_size_says_nothing(registry: Registry, folder: Path) -> None:
    ids = people(registry)
    book = open_book(registry, FIRST)
    file = folder / "registry" / "books" / FIRST / "pages.sqlite"
    first = next(each for each in ids if sum(other[1:3] == each[1:3] for other in ids) == 1)
    twin = _register_in_page_of(registry, folder, first)
    book.rows([first])
    with sqlite3.connect(file) as connection:
        name, value = connection.execute("SELECT name, value FROM sealed WHERE name != 'head'").fetchone()
    sizes = _sealed_sizes(folder, FIRST)
    book.rows([twin])
    assert _sealed_sizes(folder, FIRST) == sizes == {name: len(value)}
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE sealed SET value = ? WHERE name = ?", (value, name))
    with pytest.raises(InputRefused, match=f"book: page {name} of change 2: expected a value sealed for this record"):
        book.rows([first])


def _register_in_page_of(registry: Registry, folder: Path, participant_id: str) -> str:
    """Register somebody who gets an ID on the same page."""
    body = participant_id[:3] + pseudonyms.new("P")[3:-1]
    twin = body + pseudonyms.check_character(body)
    row = "서울병원\tBAR-TWIN\tSUBJ-TWIN\tgeneral\tmale\tgranted\t2025-01-01\t\t\t1984\t\t\t"
    new = pseudonyms.new
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pseudonyms, "new", lambda kind: twin if kind == "P" else new(kind))
        import_registrations(registry, [table(folder, row)])
    return twin


def test_pages_are_bound_to_their_project_and_change(registry: Registry, folder: Path) -> None:
    ids = people(registry)
    book = open_book(registry, FIRST)
    book.rows(ids[:20])
    books = folder / "registry" / "books"
    shutil.copytree(books / FIRST, folder / "old")
    book.rows(ids)
    open_book(registry, SECOND).rows(ids)
    shutil.copytree(books / FIRST, folder / "new")
    for name in ("pages.sqlite", "key"):
        shutil.copy2(books / SECOND / name, books / FIRST / name)
        with pytest.raises(
            InputRefused, match=r"expected a value sealed for this record|expected the key that the book"
        ):
            book.rows(ids)
        shutil.copy2(folder / "new" / name, books / FIRST / name)
    assert book.rows(ids).num_rows == PEOPLE
    shutil.copy2(folder / "old" / "pages.sqlite", books / FIRST / "pages.sqlite")
    for work in (lambda: book.rows(ids), lambda: every_book.require_whole(registry)):
        with pytest.raises(InputRefused) as refused:
            work()
        assert str(refused.value) == (
            f"book of {FIRST}: expected change 2 of the book or a later one, found change 1; restore the newest "
            "back-up of the registry, then run `baekman restore check`"
        )
    assert list(every_book.restore(registry, withdrawn=[], closed=[])) == [
        f"{FIRST}: its newest book is lost; people without a row in this one get other IDs"
    ]
    assert book.rows(ids).num_rows == PEOPLE


def test_a_destroyed_row_is_in_no_earlier_copy_of_the_pages(registry: Registry, folder: Path) -> None:
    ids = people(registry)
    book = open_book(registry, FIRST)
    rows = book.rows(ids)
    pages = folder / "registry" / "books" / FIRST / "pages.sqlite"
    shutil.copy2(pages, folder / "copy")
    registry.withdraw(ids[0])
    assert book.destroy_row(ids[0]) and not book.destroy_row(ids[0])
    assert book.rows(ids[1:]) == rows.slice(1)
    with pytest.raises(InputRefused) as refused:
        book.rows(ids)
    assert str(refused.value) == (
        f"book of {FIRST}: {ids[0]}: expected registered participants who have not withdrawn, found 1 others; "
        "propose the release again: it leaves them out"
    )
    shutil.copy2(folder / "copy", pages)
    with pytest.raises(InputRefused, match="expected the key that the book was made with"):
        book.has_row(ids[0])


def test_a_book_of_a_back_up_brings_no_destroyed_row_back(registry: Registry, folder: Path) -> None:
    ids = people(registry)
    book = open_book(registry, FIRST)
    book.rows(ids)
    home = folder / "registry" / "books" / FIRST
    shutil.copytree(home, folder / "copy")
    registry.withdraw(ids[0])
    book.destroy_row(ids[0])
    shutil.rmtree(home)
    with pytest.raises(
        InputRefused, match=f"book of {FIRST}: expected the book of this project, found none: it is lost"
    ):
        open_book(registry, FIRST)
    shutil.copytree(folder / "copy", home)
    with pytest.raises(InputRefused, match="of the book or a later one"):
        book.rows(ids[1:])
    assert list(every_book.restore(registry, withdrawn=[ids[0]], closed=[])) == [
        f"{FIRST}: its newest book is lost; people without a row in this one get other IDs",
        f"{ids[0]}: row of the book of {FIRST} destroyed again",
    ]
    assert not book.has_row(ids[0]) and book.rows(ids[1:]).num_rows == PEOPLE - 1
    assert list(every_book.restore(registry, withdrawn=[ids[0]], closed=[])) == []
    every_book.require_whole(registry)


def test_a_destroyed_book_is_gone_for_good(registry: Registry, folder: Path) -> None:
    book = open_book(registry, FIRST)
    book.rows(people(registry))
    home = folder / "registry" / "books" / FIRST
    shutil.copytree(home, folder / "copy")
    assert book.destroy() and not book.destroy()
    assert not home.exists()
    shutil.copytree(folder / "copy", home)
    for work in (lambda: open_book(registry, FIRST), lambda: book.rows([]), lambda: every_book.require_whole(registry)):
        with pytest.raises(InputRefused, match=f"book of {FIRST}: expected the book of an open project"):
            work()
    assert list(every_book.restore(registry, withdrawn=[], closed=[FIRST])) == [f"{FIRST}: its book destroyed again"]
    assert not home.exists()
    every_book.require_whole(registry)


@pytest.mark.parametrize("stop_at", range(1, 6))
def test_a_new_key_of_the_registry_seals_books_again(stop_at: int, registry: Registry, folder: Path) -> None:
    ids = people(registry)
    rows = open_book(registry, FIRST).rows(ids)
    sealed = (folder / "registry" / "books" / FIRST / "key").read_bytes()
    was_killed = killed_before(3 * stop_at, lambda: key_rotation.rotate_key(registry))
    opened = open_registry(folder)
    assert open_book(opened, FIRST).rows(ids) == rows
    key_rotation.rotate_key(opened)
    assert (folder / "registry" / "books" / FIRST / "key").read_bytes()[:4] != sealed[:4]
    assert open_book(open_registry(folder), FIRST).rows(ids) == rows
    assert len((folder / "registry" / "registry.key").read_text().split()) == 1
    assert was_killed or stop_at > 5


@pytest.mark.parametrize("step", range(1, 14))
def test_a_kill_at_any_instant_loses_no_row_and_no_destruction(step: int, registry: Registry, folder: Path) -> None:
    ids = people(registry)[:3]
    killed = killed_before(step, lambda: open_book(registry, FIRST).rows(ids))
    book = open_book(open_registry(folder), FIRST)
    rows = book.rows(ids)
    every_book.require_whole(registry)
    killed |= killed_before(step, lambda: book.destroy_row(ids[0]))
    book.destroy_row(ids[0])
    assert book.rows(ids[1:]) == rows.slice(1) and not book.has_row(ids[0])
    assert len(book._pages._ring().keys) == 1
    every_book.require_whole(registry)
    killed |= killed_before(step, lambda: book.destroy())
    book.destroy()
    assert list(every_book.books(registry)) == []
    assert killed or step > 10


def test_every_book_knows_whom_it_has(registry: Registry) -> None:
    ids = people(registry)
    open_book(registry, FIRST).rows(ids[:2])
    open_book(registry, SECOND).rows(ids[1:3])
    assert every_book.projects_with(registry, ids[1]) == [FIRST, SECOND]
    assert every_book.destroy_rows(registry, ids[1:]) == [(FIRST, ids[1]), (SECOND, ids[1]), (SECOND, ids[2])]
    assert [book.count() for book in every_book.books(registry)] == [1, 0]
    assert Book(registry, FIRST).has_row(ids[0])


def test_several_writers_draw_one_row_for_each_participant(registry: Registry, folder: Path) -> None:
    ids = people(registry)[:8]
    books = [open_book(open_registry(folder), FIRST) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        drawn = list(pool.map(lambda book: book.rows(ids), books))
    assert drawn[0] == drawn[1] == drawn[2] and books[0].count() == 8
    every_book.require_whole(registry)


def test_who_withdraws_at_any_instant_of_the_drawing_has_no_row(registry: Registry, folder: Path) -> None:
    ids = people(registry)
    book, other = open_book(registry, FIRST), open_registry(folder)
    files = [folder / "registry" / "registry.sqlite", folder / "registry" / "books" / FIRST / "pages.sqlite"]
    lock = folder / "registry" / "books" / f".{FIRST}.lock"

    def withdraw(participant_id: str) -> bool:
        if locks.is_held(lock) or any(map(_is_locked, files)):
            return False
        other.withdraw(participant_id)
        every_book.destroy_rows(other, [participant_id])
        return True

    steps = 0
    for step in range(1, 7):
        gone, kept = ids[2 * step], ids[2 * step + 1]

        def draw_both(pair: tuple[str, str] = (gone, kept)) -> None:
            with suppress(InputRefused):
                book.rows(pair)

        steps = done_before(step, lambda gone=gone: withdraw(gone), draw_both)  # type: ignore[misc]
        assert not book.has_row(gone) and book.rows([kept]).num_rows == 1
    assert steps >= 3


def _is_locked(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False
