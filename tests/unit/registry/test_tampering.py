"""Whoever has the registry's database without its key can delete, change, swap or roll back nothing unnoticed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from baekman import consent, pseudonyms
from baekman.consent import ALL_SCOPES, ConsentEvent, Decision, Scope
from baekman.errors import InputRefused
from baekman.registry import database
from baekman.registry.importing import import_registrations
from baekman.registry.key_rotation import rotate_key
from baekman.registry.records import Registry, create_registry, open_registry
from baekman.registry.seal import guard
from baekman.registry.verdict_history import note_delivery, record_verdicts
from baekman.verdicts import Verdict
from sqlalchemy import Connection, text
from support.registrations import FIRST, SECOND, participant_of, table

# table -> the column with the ID of the participant or delivery
OWNER = {
    "participants": "participant_id",
    "specimens": "participant_id",
    "consent_events": "participant_id",
    "deliveries": "delivery_id",
    "verdicts": "delivery_id",
    "seals": "owner_id",
}
Rows = dict[str, list[dict[str, Any]]]


class Attacker:
    """A database administrator without the key, and the two participants to attack."""

    def __init__(self, registry: Registry) -> None:
        self.engine = database.connect(
            registry.engine.url.render_as_string(hide_password=False)
            if registry.engine.dialect.name == "postgresql"
            else Path(str(registry.engine.url.database))
        )
        self.first, self.second = participant_of(registry), participant_of(registry, "BAR-0002")
        self.old = self.rows(self.first)  # before the refusal and the withdrawal

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Yield a connection on which no foreign key holds."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            else:
                connection.exec_driver_sql("SET session_replication_role = replica")
            yield connection

    def run(self, statement: str, **values: Any) -> None:
        """Run one statement that changes at least a row."""
        with self.connected() as connection:
            assert connection.execute(text(statement), values).rowcount

    def rows(self, owner_id: str) -> Rows:
        """Return all rows of a participant or delivery."""
        with self.connected() as connection:
            return {
                name: [dict(row) for row in connection.execute(_select(name, column), {"id": owner_id}).mappings()]
                for name, column in OWNER.items()
            }

    def delete(self, owner_id: str, tables: Iterable[str]) -> None:
        """Delete all rows of a participant or delivery in ``tables``."""
        with self.connected() as connection:
            for name in tables:
                connection.execute(text(f"DELETE FROM {name} WHERE {OWNER[name]} = :id"), {"id": owner_id})

    def insert(self, rows: Rows, **changed: Any) -> None:
        """Insert ``rows`` with the columns ``changed``."""
        with self.connected() as connection:
            for name, records in rows.items():
                for record in records:
                    values = {**record, **{key: value for key, value in changed.items() if key in record}}
                    columns = ", ".join(values)
                    places = ", ".join(f":{column}" for column in values)
                    connection.execute(text(f"INSERT INTO {name} ({columns}) VALUES ({places})"), values)

    def roll_back(self, tables: Iterable[str]) -> None:
        """Replace the first participant's rows in ``tables`` by the older ones."""
        tables = list(tables)
        self.delete(self.first, tables)
        self.insert({name: self.old[name] for name in tables})


def _select(name: str, column: str) -> Any:
    return text(f"SELECT * FROM {name} WHERE {column} = :id")


def delete_the_last_refusal(attacker: Attacker) -> None:
    last = attacker.rows(attacker.first)["consent_events"][-1]["sequence"]
    attacker.run("DELETE FROM consent_events WHERE sequence = :n", n=last)


def delete_all_events(attacker: Attacker) -> None:
    attacker.run("DELETE FROM consent_events WHERE participant_id = :p", p=attacker.first)


def swap_the_events_of_two_people(attacker: Attacker) -> None:
    for old, new in ((attacker.first, "P-"), (attacker.second, attacker.first), ("P-", attacker.second)):
        attacker.run("UPDATE consent_events SET participant_id = :new WHERE participant_id = :old", old=old, new=new)


def swap_two_sealed_events_of_one_person(attacker: Attacker) -> None:
    events = attacker.rows(attacker.first)["consent_events"]
    for event, other in ((events[0], events[-1]), (events[-1], events[0])):
        attacker.run(
            "UPDATE consent_events SET sealed = :sealed WHERE sequence = :n",
            sealed=other["sealed"],
            n=event["sequence"],
        )


