"""The command line: ``baekman COMMAND``. Each command is a few lines; the module that it imports does the work."""

from __future__ import annotations

import atexit
import gc
import os
import re
import resource
import signal
import sys

import typer

from baekman import __version__
from baekman.cli.shared.groups import Root
from baekman.errors import EXIT_FAILED, EXIT_REFUSED, EXITS_INTERRUPTED, InputRefused
from baekman.files.shown_text import printable
from baekman.tools.environment import forget_places
from baekman.tools.processes import exit_by_signal, keep_from_others

OUT_OF_MEMORY = (
    "there is not enough memory; give the command more (the limit of the shell, mem_mb of the job, or fewer"
    " --workers), then run the same command again"
)

INTERRUPTED = "interrupted: run the same command again to go on"
# of the dynamic linker, and of libraries that have an error of their own for it
_NO_ROOM = re.compile("failed to map segment|out of memory|bad_alloc|allocat|can't start new thread", re.IGNORECASE)

app = typer.Typer(
    name="baekman",
    cls=Root,
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


def _skip_last_collection() -> None:
    """Exempt all objects from the garbage collection at exit; DuckDB needs it, and reports objects that stay."""
    if "duckdb" not in sys.modules:
        gc.freeze()


def main() -> None:
    """Run the command line; exit with 3 for refused input and with 1 for a failure, without a traceback.

    ``BAEKMAN_TRACEBACK=1`` shows the traceback of a failure. It may hold values, so never set it in production.
    """
    from baekman.cli.shared.last_words import go_on_in_child

    go_on_in_child(f"failed: {OUT_OF_MEMORY}")
    from baekman.cli.shared import groups

    keep_from_others()
    forget_places(os.environ)  # no process that this one starts needs them
    ended_by: list[int] = []

    def end(number: int, frame: object) -> None:
        # said here: an import that the signal interrupts may raise an error of its own
        print(INTERRUPTED, file=sys.stderr)
        ended_by.append(number)
        exit_by_signal(number, frame)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)
    # docs/benchmarks.md, "Start-up", has the measurements of these three
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no command multiplies matrices: threads only cost time
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own allocator keeps more memory
    atexit.register(_skip_last_collection)
    try:
        first = sys.argv[1] if len(sys.argv) > 1 else ""
        if "_BAEKMAN_COMPLETE" in os.environ:
            from baekman.cli.shared.completion import first_word

            first = first_word(os.environ)
        groups.register(app, first=first)
        app()
    except InputRefused as refused:
        for reason in refused.problems:
            print(printable(f"refused: {reason}"), file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    except SystemExit as ended:
        if ended.code in EXITS_INTERRUPTED and not ended_by:  # Typer exits so after Ctrl-C, and prints nothing
            print(INTERRUPTED, file=sys.stderr)
        raise
    except Exception as failure:
        if ended_by:
            sys.exit(128 + ended_by[0])
        if os.environ.get("BAEKMAN_TRACEBACK"):
            raise
        print(printable(f"failed: {_words(failure)} (set BAEKMAN_TRACEBACK=1 to see where)"), file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _words(failure: Exception) -> str:
    """Return the words for a failure; those for too little memory need no import, which could fail too."""
    if isinstance(failure, MemoryError) or _NO_ROOM.search(str(failure)):
        return OUT_OF_MEMORY
    is_of_library = isinstance(failure, SystemError) or type(failure).__module__.startswith("pyarrow")
    if is_of_library and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return OUT_OF_MEMORY  # an extension got no memory, and says so in no exception
    try:
        from baekman.cli.shared.failure import describe
    except (MemoryError, ImportError):
        return OUT_OF_MEMORY
    return describe(failure, arguments=sys.argv[1:], environment=os.environ)
