"""The command line: ``baekman COMMAND``. Each command is a few lines; the work is in the module it names."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import sys

import typer

from baekman import __version__
from baekman.errors import EXIT_FAILED, EXIT_REFUSED, EXITS_INTERRUPTED, InputRefused
from baekman.tools.processes import keep_from_others

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)

app = typer.Typer(
    name="baekman",
    help="From sequencing deliveries to joint-genotyped, per-participant variant tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed, to some extent: the next gVCF's buffers would get it back page by page."""
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        allocator.mallopt(M_TRIM_THRESHOLD, 64 << 20)


def _leave() -> None:
    if "duckdb" not in sys.modules:  # it reports on stderr what is not taken apart
        gc.freeze()


def main() -> None:
    """Run the command line; refused input exits with 3, a failure with 1, and neither shows a traceback.

    ``BAEKMAN_TRACEBACK=1`` shows the traceback of a failure (it may hold values: never in production logs).
    """
    from baekman.cli import groups

    keep_from_others()
    # no command multiplies matrices for which starting OpenBLAS's threads would pay
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Arrow's own allocator keeps and zeroes more than the system's: a tenth of the time and memory of adding a batch
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    _keep_freed_memory()
    # imports make many objects and no garbage: looking for it all the while is a tenth of a short command's time
    gc.set_threshold(100_000)
    # and what a command leaves behind need not be gone through when it ends
    atexit.register(_leave)
    groups.register(app, first=sys.argv[1] if len(sys.argv) > 1 else "")
    try:
        app()
    except InputRefused as refused:
        for reason in refused.problems:
            print(f"refused: {reason}", file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    except SystemExit as ended:
        if ended.code in EXITS_INTERRUPTED:  # Typer's own for Ctrl-C, which it says nothing of, among them
            print("interrupted: run the same command again to go on", file=sys.stderr)
        raise
    except Exception as failure:
        if os.environ.get("BAEKMAN_TRACEBACK"):
            raise
        from baekman.cli.failure import told

        words = told(failure, arguments=sys.argv[1:], environment=os.environ)
        print(f"failed: {words} (set BAEKMAN_TRACEBACK=1 to see where)", file=sys.stderr)
        sys.exit(EXIT_FAILED)
