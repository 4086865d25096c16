"""A command that a library ends where memory is limited: its parent prints what to do, and else ends as it does."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, time
from baekman.cli.shared.last_words import go_on_in_child
started = os.getpid()
go_on_in_child("what to do")
assert os.getpid() != started
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
"""


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        ("import ctypes; ctypes.CDLL(None).exit(1)", 1, "what to do\n"),
        ("os.abort()", 1, "what to do\n"),
        ("sys.exit(3)", 3, ""),
        ("os.kill(started, signal.SIGTERM)\nwhile True: time.sleep(0.01)", 143, ""),
    ],
)
def test_a_command_that_a_library_ends_has_last_words(end: str, code: int, words: str) -> None:
    limit = 4 << 30
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + end],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (code, words)
