"""The import of registration tables: idempotent, conflicts refused, on SQLite and on PostgreSQL."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from baekman import pseudonyms
from baekman.errors import InputRefused
from baekman.registry.array_genotypes import staging
from baekman.registry.database import specimens
from baekman.registry.importing import ImportSummary, import_registrations
from baekman.registry.listing import participant_rows
from baekman.registry.records import Registry, open_registry
from baekman.registry.specimen import SpecimenRecord
from sqlalchemy import select
from support.registrations import FIRST, SECOND, array, participant_of, table

# -- import


def test_import_gives_random_pseudonymous_identifiers(registry: Registry, tmp_path: Path) -> None:
    summary = import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    assert summary == ImportSummary(rows=2, participants=2, specimens=2, consent_events=2)
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None
    pseudonyms.check(record.specimen_id, "S")
    pseudonyms.check(record.participant_id, "P")
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
        f"second.tsv: row 3, column {column}: expected this participant's value in the registry, "
        "found another value; correct the table, or import it with --correct"
    )
    # all or nothing
    assert on_sqlite.specimen("서울병원", "BAR-0002") is None
    assert on_sqlite.identifiers_of(on_sqlite.specimen("서울병원", "BAR-0001")) == before  # type: ignore[arg-type]
    assert import_registrations(on_sqlite, [other], correct=True).corrected == 1


def test_a_specimen_of_another_participant_is_refused(registry: Registry, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    reused = table(tmp_path, FIRST.replace("SUBJ-1", "SUBJ-7"), name="second.tsv")
    for correct in (False, True):
        with pytest.raises(InputRefused) as refused:
            import_registrations(registry, [reused], correct=correct)
        assert str(refused.value) == (
            "second.tsv: row 2, column specimen_id: expected a specimen of this participant, "
            "found one that is registered for another participant; give each specimen a barcode of its own"
        )


def test_a_conflict_within_one_table_names_both_rows(on_sqlite: Registry, tmp_path: Path) -> None:
    second = FIRST.replace("BAR-0001", "BAR-0003").replace("female", "male").replace("granted", "refused")
    with pytest.raises(InputRefused) as refused:
        import_registrations(on_sqlite, [table(tmp_path, FIRST, second)])
    assert [str(problem) for problem in refused.value.problems] == [
        "registration.tsv: row 3, column registered_sex: expected this participant's value in row 2 of "
        "registration.tsv, found another value; correct the table",
        "registration.tsv: row 3, column consent: expected the decision in row 2 of registration.tsv, or another "
        "date, found another decision of the same participant on the same date; correct the table",
    ]


def test_two_imports_at_once_both_succeed(registry: Registry, location: str | None, tmp_path: Path) -> None:
    files = [table(tmp_path, FIRST, SECOND.replace("2\tSUBJ-2", f"9{n}\tSUBJ-9{n}"), name=f"{n}.tsv") for n in range(6)]

    def import_one(file: Path) -> ImportSummary:
        return import_registrations(open_registry(tmp_path, registry=location), [file])

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        summaries = list(pool.map(import_one, files))
    assert sum(summary.participants for summary in summaries) == 7
    assert len(list(participant_rows(registry))) == 7


# -- array genotypes


def test_only_the_genotypes_of_an_array_file_are_kept(registry: Registry, tmp_path: Path) -> None:
    array(tmp_path / "array.vcf", "other", "BAR-0001")
    import_registrations(registry, [table(tmp_path, FIRST + "array.vcf")])
    record = registry.specimen("서울병원", "BAR-0001")
    assert record is not None and record.array_genotypes is not None
    with pysam.VariantFile(record.array_genotypes) as kept:
        assert list(kept.header.samples) == [record.specimen_id]
        assert [(variant.chrom, variant.pos, variant.id, variant.alleles) for variant in kept] == [
            ("20", 100, None, ("A", "C"))
        ]
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
        assert [variant.samples[0]["GT"] for variant in kept] == [(1, 1)]


def genotypes(registry: Registry, barcode: str = "BAR-0001") -> list[tuple[int, ...]] | None:
    """Return the genotypes that the registry keeps of a specimen."""
    record = registry.specimen("서울병원", barcode)
    if record is None or record.array_genotypes is None:
        return None
    with pysam.VariantFile(record.array_genotypes) as kept:
        return [variant.samples[0]["GT"] for variant in kept]


def staged(folder: Path) -> list[str]:
    return [path.name for path in (folder / "registry" / "arrays.staged").rglob("*")]


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def only_once(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that calls ``function`` once; the second call raises KeyboardInterrupt."""
    functions = iter([function, die])
    return lambda *arguments, **options: next(functions)(*arguments, **options)


