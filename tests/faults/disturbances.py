"""The disturbances: each runs the command of a scene while something goes wrong, and puts the place right."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.scenes import Scene, environment

TIMEOUT = 900  # seconds


@dataclass(frozen=True)
class Ending:
    """The end of a disturbed command: its exit code (negative for a signal) and its output."""

    code: int
    output: str


@dataclass(frozen=True)
class Circumstances:
    """What a disturbance may use: a scene in its place, the seconds that it takes undisturbed, and chance."""

    scene: Scene
    place: Path
    seconds: float
    draw: random.Random
    library: Path  # the compiled ``shim.c``

    def moment(self) -> float:
        """Return a random number of seconds within the run."""
        return self.draw.uniform(0.0, self.seconds)

    def end(self, process: subprocess.Popen[str]) -> Ending:
        """Wait for the end of a process."""
        output, _ = process.communicate(timeout=TIMEOUT)
        return Ending(process.returncode, output)


Disturbance = Callable[[Circumstances], Ending]


def killed(now: Circumstances) -> Ending:
    """Kill the command and all its processes at a random moment."""
    process = now.scene.start(now.place)
    time.sleep(now.moment())
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return now.end(process)


def terminated(now: Circumstances) -> Ending:
    """Send SIGTERM to the command at a random moment, as a service manager does."""
    process = now.scene.start(now.place)
    time.sleep(now.moment())
    process.terminate()
    return now.end(process)


@contextmanager
def _mounted(now: Circumstances, *, room: int) -> Iterator[None]:
    """Put the place on a file system in memory with ``room`` free bytes; it is copied back at the end."""
    copy = now.place.with_name(f"{now.place.name}.aside")
    now.place.rename(copy)
    now.place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "none", now.place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no file system of a fixed size can be mounted here: it takes the rights of root")
    try:
        shutil.copytree(copy, now.place, symlinks=True, dirs_exist_ok=True)
        state = os.statvfs(now.place)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        subprocess.run(["mount", "-o", f"remount,size={used + room}", now.place], check=True)
        yield
        shutil.rmtree(copy)
        shutil.copytree(now.place, copy, symlinks=True)
    finally:
        subprocess.run(["umount", now.place], check=True)
        now.place.rmdir()
        copy.rename(now.place)


def full_disk(now: Circumstances) -> Ending:
    """Let the disk be full after a random number of bytes."""
    with _mounted(now, room=now.draw.choice(now.scene.rooms)):
        return now.end(now.scene.start(now.place))


def read_only(now: Circumstances) -> Ending:
    """Let nothing be written below the place."""
    with _mounted(now, room=1 << 20):
        subprocess.run(["mount", "-o", "remount,ro", now.place], check=True)
        ending = now.end(now.scene.start(now.place))
        subprocess.run(["mount", "-o", "remount,rw", now.place], check=True)
        return ending


def _let_go_on(group: int) -> None:
    """Let the processes of a group go on; more than once, as one that was being forked may keep the stop of before."""
    for _ in range(5):
        os.killpg(group, signal.SIGCONT)
        time.sleep(0.02)


def _meanwhile(now: Circumstances, change: Callable[[Path], None]) -> Ending:
    """Stop the command at a random moment, ``change`` its input, let it go on, and put the input back at its end."""
    file = now.place / now.scene.input
    kept = file.with_name(f"kept.{file.name}")
    process = now.scene.start(now.place)
    time.sleep(now.moment())
    os.killpg(process.pid, signal.SIGSTOP)
    file.rename(kept)
    change(file) if kept.is_file() else None
    _let_go_on(process.pid)
    ending = now.end(process)
    if file.exists():
        file.unlink()
    kept.rename(file)
    return ending


def input_vanishes(now: Circumstances) -> Ending:
    """Move the input away at a random moment."""
    return _meanwhile(now, lambda file: None)


def input_changes(now: Circumstances) -> Ending:
    """Put the first half of the input in its place at a random moment."""

    def cut(file: Path) -> None:
        content = file.with_name(f"kept.{file.name}").read_bytes()
        file.write_bytes(content[: len(content) // 2])

    return _meanwhile(now, cut)


def no_locks(now: Circumstances) -> Ending:
    """Let ``flock`` fail, as on a file system without locks."""
    return now.end(now.scene.start(now.place, LD_PRELOAD=str(now.library), BAEKMAN_FAULT_FLOCK="1"))


def clock_set_back(now: Circumstances) -> Ending:
    """Set the clock of the day back by ten days."""
    return now.end(now.scene.start(now.place, LD_PRELOAD=str(now.library), BAEKMAN_FAULT_CLOCK="-864000"))


def little_memory(now: Circumstances) -> Ending:
    """Limit the address space of each process."""
    limit = now.draw.choice([250, 300, 350, 400, 450]) << 20
    return now.end(now.scene.start(now.place, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))))


def two_writers(now: Circumstances) -> Ending:
    """Start the same command twice; return the end of the one that fails, if one does."""
    processes = [now.scene.start(now.place) for _ in range(2)]
    endings = [now.end(process) for process in processes]
    return max(endings, key=lambda ending: abs(ending.code))


def worker_killed(now: Circumstances) -> Ending:
    """Kill one worker process of the command."""
    scene = Scene(**{**vars(now.scene), "words": (*now.scene.words, "--workers", "2")})
    process = scene.start(now.place)
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        listed = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        if workers := [int(line) for line in listed.stdout.split()]:
            try:
                os.kill(now.draw.choice(workers), signal.SIGKILL)
            except ProcessLookupError:
                continue
            break
    return now.end(process)


def _stand_in(now: Circumstances, name: str, script: str) -> Ending:
    """Run the command with a program ``name`` that does as ``script`` says, before the real one on PATH."""
    folder = now.place.parent / f"{now.place.name}.bin"
    folder.mkdir()
    real = shutil.which(name, path=environment()["PATH"])
    (folder / name).write_text(script.replace("REAL", str(real)))
    (folder / name).chmod(0o755)
    return now.end(now.scene.start(now.place, PATH=f"{folder}:{environment()['PATH']}"))


def tool_fails(now: Circumstances) -> Ending:
    """Let the aligner end with an exit code."""
    return _stand_in(now, "bwa", '#!/bin/sh\necho "cannot go on" >&2\nexit 9\n')


def tool_writes_half(now: Circumstances) -> Ending:
    """Let the aligner write half of its output and end with exit code 0."""
    return _stand_in(now, "bwa", '#!/bin/sh\n"REAL" "$@" | awk \'NR % 2 || /^@/\'\n')


def tool_is_missing(now: Circumstances) -> Ending:
    """Let the depth counter be absent from PATH."""
    folder = now.place.parent / f"{now.place.name}.bin"
    folder.mkdir()
    for directory in reversed(environment()["PATH"].split(":")):
        for program in Path(directory).glob("*") if Path(directory).is_dir() else ():
            if program.name != "mosdepth":
                (folder / program.name).unlink(missing_ok=True)
                (folder / program.name).symlink_to(program)
    return now.end(now.scene.start(now.place, PATH=str(folder)))


def tool_hangs(now: Circumstances) -> Ending:
    """Let the depth counter hang; whoever waits ends the command with Ctrl-C."""
    folder = now.place.parent / f"{now.place.name}.bin"
    folder.mkdir()
    hanging = folder / "hanging"
    (folder / "mosdepth").write_text(f'#!/bin/sh\ntouch "{hanging}"\nexec sleep 3600\n')
    (folder / "mosdepth").chmod(0o755)
    process = now.scene.start(now.place, PATH=f"{folder}:{environment()['PATH']}")
    until = time.monotonic() + TIMEOUT
    while process.poll() is None and not hanging.exists() and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    return now.end(process)
