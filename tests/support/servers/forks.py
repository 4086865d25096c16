"""Commands by fork: one process imports what each run of a program imports, which takes most of it, and forks for each.

As a program it reads requests from stdin, a JSON object a line. Each run is a process of its own, as from a shell, and
several may run at the same moment.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any


def run(
    program: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run ``snakemake`` or ``baekman`` with ``arguments`` in ``folder``; return its exit code, stdout and stderr."""
    server = _server(program)
    assert server.stdin is not None
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        request = {
            "arguments": list(arguments),
            "folder": str(folder),
            "environment": dict(environment),
            "scratch": name,
        }
        os.mkfifo(scratch / "code")
        # one write: other threads may ask too
        os.write(server.stdin.fileno(), (json.dumps(request) + "\n").encode())
        code = _answer(scratch / "code", server)
        texts = ((scratch / stream).read_text(errors="replace") for stream in ("stdout", "stderr"))
        return subprocess.CompletedProcess([program, *arguments], int(code), *texts)


def _answer(pipe: Path, server: subprocess.Popen[bytes]) -> bytes:
    """Return what is written to a named pipe; raise AssertionError when the server has ended instead."""
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while not select.select([reader], [], [], 1)[0]:
            assert server.poll() is None, "the process that forks has ended"
        return os.read(reader, 16)
    finally:
        os.close(reader)


@cache
def _server(program: str) -> subprocess.Popen[bytes]:
    """Start the process that forks; it ends when its stdin closes, at the latest with this process."""
    threads = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}  # as each run of baekman has them
    environment = {**os.environ, **threads} if program == "baekman" else None
    return subprocess.Popen([sys.executable, __file__, program], stdin=subprocess.PIPE, env=environment)


def _snakemake() -> Callable[[], object]:
    # everything that each run imports
    for name in ("baekman.align.aligners", "baekman.config.loading", "smart_open"):
        importlib.import_module(name)
    from snakemake import cli

    cli.get_argument_parser()  # imports the plugins
    return cli.main


def _baekman() -> Callable[[], object]:
    # not Polars: it has threads from its import on, and a fork has only the thread that forked
    for name in (
        "cohort.verify",
        "intake.receive",
        "registry.listing",
        "tables.make",
        "withdrawal",
        "cli.shared.groups",
    ):
        importlib.import_module(f"baekman.{name}")
    from baekman.cli import main

    return main


def _serve(program: str) -> None:
    main = {"snakemake": _snakemake, "baekman": _baekman}[program]()
    for line in sys.stdin:
        if os.fork() == 0:
            _run(program, main, json.loads(line))


def _run(program: str, main: Callable[[], object], request: Mapping[str, Any]) -> None:
    """Run the program in a process that this one waits for."""
    scratch = Path(request["scratch"])
    child = os.fork()
    if child:
        (scratch / "code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        os._exit(0)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(scratch / name, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = [program, *request["arguments"]]
    main()
    sys.exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
