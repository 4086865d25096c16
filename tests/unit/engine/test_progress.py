"""The progress of long work where stderr is no terminal."""

from __future__ import annotations

import os
import re
import time

import pytest
from baekman.engine import progress
from baekman.engine.progress import minute_lines, progress_bar, task_bar


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


def test_the_lines_of_a_command_show_its_tasks_and_all_that_is_between_them(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []
    with minute_lines("cohort add", seconds=0.02):
        wait_for_line(capsys, seen, "cohort add")
        with task_bar("calls", 3) as advance:
            advance(2)
            wait_for_line(capsys, seen, "calls: 2 of 3 done")
            advance(1)
        wait_for_line(capsys, seen, "calls: 3 of 3 done")
    capsys.readouterr()
    with task_bar("calls", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def wait_for_line(capsys: pytest.CaptureFixture[str], seen: list[str], line: str) -> None:
    """Add the lines of progress that are printed, without their time, to ``seen`` until ``line`` is printed."""
    deadline = time.monotonic() + 30
    while line not in seen:
        assert time.monotonic() < deadline
        seen += [printed.split("  ", 1)[1] for printed in capsys.readouterr().err.splitlines()]
        time.sleep(0.01)


def test_a_fork_waits_for_the_line_that_is_printed_and_its_child_can_print() -> None:
    with progress._printing:
        assert not progress._printing.acquire(blocking=False)
    child = os.fork()
    if child == 0:
        os._exit(0 if progress._printing.acquire(blocking=False) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.quiet(), minute_lines("cohort add", seconds=0.01), progress_bar(line_seconds=0.01) as show:
        show("align_reads", 12, 300)
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")
    assert not progress.is_quiet()