def test_a_refused_table_leaves_the_arrays_as_they_were(registry: Registry, tmp_path: Path) -> None:
    array(tmp_path / "array.vcf", "BAR-0001")
    import_registrations(registry, [table(tmp_path, FIRST + "array.vcf")])
    array(tmp_path / "array.vcf", "BAR-0001", genotype="1/1")
    (tmp_path / "other.vcf").write_text("none")
    rows = (FIRST + "array.vcf", SECOND + "array.vcf", SECOND.replace("-0002", "-0003") + "other.vcf")
    with pytest.raises(InputRefused, match=r"row 4, column array_genotypes: .* found no readable VCF"):
        import_registrations(registry, [table(tmp_path, *rows)], correct=True)
    assert genotypes(registry) == [(0, 1)]
    assert [path.name for path in tmp_path.rglob("S*.vcf.gz")] == [
        f"{registry.specimen('서울병원', 'BAR-0001').specimen_id}.vcf.gz"
    ]  # type: ignore[union-attr]
    assert staged(tmp_path) == []


@pytest.mark.parametrize("instant", ["before it is done", "after it is done"])
def test_arrays_of_a_killed_import_are_those_of_before_or_after(
    instant: str, registry: Registry, location: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array(tmp_path / "array.vcf", "BAR-0001")
    import_registrations(registry, [table(tmp_path, FIRST + "array.vcf")])
    array(tmp_path / "array.vcf", "BAR-0001", genotype="1/1")
    again = table(tmp_path, FIRST + "array.vcf")

    with monkeypatch.context() as killed:
        if instant == "before it is done":
            killed.setattr(staging, "note", die)
        else:
            killed.setattr(staging, "settle", only_once(staging.settle))
        with pytest.raises(KeyboardInterrupt):
            import_registrations(registry, [again], correct=True)
    assert staged(tmp_path)
    assert genotypes(registry) == [(0, 1)]
    opened = open_registry(tmp_path, registry=location)
    done = instant == "after it is done"
    assert genotypes(opened) == [(1, 1) if done else (0, 1)]
    assert import_registrations(opened, [again], correct=True).rows == 1
    assert (genotypes(opened), staged(tmp_path)) == ([(1, 1)], [])


def test_a_withdrawal_removes_arrays_that_are_still_staged(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_registrations(registry, [table(tmp_path, FIRST)])
    array(tmp_path / "array.vcf", "BAR-0001")
    with monkeypatch.context() as killed:
        killed.setattr(staging, "settle", only_once(staging.settle))
        with pytest.raises(KeyboardInterrupt):
            import_registrations(registry, [table(tmp_path, FIRST + "array.vcf")])
    assert staged(tmp_path)
    registry.withdraw(participant_of(registry))
    assert not list(tmp_path.rglob("S*.vcf.gz"))


def test_array_genotypes_are_bound_to_their_specimen(registry: Registry, tmp_path: Path) -> None:
    array(tmp_path / "array.vcf", "BAR-0001")
    array(tmp_path / "other.vcf", "BAR-0002", genotype="1/1")
    tables = [table(tmp_path, FIRST + "array.vcf", SECOND + "other.vcf")]
    import_registrations(registry, tables)
    registry.require_arrays()
    files = [registry.array_path(record.specimen_id) for record in _records(registry)]
    kept = [file.read_bytes() for file in files]
    for damaged in (kept[::-1], [kept[0][:-1], kept[1]], [None, kept[1]]):
        for file, content in zip(files, damaged, strict=True):
            file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(InputRefused, match=r"S\w+: expected the array genotypes .* found (an|no)"):
            registry.require_arrays()
        import_registrations(registry, tables)
        assert [file.read_bytes() for file in files] == kept
    # of an earlier version, which sealed no digest of them
    record = _records(registry)[0]
    with registry.changing() as change:
        change.open([record.participant_id])
        query = select(specimens).where(specimens.c.specimen_id == record.specimen_id)
        row = change.connection.execute(query).one()
        values = registry.ring.unseal(row.sealed, identity=f"specimens {record.specimen_id}")
        values.pop("array_kept")
        sealed = registry.ring.seal(values, identity=f"specimens {record.specimen_id}")
        change.update(specimens, [{**row._mapping, "sealed": sealed}])
    assert _records(registry)[0].array_digest is None
    with pytest.raises(InputRefused, match="without its digest"):
        registry.require_arrays()
    import_registrations(registry, tables)
    registry.require_arrays()
    registry.withdraw(record.participant_id)
    assert _records(registry)[0].array_genotypes is None
    registry.require_arrays()


def _records(registry: Registry) -> list[SpecimenRecord]:
    records = [registry.specimen("서울병원", barcode) for barcode in ("BAR-0001", "BAR-0002")]
    return [record for record in records if record is not None]
