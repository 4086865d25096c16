"""Specimens, consent, withdrawals and verdicts in the registry; the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

import pytest
from baekman import pseudonyms
from baekman.consent import ConsentEvent, ConsentState, Decision, Scope
from baekman.errors import InputRefused
from baekman.registry import database
from baekman.registry.importing import ImportSummary, import_registrations
from baekman.registry.listing import institution_rows, write_institution
from baekman.registry.records import Registry, create_registry, open_registry
from baekman.registry.verdict_history import note_delivery, record_verdicts, verdict_history
from baekman.verdicts import Reason, Verdict
from support.registrations import FIRST, SECOND, array, participant_of, table

# -- confidential strings and look-alikes


def test_identifiers_of_a_specimen(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None
    assert set(registry.identifiers_of(record)) == {
        "홍길순", "840229-2234567", "8402292234567", "SUBJ-1", "BAR-0001",
    }  # fmt: skip


@pytest.mark.parametrize("barcode", ["BAR-O001", "ВАR-0001", "bar-0001", "ＢＡＲ-0001", "BAR_0001", "BAR-00Ol"])
def test_a_barcode_that_looks_like_another_is_recognised(barcode: str, on_sqlite: Registry, tmp_path: Path) -> None:
    import_registrations(on_sqlite, [table(tmp_path, FIRST, SECOND)])
    assert on_sqlite.specimen("서울병원", barcode) is None
    assert on_sqlite.specimen("서울병원", "BAR-0001") in on_sqlite.lookalikes("서울병원", barcode)
    assert on_sqlite.lookalikes("서울병원", "BAR-0001") == []


# -- consent


def test_consent_is_denied_by_default_and_follows_its_events(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    first, second = participant_of(registry), participant_of(registry, "BAR-0002")
    assert registry.active_consent(first) is ConsentState.GRANTED
    assert registry.active_consent(first, at=date(2024, 12, 31)) is ConsentState.ABSENT
    assert registry.active_consent(first, Scope.CLINICAL) is ConsentState.ABSENT
    assert registry.active_consent(second) is ConsentState.REFUSED
    withdrawn = FIRST.replace("granted\t2025-01-01", "withdrawn\t2025-06-01")
    assert import_registrations(registry, [table(tmp_path, withdrawn)]).consent_events == 1
    assert registry.active_consent(first) is ConsentState.WITHDRAWN
    # the old table again: nothing new, and the withdrawal stands
    assert import_registrations(registry, [table(tmp_path, FIRST)]).consent_events == 0
    assert registry.active_consent(first) is ConsentState.WITHDRAWN
    assert registry.active_consent(first, at=date(2025, 5, 31)) is ConsentState.GRANTED


def test_consent_that_was_given_back_on_a_day_may_be_taken_back_again_on_it(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    first = participant_of(registry)
    taken, given = (
        ConsentEvent(participant_id=first, decision=decision, scopes=(Scope.GENOME,), valid_from=date(2025, 6, 1))
        for decision in (Decision.WITHDRAWN, Decision.GRANTED)
    )
    for event, state in ((taken, ConsentState.WITHDRAWN), (given, ConsentState.GRANTED)) * 2:
        assert registry.add_consent(event)
        assert registry.active_consent(first) is state
        assert not registry.add_consent(event)  # the same command again
    both = ConsentEvent(
        participant_id=first,
        decision=Decision.WITHDRAWN,
        scopes=(Scope.GENOME, Scope.CLINICAL),
        valid_from=date(2025, 6, 1),
    )
    assert [registry.add_consent(event) for event in (both, taken, both)] == [True, False, False]


def test_a_table_that_takes_consent_back_is_in_force_whatever_came_before_it(
    registry: Registry, tmp_path: Path
) -> None:
    import_registrations(registry, [table(tmp_path, FIRST.replace("2025-01-01\t\t", "2025-01-01\t\tgenome;clinical"))])
    first = participant_of(registry)

    def add(decision: Decision) -> None:
        event = ConsentEvent(
            participant_id=first, decision=decision, scopes=(Scope.CLINICAL,), valid_from=date(2025, 6, 1)
        )
        assert registry.add_consent(event)

    def imported(name: str, row: str) -> tuple[int, ConsentState, ConsentState]:
        summary = import_registrations(registry, [table(tmp_path, row, name=name)])
        states = registry.consent_states(first)
        return summary.consent_events, states[Scope.GENOME], states[Scope.CLINICAL]

    granted, withdrawn = ConsentState.GRANTED, ConsentState.WITHDRAWN
    dated = FIRST.replace("granted\t2025-01-01\t\t", "withdrawn\t2025-06-01\t\tclinical")
    assert imported("dated.tsv", dated) == (1, granted, withdrawn)
    add(Decision.GRANTED)
    assert imported("dated.tsv", dated) == (0, granted, granted)  # it was imported before that
    assert imported("restated.tsv", dated + "\n" + SECOND) == (2, granted, withdrawn)
    # a grant that a table repeats is not given again
    repeated = FIRST.replace("2025-01-01\t\t", "2025-06-01\t\tclinical")
    assert imported("repeated.tsv", repeated) == (0, granted, withdrawn)
    # one scope is withdrawn; a row without a date withdraws all
    undated = FIRST.replace("granted\t2025-01-01", "withdrawn\t")
    assert imported("undated.tsv", undated) == (1, withdrawn, withdrawn)
    assert imported("undated.tsv", undated) == (0, withdrawn, withdrawn)


def test_the_consent_hash_changes_with_any_event_and_only_then(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    first, second = participant_of(registry), participant_of(registry, "BAR-0002")
    of_all, of_first = registry.consent_hash(), registry.consent_hash([first])
    assert registry.consent_hash([second, first]) == of_all
    event = ConsentEvent(
        participant_id=second, decision=Decision.GRANTED, scopes=(Scope.GENOME,), valid_from=date(2026, 1, 1)
    )
    assert registry.add_consent(event)
    assert not registry.add_consent(event)
    assert registry.consent_hash() != of_all
    assert registry.consent_hash([first]) == of_first
    registry.withdraw(first)
    assert registry.consent_hash([first]) != of_first


# -- withdrawal


def test_a_withdrawal_keeps_only_what_recognises_the_person_and_is_final(registry: Registry, tmp_path: Path) -> None:
    array(tmp_path / "array.vcf", "BAR-0001")
    file = table(tmp_path, FIRST + "array.vcf")
    import_registrations(registry, [file])
    participant = participant_of(registry)
    assert registry.withdraw(participant)
    assert not registry.withdraw(participant)
    assert registry.is_withdrawn(participant)
    assert registry.active_consent(participant) is ConsentState.WITHDRAWN
    assert registry.active_consent(participant, at=date(2025, 2, 1)) is ConsentState.WITHDRAWN
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None
    assert (record.registered_sex, record.array_genotypes) == ("unknown", None)
    assert registry.identifiers_of(record) == ["SUBJ-1", "BAR-0001"]
    # the table that registered them, again: nothing comes back
    assert import_registrations(registry, [file]) == ImportSummary(rows=1)
    assert registry.identifiers_of(record) == ["SUBJ-1", "BAR-0001"]
    with pytest.raises(InputRefused, match="column consent: expected no new consent of a participant who has"):
        import_registrations(registry, [table(tmp_path, FIRST.replace("2025-01-01", "2026-01-01"))])
    with pytest.raises(InputRefused, match="expected a participant who has not withdrawn"):
        registry.add_consent(
            ConsentEvent(
                participant_id=participant,
                decision=Decision.GRANTED,
                scopes=(Scope.GENOME,),
                valid_from=date(2026, 1, 1),
            )
        )


def test_an_unknown_participant_is_refused(registry: Registry) -> None:
    with pytest.raises(InputRefused, match="expected a registered participant, found none of this ID"):
        registry.withdraw(pseudonyms.new("P"))


# -- deliveries and verdicts


def test_a_delivery_is_new_then_the_same_then_changed(registry: Registry) -> None:
    delivery, status = note_delivery(registry, "서울병원", "2025-07", "aa")
    assert status == "new"
    pseudonyms.check(delivery, "D")
    assert note_delivery(registry, "서울병원", "2025-07", "aa") == (delivery, "same")
    assert note_delivery(registry, "서울병원", "2025-07", "bb") == (delivery, "changed")
    assert note_delivery(registry, "부산병원", "2025-07", "aa")[1] == "new"


def test_verdicts_keep_their_history(registry: Registry) -> None:
    first, second = note_delivery(registry, "서울병원", "1", "aa")[0], note_delivery(registry, "서울병원", "2", "aa")[0]
    specimen = pseudonyms.new("S")
    rejected = Verdict.of(
        specimen_id=specimen, participant_id=None, gate="intake", reasons=[Reason(code="truncated", severity="reject")]
    )
    accepted = Verdict.of(specimen_id=specimen, participant_id=None, gate="intake", reasons=[])
    assert record_verdicts(registry, first, [rejected]) == 1
    assert record_verdicts(registry, first, [rejected]) == 0
    assert record_verdicts(registry, second, [accepted]) == 1
    history = verdict_history(registry, specimen)
    assert [(delivery, verdict) for delivery, _, verdict in history] == [(first, rejected), (second, accepted)]


def test_an_institution_sees_its_own_rows_only(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND.replace("서울", "부산"))])
    assert institution_rows(registry, "서울병원") == [
        {"specimen_id": "BAR-0001", "participant": "SUBJ-1", "genome": "granted", "delivered": "", "verdict": ""}
    ]


def test_the_file_for_an_institution_is_readable_by_its_owner_only(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND.replace("서울", "부산"))])
    file = write_institution(registry, "서울병원", folder=tmp_path / "return")
    assert file.parent == tmp_path / "return" and "서울" not in file.name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text("utf-8") == (
        "specimen_id\tparticipant\tgenome\tdelivered\tverdict\nBAR-0001\tSUBJ-1\tgranted\t\t\n"
    )
    with pytest.raises(InputRefused, match="expected an institution with registered specimens, found none"):
        write_institution(registry, "대구병원", folder=tmp_path / "return")


def test_the_file_for_an_institution_holds_no_formula(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST.replace("BAR-0001", "=BAR(1)").replace("SUBJ-1", "@SUBJ"))])
    file = write_institution(registry, "서울병원", folder=tmp_path / "return")
    assert file.read_text("utf-8").splitlines()[1] == "'=BAR(1)\t'@SUBJ\tgranted\t\t"


# -- creation and opening


def test_the_message_about_an_absent_registry_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="--workspace: expected a workspace, found another folder"):
        open_registry(tmp_path)
    (tmp_path / "denied.txt").touch()
    with pytest.raises(InputRefused) as refused:
        open_registry(tmp_path)
    assert str(refused.value) == (
        "registry: expected an initialised registry, found none; "
        "run `baekman registry init` with the same --workspace and --registry"
    )


def test_making_it_again_changes_nothing(registry: Registry, location: str | None, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    again, made = create_registry(tmp_path, registry=location)
    assert not made
    assert again.specimen("서울병원", "BAR-0001") is not None


def test_database_errors_show_no_value(registry: Registry) -> None:
    from baekman.registry.database import participants
    from sqlalchemy.exc import SQLAlchemyError

    with pytest.raises(SQLAlchemyError) as failure, registry.engine.begin() as connection:
        connection.execute(
            participants.insert(), {"participant_id": "P" * 14, "participant_index": None, "sealed": b"SECRET"}
        )
    assert "SECRET" not in str(failure.value)


def test_a_connection_waits_for_a_long_import(on_sqlite: Registry) -> None:
    with database.reading(on_sqlite.engine) as connection:
        milliseconds = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    assert milliseconds > 5 * 60 * 1000  # the time of a million rows
