"""Snapshots: numbered, created once, equal in content whatever the batches."""

from __future__ import annotations

import pytest
from baekman.cohort.roster import digest_members
from baekman.cohort.snapshot import BatchEntry, Snapshot, create_snapshot, numbers, read_called, read_snapshot
from baekman.cohort.store import Store
from baekman.errors import InputRefused


def entry(name: str, *ids: str) -> BatchEntry:
    digest = digest_members(ids, [f"sha of {participant}" for participant in ids], ["unknown"] * len(ids))
    return BatchEntry(name=name, participants=len(ids), digest=digest, females=0)


def test_a_store_begins_with_the_empty_cohort(store: Store) -> None:
    assert (read_snapshot(store), numbers(store)) == (Snapshot(number=0), [])
    assert read_called(store, read_snapshot(store), 0).num_rows == 0


def test_a_number_is_created_once(store: Store) -> None:
    create_snapshot(store, Snapshot(number=1, batches=(entry("b1", "P1"),)))
    with pytest.raises(FileExistsError):
        create_snapshot(store, Snapshot(number=1, batches=(entry("b2", "P2"),)))
    assert [batch.name for batch in read_snapshot(store).batches] == ["b1"]
    assert [path.name for path in store.snapshots.iterdir()] == ["00000001.json"]


def test_a_snapshot_is_read_as_it_was_created(store: Store) -> None:
    snapshot = Snapshot(number=3, batches=(entry("b1", "P1", "P2"), entry("b2", "P3")), tombstones=("b0",))
    create_snapshot(store, snapshot)
    assert read_snapshot(store, 3) == snapshot == read_snapshot(store)
    assert snapshot.participants == 3


def test_content_depends_on_the_participants_alone() -> None:
    whole = Snapshot(number=1, batches=(entry("b1", "P1", "P2", "P3"),))
    divided = Snapshot(number=7, batches=(entry("x", "P3"), entry("y", "P2", "P1")))
    assert whole.content == divided.content
    assert whole.content != Snapshot(number=1, batches=(entry("b1", "P1", "P2"),)).content


def test_a_snapshot_that_is_not_there(store: Store) -> None:
    create_snapshot(store, Snapshot(number=2))
    with pytest.raises(InputRefused) as refused:
        read_snapshot(store, 5)
    assert str(refused.value) == "--snapshot: expected one of the cohort's snapshots (2), found 5"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"batches": [{"name": 1}], "tombstones": [], "filters": {}}']
)
def test_a_broken_snapshot_is_refused_in_words(store: Store, content: str) -> None:
    (store.snapshots / "00000001.json").write_text(content)
    with pytest.raises(InputRefused, match="expected the description of a snapshot"):
        read_snapshot(store)
