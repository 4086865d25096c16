"""Limits of a query: time, memory, and disk for rows that do not fit in memory."""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from baekman.errors import InputRefused, Problem

if TYPE_CHECKING:
    import duckdb  # not at the start of every command

TIME_LIMIT = 3600.0  # seconds
MEMORY_LIMIT = "4GB"
SPILL_LIMIT = "16GB"

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
_SHARE = 0.8  # of this machine's memory, at most
_POLL = 0.5  # seconds between two looks at a connection
_AGAIN = 0.1  # seconds between two interrupts: the first may come between two batches of rows


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a query.

    ``time``: seconds for the whole answer, 0 for no limit. ``memory`` and ``spill``: sizes such as ``4GB`` or
    ``500MiB``; the memory is never more than 80 % of this machine's. Raises InputRefused for a malformed size.
    """

    time: float = TIME_LIMIT
    memory: str = MEMORY_LIMIT
    spill: str = SPILL_LIMIT

    def __post_init__(self) -> None:
        _bytes(self.memory, option="--memory-limit")
        _bytes(self.spill, option="--spill-limit")

    def set_on(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Set the limits of memory and disk on ``connection``."""
        machine = int(_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        memory = min(_bytes(self.memory, option="--memory-limit"), machine)
        connection.execute("SET memory_limit = ?", [f"{memory / 1000:.3f}KB"])
        spill = _bytes(self.spill, option="--spill-limit")
        connection.execute("SET max_temp_directory_size = ?", [f"{spill / 1000:.3f}KB"])

    @contextmanager
    def enforced(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Interrupt ``connection`` when the block lasts longer than ``time``.

        Raises InputRefused for an answer that does not keep within a limit.
        """
        from duckdb import InterruptException, OutOfMemoryException

        ended, expired = threading.Event(), threading.Event()

        def interrupt() -> None:
            wait = self.time
            while not ended.wait(wait):
                expired.set()
                connection.interrupt()
                wait = _AGAIN

        timer = threading.Thread(target=interrupt, daemon=True)
        if self.time:
            timer.start()
        try:
            yield
        except InterruptException:
            if not expired.is_set():
                raise
            raise self._refusal("--time-limit", f"an answer within {self.time:g} seconds") from None
        except OutOfMemoryException:
            raise self._refusal(
                "--memory-limit, --spill-limit", f"an answer within {self.memory} of memory and {self.spill} on disk"
            ) from None
        finally:
            ended.set()
            if self.time:
                timer.join()

    def require_time(self, began: float) -> None:
        """Raise InputRefused when an answer that began at ``began`` (``time.monotonic``) takes longer than ``time``.

        It is for work outside of DuckDB, which ``enforced`` does not interrupt.
        """
        if self.time and time.monotonic() - began > self.time:
            raise self._refusal("--time-limit", f"an answer within {self.time:g} seconds")

    def watch(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Interrupt each query on ``connection`` that lasts longer than ``time``, as long as the connection lives.

        It is for relations that are evaluated later; their evaluation raises ``duckdb.InterruptException``.
        """
        if not self.time:
            return
        connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        threading.Thread(target=_watch, args=(weakref.ref(connection), self.time), daemon=True).start()

    def _refusal(self, option: str, expected: str) -> InputRefused:
        return InputRefused(
            Problem(
                file=option,
                expected=expected,
                found="a query that needs more",
                action="ask for less (a region, fewer columns), or raise the limit",
            )
        )


def _watch(reference: weakref.ref[duckdb.DuckDBPyConnection], limit: float) -> None:
    """Interrupt the queries of a connection that last longer than ``limit`` seconds; end with the connection."""
    began, before = 0.0, -1.0
    while True:
        time.sleep(min(_POLL, limit))
        connection = reference()
        if connection is None:
            return
        try:
            progress = connection.query_progress()  # in percent; -1 without a query
        except Exception:  # the connection is closed
            return
        now = time.monotonic()
        if progress < 0 or progress < before or before < 0:  # no query, or another one
            began = now
        elif now - began > limit:
            connection.interrupt()
        before = progress
        del connection


def _bytes(size: str, *, option: str) -> int:
    match = _SIZE.fullmatch(size.strip())
    if not match or not float(match[1]):
        raise InputRefused(
            Problem(file=option, expected="a size such as 4GB or 500MiB", found=f"{size!r}", action="give one")
        )
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].upper()])
