"""Locks on files: a holder keeps others out until it dies, and a command that waits reports what it waits for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from baekman.files import locks

HOLDING = """
import sys
from pathlib import Path
from baekman.files import locks

with getattr(locks, sys.argv[2])(Path(sys.argv[1]), waits_for="nobody"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Yield another process that holds ``path``, until the block ends or it is killed."""
    command = [sys.executable, "-c", HOLDING, str(path), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def is_free(path: Path, *, is_shared: bool = False) -> bool:
    """Return whether the lock can be taken now."""
    with locks._opened(path, 0o666) as descriptor:
        return locks.try_lock(descriptor, is_shared=is_shared)


@pytest.mark.parametrize(("kind", "is_shared", "free"), [
    ("exclusive", False, False), ("exclusive", True, False), ("shared", False, False), ("shared", True, True),
    ("exclusive_and_removed", False, False),
])  # fmt: skip
def test_a_holder_keeps_others_out_until_it_dies(tmp_path: Path, kind: str, is_shared: bool, free: bool) -> None:
    path = tmp_path / "new" / "lock"
    with holder(path, kind) as process:
        assert is_free(path, is_shared=is_shared) == free
        process.kill()
        process.wait()
        assert is_free(path, is_shared=is_shared)


def test_a_command_that_waits_reports_the_work_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.05)
    with locks.exclusive(tmp_path / "lock", waits_for="a free lock"):
        pass
    with holder(tmp_path / "lock", "exclusive") as process:
        threading.Timer(0.5, process.kill).start()
        with locks.shared(tmp_path / "lock", waits_for="another command that commits"):
            pass
    assert capsys.readouterr().err == "waiting for another command that commits\n"


def test_a_short_wait_is_not_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with holder(tmp_path / "lock", "exclusive") as process:
        threading.Timer(0.1, process.kill).start()
        with locks.exclusive(tmp_path / "lock", waits_for="another"):
            pass
    assert capsys.readouterr().err == ""


def test_only_a_lone_holder_clears(tmp_path: Path) -> None:
    cleared = []
    with locks.shared_after(tmp_path / "lock", lambda: cleared.append(1), waits_for="another"):
        assert cleared == [1]
        with locks.shared_after(tmp_path / "lock", lambda: cleared.append(2), waits_for="another"):
            assert cleared == [1]
        assert not is_free(tmp_path / "lock")


def test_a_removed_lock_is_taken_by_all_that_wait_one_by_one(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", [0], [0]
    guard = threading.Lock()

    def work() -> None:
        for _ in range(20):
            with locks.exclusive_and_removed(path, waits_for="another"):
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                with guard:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert not path.exists()


def test_a_lock_file_is_private_where_it_is_asked_for(tmp_path: Path) -> None:
    with locks.exclusive(tmp_path / "lock", waits_for="another", mode=0o600) as descriptor:
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
        assert os.write(descriptor, b"event\n") == 6
