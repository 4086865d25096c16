"""The progress of long work where stderr is no terminal."""

from __future__ import annotations

import re
import time

import pytest
from baekman.engine.progress import progress_bar


def test_without_a_terminal_a_line_is_printed_each_interval_though_nothing_happens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress_bar(line_seconds=0.05) as show:
        show("align_reads", 12, 300)
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d  align_reads: 12 of 300 done", line) for line in lines)


def test_without_a_terminal_and_an_interval_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as show:
        show("align_reads", 12, 300)
    assert capsys.readouterr() == ("", "")
