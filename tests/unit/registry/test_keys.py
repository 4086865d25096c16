"""The values of the registry are sealed with keys that are kept apart and can be rotated."""

from __future__ import annotations

import base64
import secrets
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.key_ring import Key, make_key_file, read_key_file
from baekman.registry import key_rotation
from baekman.registry.importing import ImportSummary, import_registrations
from baekman.registry.records import Registry, create_registry, open_registry
from baekman.registry.verdict_history import note_delivery
from support.registrations import FIRST, SECOND, array, table


def test_a_rotation_seals_every_record_again(registry: Registry, location: str | None, tmp_path: Path) -> None:
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    note_delivery(registry, "서울병원", "1", "aa")
    before, consent = registry.specimen("서울병원", "BAR-0001"), registry.consent_hash()
    old = tmp_path / "old.key"
    assert registry.ring.file is not None
    shutil.copy2(registry.ring.file, old)
    key_rotation.rotate_key(registry)
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

    real = key_rotation.seal_all

    def seal(*arguments: object) -> int:
        stop()
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(key_rotation, "make_key_file", write)
        patched.setattr(key_rotation, "seal_all", seal)
        key_rotation.rotate_key(registry)
    opened = open_registry(tmp_path, registry=location)
    assert opened.specimen("서울병원", "BAR-0001") is not None
    key_rotation.rotate_key(opened)
    assert opened.ring.file is not None
    assert len(read_key_file(opened.ring.file).keys) == 1
    assert open_registry(tmp_path, registry=location).specimen("서울병원", "BAR-0001") is not None


def test_no_value_and_no_hash_of_one_is_in_the_store(tmp_path: Path) -> None:
    from baekman.privacy.leak_patterns import matcher_of
    from baekman.privacy.leakscan import scan
    from baekman.registry.confidential import read_identifiers

    registry, _ = create_registry(tmp_path / "w")
    array(tmp_path / "array.vcf", "BAR-0001")
    file = table(tmp_path, FIRST + "array.vcf", SECOND)
    import_registrations(registry, [file])
    note_delivery(registry, "서울병원", "BAR-delivery", "aa")
    key_rotation.rotate_key(registry)
    assert scan([tmp_path / "w"], matcher=matcher_of(read_identifiers(file))).leaks == []


def test_swapped_and_changed_records_are_refused(tmp_path: Path) -> None:
    registry, _ = create_registry(tmp_path)
    import_registrations(registry, [table(tmp_path, FIRST, SECOND)])
    with sqlite3.connect(tmp_path / "registry" / "registry.sqlite") as connection:
        (first_id, first), (second_id, second) = connection.execute("SELECT participant_id, sealed FROM participants")
        connection.execute("UPDATE participants SET sealed = ? WHERE participant_id = ?", (second, first_id))
        connection.execute("UPDATE participants SET sealed = ? WHERE participant_id = ?", (first, second_id))
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
        key_rotation.rotate_key(registry)