def reverse_the_order_of_events(attacker: Attacker) -> None:
    events = attacker.rows(attacker.first)["consent_events"]
    first, last = events[0]["sequence"], events[-1]["sequence"]
    for old, new in ((first, 10_000), (last, first), (10_000, last)):
        attacker.run("UPDATE consent_events SET sequence = :new WHERE sequence = :old", old=old, new=new)


def change_the_time_of_an_event(attacker: Attacker) -> None:
    attacker.run(
        "UPDATE consent_events SET recorded_at = '2020-01-01T00:00:00+00:00' WHERE participant_id = :p",
        p=attacker.first,
    )


def change_a_byte_of_a_sealed_event(attacker: Attacker) -> None:
    event = attacker.rows(attacker.first)["consent_events"][0]
    sealed = bytearray(event["sealed"])
    sealed[-1] ^= 1
    attacker.run("UPDATE consent_events SET sealed = :s WHERE sequence = :n", s=bytes(sealed), n=event["sequence"])


def replay_an_old_grant(attacker: Attacker) -> None:
    grant = attacker.rows(attacker.first)["consent_events"][0]
    attacker.insert({"consent_events": [grant]}, sequence=10_000)


def move_a_specimen(attacker: Attacker) -> None:
    attacker.run(
        "UPDATE specimens SET participant_id = :q WHERE participant_id = :p", p=attacker.first, q=attacker.second
    )


def swap_two_specimens(attacker: Attacker) -> None:
    swap = "UPDATE specimens SET participant_id = :new WHERE participant_id = :old"
    for old, new in ((attacker.first, "P-"), (attacker.second, attacker.first), ("P-", attacker.second)):
        attacker.run(swap, old=old, new=new)


def swap_the_barcodes_of_two_specimens(attacker: Attacker) -> None:
    rows = [attacker.rows(owner)["specimens"][0] for owner in (attacker.first, attacker.second)]
    statement = "UPDATE specimens SET specimen_index = :i WHERE specimen_id = :s"
    attacker.run(statement, i="x", s=rows[0]["specimen_id"])
    attacker.run(statement, i=rows[0]["specimen_index"], s=rows[1]["specimen_id"])
    attacker.run(statement, i=rows[1]["specimen_index"], s=rows[0]["specimen_id"])


def swap_the_codes_of_two_participants(attacker: Attacker) -> None:
    rows = [attacker.rows(owner)["participants"][0] for owner in (attacker.first, attacker.second)]
    statement = "UPDATE participants SET participant_index = :i WHERE participant_id = :p"
    attacker.run(statement, i="x", p=attacker.first)
    attacker.run(statement, i=rows[0]["participant_index"], p=attacker.second)
    attacker.run(statement, i=rows[1]["participant_index"], p=attacker.first)


def delete_a_specimen(attacker: Attacker) -> None:
    attacker.run("DELETE FROM specimens WHERE participant_id = :p", p=attacker.first)


def remove_the_withdrawal(attacker: Attacker) -> None:
    attacker.run("UPDATE participants SET withdrawn_at = NULL WHERE participant_id = :p", p=attacker.first)


def change_the_date_of_the_withdrawal(attacker: Attacker) -> None:
    attacker.run("UPDATE participants SET withdrawn_at = '2099-01-01' WHERE participant_id = :p", p=attacker.first)


def roll_back_the_record(attacker: Attacker) -> None:
    attacker.roll_back(["participants"])


def roll_back_the_events_and_the_record(attacker: Attacker) -> None:
    attacker.roll_back(["participants", "consent_events"])


def roll_back_everything_of_a_person(attacker: Attacker) -> None:
    attacker.roll_back(["participants", "specimens", "consent_events", "seals"])


def delete_a_participant(attacker: Attacker) -> None:
    attacker.delete(attacker.first, ["consent_events", "specimens", "participants"])


def delete_a_participant_and_the_seal(attacker: Attacker) -> None:
    attacker.delete(attacker.first, ["consent_events", "specimens", "participants", "seals"])


def insert_a_copy_of_a_participant(attacker: Attacker) -> None:
    rows = attacker.rows(attacker.first)["participants"]
    attacker.insert({"participants": rows}, participant_id=pseudonyms.new("P"), participant_index="x")


def copy_a_participant_with_the_seal(attacker: Attacker) -> None:
    rows, copy = attacker.rows(attacker.first), pseudonyms.new("P")
    attacker.insert(
        {name: rows[name] for name in ("participants", "seals")},
        participant_id=copy,
        owner_id=copy,
        participant_index="x",
    )


