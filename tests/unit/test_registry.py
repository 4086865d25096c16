"""The registry: sealed, idempotent, conflicts refused; the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import base64
import concurrent.futures
import os
import secrets
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import postgresql
import psycopg
import pysam
import pytest
from baekman import identifiers, registry_rotation
from baekman.consent import ConsentEvent, ConsentState, Decision, Scope
from baekman.errors import InputRefused
from baekman.key_ring import Key, KeyRing, make_key_file, read_key_file
from baekman.registry import Registry, create_registry, open_registry
from baekman.registry_import import ImportSummary, import_registrations
from baekman.registry_rows import institution_rows, participant_rows
from baekman.registry_verdicts import note_delivery, record_verdicts, verdict_history
from baekman.verdict import Reason, Verdict

HEADER = (
    "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from\tconsent_to"
    "\tscopes\tbirth_year\tname\tresident_registration_number\tarray_genotypes"
)
FIRST = "서울병원\tBAR-0001\tSUBJ-1\trare\tfemale\tgranted\t2025-01-01\t\t\t1984\t홍길순\t840229-2234567\t"
SECOND = "서울병원\tBAR-0002\tSUBJ-2\tgeneral\tmale\trefused\t\t\t\t\t\t\t"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    folder = postgresql.binaries()
    if folder is None:
        message = "no PostgreSQL server: Debian's package postgresql is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with postgresql.server(folder) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """What ``--registry`` says: nothing, or the URL of an empty database."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgresql_server")
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def registry(location: str | None, tmp_path: Path) -> Registry:
    return create_registry(tmp_path, registry=location)[0]


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Registry:
    """For what does not depend on the database."""
    return create_registry(tmp_path)[0]


def table(folder: Path, *rows: str, name: str = "registration.tsv") -> Path:
    file = folder / name
    file.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return file


def array(file: Path, *samples: str, genotype: str = "0/1") -> Path:
    calls = "\t".join([genotype] * len(samples))
    names = "\t".join(samples)
    file.write_text(
        "##fileformat=VCFv4.2\n##note=홍길순\n##contig=<ID=20,length=100000>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n20\t100\t홍길순\tA\tC\t.\t.\t.\tGT\t{calls}\n",
        encoding="utf-8",
    )
    return file


def participant_of(registry: Registry, label: str = "BAR-0001") -> str:
    record = registry.specimen("서울병원", label)
    assert record is not None
    return record.participant_id


# -- import


def test_import_gives_random_pseudonymous_identifiers(registry: Registry, tmp_path: Path) -> None:
    summary = import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    assert summary == ImportSummary(rows=2, participants=2, specimens=2, consent_events=2)
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None
    identifiers.check(record.specimen_id, "S")
    identifiers.check(record.participant_id, "P")
    assert (record.participant_type, record.registered_sex, record.array_genotypes) == ("rare", "female", None)
    assert registry.specimen("서울병원", "BAR-0009") is None
    assert registry.specimen("부산병원", "BAR-0001") is None


def test_importing_again_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    file = table(tmp_path, FIRST, SECOND)
    import_registrations(registry, [file])
    before = list(participant_rows(registry)), registry.consent_hash()
    assert import_registrations(registry, [file]) == ImportSummary(rows=2)
    assert (list(participant_rows(registry)), registry.consent_hash()) == before


def test_a_second_specimen_joins_its_participant(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, FIRST.replace("BAR-0001", "BAR-0003"))])
    assert participant_of(registry) == participant_of(registry, "BAR-0003")
    assert len(registry.specimens_of(participant_of(registry))) == 2


CONFLICTS = {
    "registered_sex": FIRST.replace("female", "male"),
    "participant_type": FIRST.replace("rare", "severe"),
    "birth_year": FIRST.replace("1984", "1985"),
    "name": FIRST.replace("홍길순", "홍길동"),
    "resident_registration_number": FIRST.replace("840229-2", "840229-4"),
}


@pytest.mark.parametrize("column", CONFLICTS)
def test_a_conflict_is_refused_with_its_row_and_no_value(column: str, on_sqlite: Registry, tmp_path: Path) -> None:
    import_registrations(on_sqlite, [table(tmp_path, FIRST)])
    before = on_sqlite.identifiers_of(on_sqlite.specimen("서울병원", "BAR-0001"))  # type: ignore[arg-type]
    other = table(tmp_path, SECOND, CONFLICTS[column], name="second.tsv")
    with pytest.raises(InputRefused) as refused:
        import_registrations(on_sqlite, [other])
    assert str(refused.value) == (
        f"second.tsv: row 3, column {column}: expected what the registry says of this participant, "
        "found another value; correct the table, or import it with --correct"
    )
    # all or nothing
    assert on_sqlite.specimen("서울병원", "BAR-0002") is None
    assert on_sqlite.identifiers_of(on_sqlite.specimen("서울병원", "BAR-0001")) == before  # type: ignore[arg-type]
    assert import_registrations(on_sqlite, [other], correct=True).corrected == 1


