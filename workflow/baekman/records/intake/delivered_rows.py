"""The rows of a delivery of any format, as text by subject code: what judging reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from baekman.records.dictionary import Dictionary
from baekman.records.intake.sheet import RecordsSheet
from baekman.records.intake.tables import COVERAGE_COLUMNS, EVENT_COLUMNS, DeliveredTables, text_schema
from baekman.records.omop.reading import OmopTables, Origin, read_omop

EVENT_ROW = (*EVENT_COLUMNS, "source")  # a null source is that of the sheet
COVERAGE_ROW = (*COVERAGE_COLUMNS, "source")

Rows = Callable[[Sequence[str]], Iterable[pa.RecordBatch]]  # by columns


@dataclass(frozen=True, kw_only=True)
class DeliveredRows:
    """The rows of a delivery, which may be read several times, and the dictionary of their codes.

    ``is_omop``: the rows come from OMOP tables, which have their own words for episodes and state the coverage.
    ``has_coverage``: rows of coverage state the days of some subjects.
    """

    dictionary: Dictionary
    event_batches: Rows
    coverage_batches: Rows
    has_coverage: bool
    is_omop: bool = False
    failures: list[BaseException] = field(default_factory=list, repr=False)

    def events(self, columns: Sequence[str] = EVENT_ROW) -> pa.RecordBatchReader:
        """Return a reader of all rows of events as ``columns`` of text."""
        return self._reader(self.event_batches, columns)

    def coverage(self, columns: Sequence[str] = COVERAGE_ROW) -> pa.RecordBatchReader:
        """Return a reader of all rows of coverage as ``columns`` of text."""
        return self._reader(self.coverage_batches, columns)

    @contextmanager
    def failing_plainly(self) -> Iterator[None]:
        """Raise what a reader has raised, where the block fails with the words of DuckDB, which read from it."""
        try:
            yield
        except Exception:
            if self.failures:
                raise self.failures[0] from None
            raise

    def _reader(self, batches: Rows, columns: Sequence[str]) -> pa.RecordBatchReader:
        def noting() -> Iterator[pa.RecordBatch]:
            try:
                yield from batches(columns)
            except BaseException as failure:
                self.failures.append(failure)
                raise

        return pa.RecordBatchReader.from_batches(text_schema(columns), noting())


@contextmanager
def delivered_rows(
    tables: DeliveredTables, *, sheet: RecordsSheet, dictionary: Dictionary, institution: str, secret: str
) -> Iterator[DeliveredRows]:
    """Yield the rows of ``tables``; those of OMOP are read with the ``dictionary`` of the store and extend it.

    ``institution`` is its code in events. ``secret`` is hashed with the institution's names of episodes.
    """
    if sheet.format != "omop":
        yield DeliveredRows(
            dictionary=dictionary,
            event_batches=tables.event_batches,
            coverage_batches=tables.coverage_batches,
            has_coverage=tables.coverage is not None,
        )
        return
    origin = Origin(institution=institution, source=sheet.source, secret=secret)
    with read_omop(sheet.folder, dictionary, origin=origin) as omop:
        yield DeliveredRows(
            dictionary=omop.dictionary,
            event_batches=lambda columns: _events(omop, columns),
            coverage_batches=lambda columns: (_text(batch, columns) for batch in omop.coverage()),
            has_coverage=True,
            is_omop=True,
        )


def _events(omop: OmopTables, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    # the subject codes of all events are those of the persons
    batches = omop.subject_codes() if list(columns) == ["subject_code"] else omop.events()
    return (_text(batch, columns) for batch in batches)


def _text(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [batch.column(name).cast(pa.string()) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=text_schema(columns))
