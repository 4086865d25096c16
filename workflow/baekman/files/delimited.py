"""Delimited tables, as spreadsheets export them: tab- or comma-separated UTF-8 with a header, read by record.

Rows are numbered as in a spreadsheet, from 1 (the header). An offset is the start of a record in bytes.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from baekman.errors import InputRefused, Problem

MAX_BYTES = 1 << 30
_BLOCK = 1 << 20
# characters; the csv module reads fields of at most 131,072, so a longer line is no row of any table here
_LONGEST_LINE = 1 << 22


class Record(NamedTuple):
    """One record with its row and its offset."""

    row: int
    offset: int
    fields: list[str]


class DelimitedTable:
    """An open table, with at most one record in memory; InputRefused when the file is no table."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            opened = file.open("rb")
        except IsADirectoryError:
            raise self._refused("a file", "a folder", "give the table in it") from None
        except OSError:
            raise self._refused("a readable file", "none", "check the path") from None
        self._text = io.TextIOWrapper(opened, "utf-8", newline="")
        try:
            self._begin(opened)
        except BaseException:
            self._text.close()
            raise

    def _begin(self, opened: BinaryIO) -> None:
        self._status = os.fstat(opened.fileno())
        if not opened.seekable():
            raise self._refused("a file", "a pipe", "save the table to a file: it is read more than once")
        try:
            self.sha256 = self._digest_of_text(opened)
        except OSError:
            raise self._refused("a readable file", "none", "check the path") from None
        self._first = len(codecs.BOM_UTF8) if self._text.read(1) == "\ufeff" else 0
        self._text.seek(self._first)
        self._is_tabbed = "\t" in self._text.readline(_LONGEST_LINE)
        self._go_to(self._first)
        header = next(self._records(), None)
        if header is None:
            raise self._refused("a header", "an empty file", "export the table again")
        self.header = [name.strip() for name in header.fields]
        if len(self.header) == 1 and ";" in self.header[0]:
            raise self._refused("fields separated by tabs or commas", "semicolons", "export the table again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def records(self) -> Iterator[Record]:
        """Yield every record below the header that is not empty."""
        self._go_to(self._first)
        return islice(self._records(), 1, None)

    def fields_at(self, offset: int) -> list[str]:
        """Return the fields of the record at ``offset``; fast for consecutive records."""
        if offset != self._offset:
            self._go_to(offset)
        try:
            return next(self._reader)
        except (csv.Error, UnicodeDecodeError, StopIteration):
            raise self.changed() from None

    def require_unchanged(self) -> None:
        """Raise InputRefused when the file was written to since it was opened."""
        status = os.fstat(self._text.fileno())
        if (status.st_size, status.st_mtime_ns) != (self._status.st_size, self._status.st_mtime_ns):
            raise self.changed()

    def changed(self) -> InputRefused:
        """Return the refusal of a table that was written to while it was read."""
        return self._refused("a table that nobody writes to while it is read", "another one", "do it again")

    def _records(self) -> Iterator[Record]:
        """Yield every record from here on that is not empty; rows are counted as if this were the first record."""
        row, offset = 1, self._offset
        try:
            for fields in self._reader:
                if any(fields):
                    yield Record(row, offset, fields)
                row, offset = self._reader.line_num + 1, self._offset
        except csv.Error:
            raise self._refused(
                "a table", f"a malformed or overlong field in row {self._reader.line_num}", "export the table again"
            ) from None

    def _go_to(self, offset: int) -> None:
        self._text.seek(offset)
        self._offset = offset
        self._reader = csv.reader(
            self._lines(),
            delimiter="\t" if self._is_tabbed else ",",
            quoting=csv.QUOTE_NONE if self._is_tabbed else csv.QUOTE_MINIMAL,
            strict=not self._is_tabbed,
        )

    def _lines(self) -> Iterator[str]:
        """Yield the lines from here on, with their ends; ``_offset`` is after the last of them."""
        while line := self._text.readline(_LONGEST_LINE):
            self._offset += len(line) if line.isascii() else len(line.encode())
            yield line

    def _digest_of_text(self, opened: BinaryIO) -> str:
        """Return the SHA-256 (hex) of the file; refuse bytes that no UTF-8 text has."""
        if self._status.st_size > MAX_BYTES:
            raise self._refused(f"at most {MAX_BYTES} bytes", "more", "split the table")
        digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
        row, row_of_nul = 1, 0
        while block := opened.read(_BLOCK):
            digest.update(block)
            try:
                decoder.decode(block)
            except UnicodeDecodeError as failure:
                raise self._not_utf8(row + failure.object.count(b"\n", 0, failure.start)) from None
            if not row_of_nul and b"\0" in block:
                row_of_nul = row + block.count(b"\n", 0, block.index(b"\0"))
            row += block.count(b"\n")
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise self._not_utf8(row) from None
        if row_of_nul:
            raise self._refused("text", f"a NUL character in row {row_of_nul}", "export the table again")
        opened.seek(0)
        return digest.hexdigest()

    def _not_utf8(self, row: int) -> InputRefused:
        return self._refused("UTF-8", f"other bytes in row {row}", "save the table as UTF-8 (not EUC-KR or CP949)")

    def _refused(self, expected: str, found: str, action: str) -> InputRefused:
        return InputRefused(Problem(file=self.file.name, expected=expected, found=found, action=action))
