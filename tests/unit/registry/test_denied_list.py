"""The list of denied participants follows the newest change of the registry and is written a page at a time."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from baekman import consent
from baekman.consent import ALL_SCOPES, ConsentEvent, ConsentState, Decision
from baekman.registry import database
from baekman.registry.denied_list import update_denied_list
from baekman.registry.importing import import_registrations
from baekman.registry.key_rotation import rotate_key
from baekman.registry.listing import institution_rows, participant_rows
from baekman.registry.records import Registry, open_registry
from baekman.workspace.denied import denied_participants
from baekman.workspace.paths import Workspace
from support.registrations import FIRST, participant_of, table

PEOPLE = [FIRST.replace("BAR-0001", f"BAR-000{n}").replace("SUBJ-1", f"SUBJ-{n}") for n in range(7)]


def refusal(participant: str) -> ConsentEvent:
    return ConsentEvent(
        participant_id=participant, decision=Decision.REFUSED, scopes=ALL_SCOPES, valid_from=date(2025, 2, 1)
    )


class SlowRegistry:
    """A registry that has read everything, and yields it only after ``go_on``."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.has_read, self.go_on = threading.Event(), threading.Event()

    def last_sequence(self) -> int:
        return self.registry.last_sequence()

    def note(self, name: str, value: str) -> None:
        self.registry.note(name, value)

    def standing(self) -> Iterator[Any]:
        everything = list(self.registry.standing())
        self.has_read.set()
        self.go_on.wait(timeout=60)
        yield from everything


def test_a_state_read_before_a_change_is_not_written_after_it(on_sqlite: Registry, tmp_path: Path) -> None:
    import_registrations(on_sqlite, [table(tmp_path, FIRST)])
    slow = SlowRegistry(on_sqlite)
    first = threading.Thread(target=update_denied_list, args=(Workspace(tmp_path),), kwargs={"registry": slow})
    first.start()
    assert slow.has_read.wait(timeout=60)
    participant = participant_of(on_sqlite)
    on_sqlite.add_consent(refusal(participant))
    second = threading.Thread(target=update_denied_list, args=(Workspace(tmp_path),), kwargs={"registry": on_sqlite})
    second.start()
    second.join(timeout=1)  # without the lock it would end here
    slow.go_on.set()
    first.join()
    second.join()
    assert denied_participants(Workspace(tmp_path)) == {participant}


def test_the_unfinished_list_of_a_killed_process_is_removed(on_sqlite: Registry, tmp_path: Path) -> None:
    (tmp_path / ".denied.txt.0123.tmp").write_text("P0123456789ABC\t")
    update_denied_list(Workspace(tmp_path), registry=on_sqlite)
    assert {path.name for path in tmp_path.glob("*denied*")} == {"denied.txt", ".denied.txt.lock"}


def test_readers_of_all_participants_read_a_page_at_a_time(
    registry: Registry, location: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_registrations(registry, [table(tmp_path, *PEOPLE)])
    first = participant_of(registry)
    registry.add_consent(refusal(first))
    registry.withdraw(participant_of(registry, "BAR-0002"))

    def read() -> tuple[object, ...]:
        opened = open_registry(tmp_path, registry=location)
        everybody = [participant_id for participant_id, *_ in opened.standing()]
        assert everybody == sorted(everybody)
        rows = list(participant_rows(opened))
        assert [row["participant_id"] for row in rows] == everybody
        hashed = update_denied_list(Workspace(tmp_path), registry=opened)
        assert hashed == opened.consent_hash() == opened.consent_hash(everybody)
        assert denied_participants(Workspace(tmp_path)) == {
            row["participant_id"] for row in rows if row["genome"] != "granted"
        }
        return rows, institution_rows(opened, "서울병원"), hashed, (tmp_path / "denied.txt").read_text()

    everything = read()
    monkeypatch.setattr(database, "PAGE", 3)
    sizes = [len(page) for page in _pages_of(registry)]
    assert sizes == [3, 3, 1]
    assert read() == everything
    assert rotate_key(registry) == 7 + 7 + 9
    assert read() == everything


def _pages_of(registry: Registry) -> Iterator[Any]:
    with database.paging(registry.engine) as connection:
        yield from database.pages(connection, database.participants.c.participant_id)


def test_the_consent_hash_of_some_reads_only_their_events(
    on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_registrations(on_sqlite, [table(tmp_path, *PEOPLE)])
    some = [participant_of(on_sqlite), participant_of(on_sqlite, "BAR-0002")]
    opened: list[str] = []
    unseal = on_sqlite.ring.unseal
    monkeypatch.setattr(
        on_sqlite.ring, "unseal", lambda sealed, identity: opened.append(identity) or unseal(sealed, identity=identity)
    )  # type: ignore[func-returns-value]
    monkeypatch.setattr(database, "pages", None)
    on_sqlite.consent_hash(some)
    events = [identity for identity in opened if not identity.startswith("seal ")]
    assert sorted(events) == sorted(f"consent {participant_id}" for participant_id in some)
    assert {f"seal {participant_id}" for participant_id in some} == set(opened) - set(events)


def test_the_consent_hash_is_the_digest_of_sorted_lines(on_sqlite: Registry, tmp_path: Path) -> None:
    import_registrations(on_sqlite, [table(tmp_path, *PEOPLE)])
    lines = [
        json.dumps(
            [
                participant_id,
                {scope.value: states[scope].value for scope in states},
                [event.to_json() for event in events],
            ],
            sort_keys=True,
        )
        for participant_id, _, states, events in on_sqlite.standing()
    ]
    assert on_sqlite.consent_hash() == hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def test_participants_out_of_order_have_no_consent_hash() -> None:
    states = dict.fromkeys(ALL_SCOPES, ConsentState.ABSENT)
    with pytest.raises(ValueError, match="out of order"):
        consent.state_hash([("P2", states, []), ("P1", states, [])])