def delete_the_seal(attacker: Attacker) -> None:
    attacker.run("DELETE FROM seals WHERE owner_id = :p", p=attacker.first)


def delete_the_head(attacker: Attacker) -> None:
    attacker.run("DELETE FROM heads")


def delete_a_verdict(attacker: Attacker) -> None:
    attacker.run("DELETE FROM verdicts WHERE sequence = (SELECT max(sequence) FROM verdicts)")


def delete_a_delivery(attacker: Attacker) -> None:
    attacker.run("DELETE FROM verdicts WHERE sequence > 0")
    attacker.run("DELETE FROM deliveries WHERE delivery_id > ''")


# what the message names, and what was found there
ATTACKS: dict[Callable[[Attacker], None], str] = {
    delete_the_last_refusal: r"{first}: expected its consent event \d, found none: deleted",
    delete_all_events: r"{first}: expected its consent event \d, found none: deleted",
    swap_the_events_of_two_people: r"{first}: expected its consent event \d, found none: deleted, or moved",
    swap_two_sealed_events_of_one_person: r"{first}: expected its consent event \d, found another: changed or swapped",
    reverse_the_order_of_events: r"{first}: expected its consent event \d, found another: changed or swapped",
    change_the_time_of_an_event: r"{first}: expected its consent event \d, found another: changed or swapped",
    change_a_byte_of_a_sealed_event: r"{first}: expected its consent event \d, found another: changed or swapped",
    replay_an_old_grant: r"{first}: expected \d consent events, found consent event 10000 more, not sealed",
    move_a_specimen: r"{first}: expected its specimen S\w+, found none: deleted, or moved to another",
    swap_two_specimens: r"{second}: expected 1 specimens, found specimen S\w+ more, not sealed",
    swap_the_barcodes_of_two_specimens: r"{first}: expected its specimen S\w+, found another: changed or swapped",
    swap_the_codes_of_two_participants: r"{first}: expected its newest record, found another: changed, or an old",
    delete_a_specimen: r"{first}: expected its specimen S\w+, found none: deleted, or moved to another",
    remove_the_withdrawal: r"{first}: expected a withdrawal of 20\d\d-\d\d-\d\d, found no withdrawal",
    change_the_date_of_the_withdrawal: r"{first}: expected a withdrawal of 20\S+, found a withdrawal of 2099-01-01",
    roll_back_the_record: r"{first}: expected a withdrawal of 20\d\d-\d\d-\d\d, found no withdrawal",
    roll_back_the_events_and_the_record: r"{first}: expected its consent event \d, found none: deleted, or moved",
    roll_back_everything_of_a_person: r"{first}: expected the newest record, found an older copy",
    delete_a_participant: r"{first}: expected its record, found none: it was deleted",
    delete_a_participant_and_the_seal: r"{first}: expected a sealed record, found none",
    insert_a_copy_of_a_participant: r"participants: expected 2 rows, found 3",
    copy_a_participant_with_the_seal: r"seal P\w+: expected a value sealed for this record",
    delete_the_seal: r"{first}: expected a sealed record, found none",
    delete_the_head: r"registry: expected the sealed head of the registry, found none: it was deleted by hand",
    delete_a_verdict: r"D\w+: expected its verdict \d, found none: deleted, or moved to another",
    delete_a_delivery: r"D\w+: expected its record, found none: it was deleted",
}  # fmt: skip
# those that no use of the two participants can notice in a large registry: `registry verify` does
UNUSED = {insert_a_copy_of_a_participant, copy_a_participant_with_the_seal, delete_a_verdict, delete_a_delivery}


@pytest.fixture
def attacker(registry: Registry, tmp_path: Path) -> Attacker:
    """Return an attacker of two participants; the first refuses and withdraws after the attacker's copy."""
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    delivery_id, _ = note_delivery(registry, "서울병원", "1", "aa")
    record_verdicts(registry, delivery_id, [_verdict(registry, gate) for gate in ("intake", "qc")])
    attacker = Attacker(registry)
    registry.add_consent(
        ConsentEvent(
            participant_id=attacker.first, decision=Decision.REFUSED, scopes=ALL_SCOPES, valid_from=consent.today()
        )
    )
    registry.withdraw(attacker.first)
    return attacker