def test_a_specimen_of_another_participant_is_refused(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    stolen = table(tmp_path, FIRST.replace("SUBJ-1", "SUBJ-7"), name="second.tsv")
    for correct in (False, True):
        with pytest.raises(InputRefused) as refused:
            import_registrations(registry, [stolen], correct=correct)
        assert str(refused.value) == (
            "second.tsv: row 2, column specimen_id: expected a specimen of this participant, "
            "found one that is registered for another participant; give each specimen a barcode of its own"
        )


def test_a_conflict_within_one_table_names_both_rows(on_sqlite: Registry, tmp_path: Path) -> None:
    second = FIRST.replace("BAR-0001", "BAR-0003").replace("female", "male").replace("granted", "refused")
    with pytest.raises(InputRefused) as refused:
        import_registrations(on_sqlite, [table(tmp_path, FIRST, second)])
    assert [str(reason) for reason in refused.value.reasons] == [
        "registration.tsv: row 3, column registered_sex: expected what row 2 of registration.tsv says of this "
        "participant, found another value; correct the table",
        "registration.tsv: row 3, column consent: expected the decision in row 2 of registration.tsv, or another "
        "date, found another decision of the same participant on the same date; correct the table",
    ]


def test_two_imports_at_once_both_succeed(registry: Registry, location: str | None, tmp_path: Path) -> None:
    files = [table(tmp_path, FIRST, SECOND.replace("2\tSUBJ-2", f"9{n}\tSUBJ-9{n}"), name=f"{n}.tsv") for n in range(6)]

    def one(file: Path) -> ImportSummary:
        return import_registrations(open_registry(tmp_path, registry=location), [file])

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        summaries = list(pool.map(one, files))
    assert sum(summary.participants for summary in summaries) == 7
    assert len(list(participant_rows(registry))) == 7


# -- array genotypes


def test_array_genotypes_are_kept_without_anything_else(registry: Registry, tmp_path: Path) -> None:
    array(tmp_path / "array.vcf", "other", "BAR-0001")
    import_registrations(registry, [table(tmp_path, FIRST + "array.vcf")])
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None and record.array_genotypes is not None
    with pysam.VariantFile(record.array_genotypes) as kept:
        assert list(kept.header.samples) == [record.specimen_id]
        assert [(one.chrom, one.pos, one.id, one.alleles) for one in kept] == [("20", 100, None, ("A", "C"))]
    with pysam.BGZFile(record.array_genotypes) as raw:
        content = raw.read().decode()
    assert "홍길순" not in content and "BAR-0001" not in content
    assert import_registrations(registry, [table(tmp_path, FIRST + "array.vcf")]) == ImportSummary(rows=1)


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        (("a", "b"), "2 samples, none of them named like the specimen"),
        (None, "no readable VCF or BCF"),
    ],
)
def test_unusable_array_genotypes_are_refused(
    samples: tuple[str, ...] | None, found: str, on_sqlite: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if samples:
        array(tmp_path / "array.vcf", *samples)
    else:
        (tmp_path / "array.vcf").write_text("홍길순")
    with pytest.raises(InputRefused) as refused:
        import_registrations(on_sqlite, [table(tmp_path, FIRST + "array.vcf")])
    assert str(refused.value) == (
        "registration.tsv: row 2, column array_genotypes: expected a VCF or BCF with this specimen's genotypes, "
        f"found {found}; export the array genotypes again, one sample per file"
    )
    assert on_sqlite.specimen("서울병원", "BAR-0001") is None
    assert str(tmp_path) not in capfd.readouterr().err


def test_missing_and_other_array_genotypes_are_refused(on_sqlite: Registry, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"row 2, column array_genotypes: .* found no file of this name"):
        import_registrations(on_sqlite, [table(tmp_path, FIRST + "array.vcf")])
    array(tmp_path / "array.vcf", "BAR-0001")
    import_registrations(on_sqlite, [table(tmp_path, FIRST + "array.vcf")])
    array(tmp_path / "array.vcf", "BAR-0001", genotype="1/1")
    with pytest.raises(InputRefused, match=r"column array_genotypes: .* found others"):
        import_registrations(on_sqlite, [table(tmp_path, FIRST + "array.vcf")])
    import_registrations(on_sqlite, [table(tmp_path, FIRST + "array.vcf")], correct=True)
    record = on_sqlite.specimen("서울병원", "BAR-0001")
    assert record is not None and record.array_genotypes is not None
    with pysam.VariantFile(record.array_genotypes) as kept:
        assert [one.samples[0]["GT"] for one in kept] == [(1, 1)]


# -- what is looked for, and look-alikes


def test_identifiers_of_a_specimen(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None
    assert set(registry.identifiers_of(record)) == {
        "홍길순", "840229-2234567", "8402292234567", "SUBJ-1", "BAR-0001",
    }  # fmt: skip


@pytest.mark.parametrize("label", ["BAR-O001", "ВАR-0001", "bar-0001", "ＢＡＲ-0001", "BAR_0001", "BAR-00Ol"])
def test_a_label_that_reads_like_another_is_recognised(label: str, on_sqlite: Registry, tmp_path: Path) -> None:
    import_registrations(on_sqlite, [table(tmp_path, FIRST, SECOND)])
    assert on_sqlite.specimen("서울병원", label) is None
    assert on_sqlite.specimen("서울병원", "BAR-0001") in on_sqlite.lookalikes("서울병원", label)
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


def test_the_consent_hash_changes_with_any_event_and_only_then(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    first, second = participant_of(registry), participant_of(registry, "BAR-0002")
    whole, one = registry.consent_hash(), registry.consent_hash([first])
    assert registry.consent_hash([second, first]) == whole
    event = ConsentEvent(
        participant_id=second, decision=Decision.GRANTED, scopes=(Scope.GENOME,), valid_from=date(2026, 1, 1)
    )
    assert registry.add_consent(event)
    assert not registry.add_consent(event)
    assert registry.consent_hash() != whole
    assert registry.consent_hash([first]) == one
    registry.withdraw(first)
    assert registry.consent_hash([first]) != one


# -- withdrawal


def test_a_withdrawal_erases_what_is_not_needed_and_is_final(registry: Registry, tmp_path: Path) -> None:
    array(tmp_path / "array.vcf", "BAR-0001")
    file = table(tmp_path, FIRST + "array.vcf")
    import_registrations(registry, [file])
    participant = participant_of(registry)
    assert registry.withdraw(participant)
    assert not registry.withdraw(participant)
    assert registry.withdrawn() == [participant]
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
        registry.withdraw(identifiers.new("P"))


# -- deliveries and verdicts


def test_a_delivery_is_new_then_the_same_then_changed(registry: Registry) -> None:
    delivery, status = note_delivery(registry, "서울병원", "2025-07", "aa")
    assert status == "new"
    identifiers.check(delivery, "D")
    assert note_delivery(registry, "서울병원", "2025-07", "aa") == (delivery, "same")
    assert note_delivery(registry, "서울병원", "2025-07", "bb") == (delivery, "changed")
    assert note_delivery(registry, "부산병원", "2025-07", "aa")[1] == "new"


def test_verdicts_keep_their_history(registry: Registry) -> None:
    first, second = note_delivery(registry, "서울병원", "1", "aa")[0], note_delivery(registry, "서울병원", "2", "aa")[0]
    specimen = identifiers.new("S")
    rejected = Verdict.of(
        specimen=specimen, participant=None, gate="intake", reasons=[Reason(code="truncated", severity="reject")]
    )
    accepted = Verdict.of(specimen=specimen, participant=None, gate="intake", reasons=[])
    assert record_verdicts(registry, first, [rejected]) == 1
    assert record_verdicts(registry, first, [rejected]) == 0
    assert record_verdicts(registry, second, [accepted]) == 1
    history = verdict_history(registry, specimen)
    assert [(delivery, verdict) for delivery, _, verdict in history] == [(first, rejected), (second, accepted)]


def test_an_institution_sees_its_own_rows_alone(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND.replace("서울", "부산"))])
    assert institution_rows(registry, "서울병원") == [
        {"specimen_id": "BAR-0001", "participant": "SUBJ-1", "genome": "granted", "delivered": "", "verdict": ""}
    ]


# -- keys


def test_rotation_seals_everything_anew(registry: Registry, location: str | None, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    note_delivery(registry, "서울병원", "1", "aa")
    before, consent = registry.specimen("서울병원", "BAR-0001"), registry.consent_hash()
    old = tmp_path / "old.key"
    assert registry.ring.file is not None
    shutil.copy2(registry.ring.file, old)
    registry_rotation.rotate_key(registry)
    with pytest.raises(InputRefused, match="expected the key that the registry was made with, found another"):
        open_registry(tmp_path, registry=location, key_file=old)
    opened = open_registry(tmp_path, registry=location)
    assert (opened.specimen("서울병원", "BAR-0001"), opened.consent_hash()) == (before, consent)
    assert note_delivery(opened, "서울병원", "1", "aa")[1] == "same"
    assert opened.lookalikes("서울병원", "BAR-O001") == [before]
    assert import_registrations(opened, [table(tmp_path, FIRST, SECOND)]) == ImportSummary(rows=2)


@pytest.mark.parametrize("stop_at", [1, 2, 3])
def test_a_rotation_that_was_stopped_is_finished_by_the_next(
    stop_at: int, registry: Registry, location: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt

    def write(file: Path, keys: list[Key]) -> None:
        stop()
        make_key_file(file, keys)

    real = registry_rotation._seal_anew

    def seal(*arguments: object) -> int:
        stop()
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(registry_rotation, "make_key_file", write)
        patched.setattr(registry_rotation, "_seal_anew", seal)
        registry_rotation.rotate_key(registry)
    opened = open_registry(tmp_path, registry=location)
    assert opened.specimen("서울병원", "BAR-0001") is not None
    registry_rotation.rotate_key(opened)
    assert opened.ring.file is not None
    assert len(read_key_file(opened.ring.file).keys) == 1
    assert open_registry(tmp_path, registry=location).specimen("서울병원", "BAR-0001") is not None


def test_no_value_and_no_hash_of_one_is_in_the_store(tmp_path: Path) -> None:
    from baekman.leak_patterns import matcher_of, read_identifiers
    from baekman.leakscan import scan

    registry, _ = create_registry(tmp_path / "w")
    array(tmp_path / "array.vcf", "BAR-0001")
    file = table(tmp_path, FIRST + "array.vcf", SECOND)
    import_registrations(registry, [file])
    note_delivery(registry, "서울병원", "BAR-delivery", "aa")
    registry_rotation.rotate_key(registry)
    assert scan([tmp_path / "w"], matcher=matcher_of(read_identifiers(file))).leaks == []


def test_swapped_and_changed_records_are_refused(tmp_path: Path) -> None:
    registry, _ = create_registry(tmp_path)
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    with sqlite3.connect(tmp_path / "registry" / "registry.sqlite") as connection:
        (one, first), (two, second) = connection.execute("SELECT participant_id, sealed FROM participants")
        connection.execute("UPDATE participants SET sealed = ? WHERE participant_id = ?", (second, one))
        connection.execute("UPDATE participants SET sealed = ? WHERE participant_id = ?", (first, two))
    connection.close()
    with pytest.raises(InputRefused, match="expected a value sealed for this record"):
        registry.specimen("서울병원", "BAR-0001")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o700])
def test_a_key_file_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    create_registry(tmp_path)
    file = tmp_path / "registry" / "registry.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(mode)
    with pytest.raises(InputRefused) as refused:
        open_registry(tmp_path)
    assert str(refused.value) == (
        "registry key: expected a file that only its owner can read (mode 0600), "
        f"found mode {mode:04o}; chmod 600 the file, and rotate the key if others could have read it"
    )


def test_the_key_may_come_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_registry(tmp_path / "a", key_file=tmp_path / "keys" / "a.key")
    assert not (tmp_path / "a" / "registry" / "registry.key").exists()
    open_registry(tmp_path / "a", key_file=tmp_path / "keys" / "a.key")
    with pytest.raises(InputRefused, match="registry key: expected a key file, found none"):
        open_registry(tmp_path / "a")
    monkeypatch.setenv("BAEKMAN_REGISTRY_KEY", str(tmp_path / "keys" / "b.key"))
    create_registry(tmp_path / "b")
    assert (tmp_path / "keys" / "b.key").is_file()
    monkeypatch.setenv("BAEKMAN_REGISTRY_KEY", base64.b64encode(secrets.token_bytes(32)).decode())
    registry, _ = create_registry(tmp_path / "c")
    assert not list((tmp_path / "c").rglob("*.key"))
    open_registry(tmp_path / "c")
    with pytest.raises(InputRefused, match="expected a key file, found a key in BAEKMAN_REGISTRY_KEY"):
        registry_rotation.rotate_key(registry)


def test_nothing_shows_a_key() -> None:
    key = Key.new()
    ring = KeyRing([key])
    for shown in (repr(key), repr(ring), str(key)):
        assert key.master.hex() not in shown and repr(key.master) not in shown


def test_an_absent_registry_says_what_to_do(tmp_path: Path) -> None:
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
    from baekman.registry_store import participants
    from sqlalchemy.exc import SQLAlchemyError

    with pytest.raises(SQLAlchemyError) as failure, registry.engine.begin() as connection:
        connection.execute(
            participants.insert(), {"participant_id": "P" * 14, "participant_index": None, "sealed": b"SECRET"}
        )
    assert "SECRET" not in str(failure.value)
