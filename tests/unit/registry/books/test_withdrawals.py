"""A withdrawal reaches the book of every project, and a restored book brings nobody back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from baekman import withdrawal
from baekman.errors import InputRefused
from baekman.registry.books import every_book
from baekman.registry.books.book import open_book
from baekman.registry.records import open_registry
from support.finished_workspace import FinishedWorkspace, withdraw
from support.kills import killed_before
from support.projects import FIRST, SECOND


@pytest.fixture
def books(workspace: FinishedWorkspace) -> FinishedWorkspace:
    registry = open_registry(workspace.root)
    open_book(registry, FIRST).rows(workspace.participant_ids)
    open_book(registry, SECOND).rows(workspace.participant_ids[1:])
    return workspace


def test_a_withdrawal_destroys_the_row_in_every_book_and_the_receipt_says_so(books: FinishedWorkspace) -> None:
    gone, registry = books.participant_ids[1], open_registry(books.root)
    others = open_book(registry, FIRST).rows([books.participant_ids[0], books.participant_ids[2]])
    receipt = withdraw(books)
    lines = [f"registry/books/{project}: the row of this participant" for project in sorted((FIRST, SECOND))]
    assert [line for line in receipt["removed"] if "books" in line] == lines
    assert every_book.projects_with(registry, gone) == []
    assert open_book(registry, FIRST).rows(others["participant_id"].to_pylist()) == others
    again = withdraw(books)
    assert not again["changed"] and again["removed"] == receipt["removed"]


def test_a_withdrawal_that_was_killed_in_a_book_has_the_whole_receipt(books: FinishedWorkspace) -> None:
    gone, registry = books.participant_ids[1], open_registry(books.root)
    real, calls = every_book.destroy_rows, []

    def killed(*arguments: object) -> None:
        calls.append(killed_before(6, lambda: real(*arguments)))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(every_book, "destroy_rows", killed)
        withdraw(books)
    receipt = withdraw(books)
    assert calls == [True]
    assert len([line for line in receipt["removed"] if "books" in line]) == 2
    assert every_book.projects_with(registry, gone) == []


def test_a_restored_registry_with_its_books_brings_nobody_back(books: FinishedWorkspace, tmp_path: Path) -> None:
    gone, kept = books.participant_ids[1], [books.participant_ids[0], books.participant_ids[2]]
    shutil.copytree(books.registry, tmp_path / "copy")
    withdraw(books)
    shutil.rmtree(books.registry)
    shutil.copytree(tmp_path / "copy", books.registry)
    with pytest.raises(InputRefused, match="registry: expected change"):
        withdrawal.open_registry_and_sweep(books)
    lines = withdrawal.restore_check(books, registry=open_registry(books.root))
    assert [line for line in lines if "book" in line] == [
        f"{gone}: row of the book of {project} destroyed again" for project in sorted((FIRST, SECOND))
    ]
    registry = withdrawal.open_registry_and_sweep(books)
    assert every_book.projects_with(registry, gone) == []
    assert open_book(registry, FIRST).rows(kept).num_rows == 2