def _verdict(registry: Registry, gate: Any) -> Verdict:
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None
    return Verdict(
        gate=gate, specimen_id=record.specimen_id, participant_id=record.participant_id, verdict="accept", reasons=()
    )


def _pattern(expected: str, attacker: Attacker) -> str:
    return expected.replace("{first}", attacker.first).replace("{second}", attacker.second)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_every_attack_is_noticed_when_the_registry_is_opened(
    attack: Callable[[Attacker], None], attacker: Attacker, location: str | None, tmp_path: Path
) -> None:
    open_registry(tmp_path, registry=location)
    attack(attacker)
    with pytest.raises(InputRefused) as refused:
        open_registry(tmp_path, registry=location)
    assert re.search(_pattern(ATTACKS[attack], attacker), str(refused.value)), str(refused.value)
    assert "restore the registry from a back-up, then run `baekman restore check`" in str(refused.value) or (
        "restore the store from a copy" in str(refused.value)
    )


USES: dict[str, Callable[[Registry, Attacker], object]] = {
    "consent": lambda registry, attacker: registry.consent_states(attacker.first),
    "add consent": lambda registry, attacker: registry.add_consent(
        ConsentEvent(
            participant_id=attacker.first,
            decision=Decision.GRANTED,
            scopes=(Scope.GENOME,),
            valid_from=date(2026, 1, 1),
        )
    ),
    "withdraw": lambda registry, attacker: registry.withdraw(attacker.first),
    "standing": lambda registry, attacker: [list(registry.standing())],
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack not in UNUSED], ids=lambda a: a.__name__)
def test_every_attack_on_a_person_is_noticed_where_a_large_registry_uses_the_person(
    attack: Callable[[Attacker], None],
    use: str,
    on_sqlite: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard.Guard, "require_opened", lambda _guard: None)
    import_registrations(on_sqlite, [table(tmp_path, FIRST, SECOND)])
    attacker = Attacker(on_sqlite)
    on_sqlite.add_consent(
        ConsentEvent(
            participant_id=attacker.first, decision=Decision.REFUSED, scopes=ALL_SCOPES, valid_from=consent.today()
        )
    )
    on_sqlite.withdraw(attacker.first)
    attack(attacker)
    with pytest.raises(InputRefused, match=f"{attacker.first}|expected the sealed head"):
        USES[use](open_registry(tmp_path), attacker)


@pytest.mark.parametrize("attack", [roll_back_everything_of_a_person, delete_a_participant_and_the_seal])
def test_a_change_after_an_attack_does_not_hide_it(
    attack: Callable[[Attacker], None],
    on_sqlite: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "WHOLE_AT_MOST", 0)
    import_registrations(on_sqlite, [table(tmp_path, FIRST, SECOND)])
    attacker = Attacker(on_sqlite)
    on_sqlite.withdraw(attacker.first)
    attack(attacker)
    import_registrations(on_sqlite, [table(tmp_path, FIRST, SECOND)])  # registers them again where they are gone
    on_sqlite.withdraw(attacker.second)
    with pytest.raises(InputRefused):
        rotate_key(on_sqlite)
    with pytest.raises(InputRefused, match=attacker.first if attack is roll_back_everything_of_a_person else "IDs|P"):
        on_sqlite.guard.require_whole()


def test_a_note_is_kept_in_the_sealed_head(registry: Registry, location: str | None, tmp_path: Path) -> None:
    assert registry.noted("audit") is None
    before = registry.guard.head().sequence
    registry.note("audit", {"sequence": 3, "hash": "ab"})
    opened = open_registry(tmp_path, registry=location)
    assert opened.noted("audit") == {"sequence": 3, "hash": "ab"}
    assert opened.guard.head().sequence == before
    import_registrations(registry, [table(tmp_path, FIRST)])
    rotate_key(registry)
    assert open_registry(tmp_path, registry=location).noted("audit") == {"sequence": 3, "hash": "ab"}


def test_readers_raise_no_alarm_while_another_process_writes(on_sqlite: Registry, tmp_path: Path) -> None:
    import_registrations(on_sqlite, [table(tmp_path, FIRST, SECOND)])
    reader, first = open_registry(tmp_path), participant_of(on_sqlite)
    assert len(list(reader.standing())) == 2
    on_sqlite.withdraw(first)
    assert reader.is_withdrawn(first)
    assert create_registry(tmp_path)[1] is False
