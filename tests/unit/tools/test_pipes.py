"""Pipes of tools: each failure is noticed, nothing is left running, and tools of an untrusted source are bounded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from baekman.errors import WorkerDied
from baekman.tools import programs as tools
from baekman.tools.pipes import MEMORY_LIMIT, PipeFailed, Untrusted, piped, running, tool_name


class BrokenSource(Exception):
    """The source of a test fails."""


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def is_running(pid: int) -> bool:
    try:
        return "\tZ" not in Path(f"/proc/{pid}/status").read_text().split("State:")[1].split("\n")[0]
    except FileNotFoundError:
        return False


def test_each_command_reads_the_one_before_it() -> None:
    assert piped(["echo", "b\na"], ["sort"], ["tr", "a-z", "A-Z"]) == b"A\nB\n"


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_anywhere_is_noticed_and_named_without_arguments(failing: int) -> None:
    commands = [["cat"], ["cat"], ["cat"]]
    commands[failing] = ["false", "secret"]
    with pytest.raises(PipeFailed) as failed:
        piped(*commands)
    assert str(failed.value) == "false ended with exit code 1"


def test_a_bundled_tool_is_named_with_its_command() -> None:
    assert tool_name([*tools.command("samtools"), "sort", "/secret"]) == "samtools sort"
    assert tool_name(["/usr/bin/bwa", "mem", "/secret"]) == "bwa"


@pytest.mark.parametrize("untrusted", [None, Untrusted(5_000_000)])
def test_a_source_passes_through_to_a_file(tmp_path: Path, untrusted: Untrusted | None) -> None:
    blocks = [b"x" * 1_000_000] * 5
    with running(["cat"], ["cat"], source=iter(blocks), untrusted=untrusted, output=tmp_path / "out") as pipe:
        pipe.require_success()
    assert (tmp_path / "out").read_bytes() == b"".join(blocks)


@pytest.mark.parametrize("untrusted", [None, Untrusted(5)])
def test_a_source_that_fails_is_not_taken_for_its_end(tmp_path: Path, untrusted: Untrusted | None) -> None:
    def source() -> Iterator[bytes]:
        yield b"begun"
        raise BrokenSource

    script = shell(f"cat > {tmp_path}/part; touch {tmp_path}/whole")
    with running(script, source=source(), untrusted=untrusted) as pipe, pytest.raises(BrokenSource):
        pipe.require_success()
    assert not (tmp_path / "whole").exists()


def test_a_source_is_closed_when_its_reader_ends_early_and_an_untrusted_one_is_read_to_its_end() -> None:
    def source(read: list[int]) -> Iterator[bytes]:
        try:
            for number in range(100):
                read.append(number)
                yield b"x" * 100_000
        finally:
            read.append(-1)

    read: list[int] = []
    with running(shell("exit 3"), source=source(read)) as pipe:
        assert pipe.finish() == [3]
    assert read[-1] == -1 and len(read) < 100
    read = []
    with running(shell("exit 3"), source=source(read), untrusted=Untrusted(1)) as pipe:
        assert pipe.finish() == [3]
    assert read == [*range(100), -1]


def test_nothing_runs_after_an_error_in_the_context() -> None:
    with pytest.raises(BrokenSource), running(shell("echo $$; exec sleep 60"), ["cat"]) as pipe:
        pid = int(pipe.stdout.readline())
        assert is_running(pid)
        raise BrokenSource
    assert not is_running(pid)


def test_a_program_that_is_not_there_leaves_nothing_behind() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    begun = time.monotonic()
    with pytest.raises(FileNotFoundError), running(["sleep", "60"], ["/absent/tool"], source=[b"x"]):
        pass
    assert time.monotonic() - begun < 30
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


def test_tools_of_an_untrusted_source_are_bounded_and_say_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    script = shell("sleep 0.3; echo secret >&2; ulimit -v; echo $REF_PATH")
    with running(script, untrusted=Untrusted(1)) as pipe:
        assert pipe.stdout.read() == f"{MEMORY_LIMIT >> 10}\n:\n".encode()
        assert pipe.finish() == [0]
    assert capfd.readouterr().err == ""
    assert Untrusted(10 << 20).cpu_seconds == 630


def test_a_killed_tool_is_no_statement_about_an_untrusted_source() -> None:
    killed = shell("kill -KILL $$")
    with running(killed, untrusted=Untrusted(1)) as pipe, pytest.raises(WorkerDied):
        pipe.finish()
    with pytest.raises(PipeFailed, match="sh ended with exit code -9"):
        piped(killed)
