"""Secrets: only their owner can read them, and they are whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from baekman.files.secret_file import destroy_secret, write_secret


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_read_a_secret_and_its_new_folder(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        assert write_secret(tmp_path / "keys" / "a.key", b"one")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys" / "a.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_secret_is_replaced_unless_it_is_to_stay(tmp_path: Path) -> None:
    file = tmp_path / "a.key"
    file.write_bytes(b"none")
    file.chmod(0o644)
    assert write_secret(file, b"one")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"one", 0o600)
    assert not write_secret(file, b"two", replace=False)
    assert file.read_bytes() == b"one"
    assert write_secret(tmp_path / "b.key", b"two", replace=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.key", "b.key"]


def test_a_stop_leaves_the_secret_of_before_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secret(tmp_path / "a.key", b"one")

    def stop(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_secret(tmp_path / "a.key", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]
    assert (tmp_path / "a.key").read_bytes() == b"one"


def test_a_destroyed_secret_is_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secret(tmp_path / "a.key", b"one")
    write_secret(tmp_path / "b.key", b"two")
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_, **__: None)  # a killed writer does not clean up
        write_secret(tmp_path / "a.key", b"three", replace=False)
    assert len(list(tmp_path.iterdir())) == 3
    assert destroy_secret(tmp_path / "a.key")
    assert [path.name for path in tmp_path.iterdir()] == ["b.key"]
    assert not destroy_secret(tmp_path / "a.key")
