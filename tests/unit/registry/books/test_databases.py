"""A book lies in the registry's folder, wherever the database of the registry is."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.registry import key_rotation
from baekman.registry.books.book import open_book
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry, open_registry
from support.projects import FIRST
from support.registrations import FIRST as ROW
from support.registrations import participant_of, table


def test_a_book_is_kept_for_a_registry_on_any_database(
    registry: Registry, location: str | None, tmp_path: Path
) -> None:
    import_registrations(registry, [table(tmp_path, ROW)])
    participant_id = participant_of(registry)
    rows = open_book(registry, FIRST).rows([participant_id])
    key_rotation.rotate_key(registry)
    opened = open_registry(tmp_path, registry=location)
    assert open_book(opened, FIRST).rows([participant_id]) == rows
    opened.withdraw(participant_id)
    assert open_book(opened, FIRST).destroy_row(participant_id)
    with pytest.raises(InputRefused, match="expected registered participants who have not withdrawn"):
        open_book(opened, FIRST).rows([participant_id])
