"""The sealed pages of a book on disk: ``<registry>/books/<J…>/pages.sqlite`` and ``key``.

A random key seals the pages. The registry's key seals it in ``key``, for this project. A page is sealed with the number
of the change that wrote it, and the head, sealed too, has these numbers. So a page from an older copy does not open.
When rows are destroyed, all pages are sealed with a new key and the old one is overwritten. Then no earlier bytes of
the disk and no copy of the pages can be read with the key that is there.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, delete, inspect, select

from baekman.errors import InputRefused, Problem
from baekman.files import locks
from baekman.files.secret_file import destroy_secret, replace_secret
from baekman.key_ring import ID_BYTES, Key, KeyRing, Purpose
from baekman.registry import database
from baekman.registry.books.rows import ROWS

FILE = "pages.sqlite"
KEY = "key"
HEAD = "head"
PADDING = 4096  # bytes: the size of a page on disk shows its number of rows only roughly
_LENGTH_BYTES = 8
BOOK = Purpose(
    "book",
    "the registry's key",
    "",
    "baekman registry init",
    remedy="it was changed by hand, or is of an older copy: restore the whole registry, then `baekman restore check`",
)
_metadata = MetaData()
_sealed = Table(
    "sealed",
    _metadata,
    Column("name", String(8), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)


@dataclass
class Head:
    """The newest change of a book: its number and a random token, the change that wrote each page, the rows."""

    change: int = 0
    token: str = ""
    pages: dict[str, int] = field(default_factory=dict)
    rows: int = 0


class Pages:
    """The pages of one book. ``ring`` is that of the registry."""

    def __init__(self, folder: Path, *, ring: KeyRing) -> None:
        self.folder = folder
        self.project_id = folder.name
        self._registry_ring = ring
        self._engine = database.connect(folder / FILE)

    def exists(self) -> bool:
        """Return whether the book has a key and pages."""
        has_files = (self.folder / KEY).is_file() and (self.folder / FILE).is_file()
        return has_files and inspect(self._engine).has_table(_sealed.name)

    def create(self) -> None:
        """Make a key and an empty book where there is none; the key of an earlier, killed attempt is taken."""
        if not (self.folder / KEY).is_file():
            self._write_keys([Key.new(BOOK)])
        (self.folder / FILE).touch(mode=0o600)
        with database.writing(self._engine) as connection:
            _metadata.create_all(connection)

    @contextmanager
    def alone(self, *, is_last: bool = False) -> Iterator[None]:
        """Hold the book alone for a change of it and of the registry's note.

        Keys that it does not use are dropped, unless the book goes (``is_last``).
        """
        with locks.exclusive(
            self.folder.parent / f".{self.project_id}.lock", waits_for="another use of the book", mode=0o600
        ):
            if not is_last:
                self._drop_keys()
            yield

    @contextmanager
    def opened(self) -> Iterator[OpenPages]:
        """Yield the pages in a transaction; changes are written when the block ends without an error."""
        with database.writing(self._engine) as connection:
            ring = self._ring()
            sealed = self._read(connection, HEAD)
            if sealed:
                ring.use(sealed[:ID_BYTES])
            head = Head(**ring.unseal(sealed, identity=HEAD)) if sealed else Head()
            opened = OpenPages(self, connection, ring, head)
            yield opened
            opened.close()

    def replace_key(self, change: Callable[[OpenPages], None]) -> None:
        """Make a ``change``, seal all pages with a new key and overwrite the old one; the book is held alone."""
        fresh = Key.new(BOOK)
        self._write_keys([fresh, *self._ring().keys])
        with self.opened() as opened:
            opened.seal_with(KeyRing([fresh]))
            change(opened)
            opened.seal_others_again()
        self._write_keys([fresh])

    def reseal_keys(self) -> None:
        """Seal the book's key with the current key of the registry's ring; the pages stay."""
        self._write_keys(self._ring().keys)

    def destroy(self) -> None:
        """Overwrite the key, then delete the book."""
        destroy_secret(self.folder / KEY)
        self._engine.dispose()
        for path in sorted(self.folder.glob("*")):
            path.unlink()
        if self.folder.is_dir():
            self.folder.rmdir()

    def _read(self, connection: Connection, name: str) -> bytes:
        value = connection.scalar(select(_sealed.c.value).where(_sealed.c.name == name))
        return bytes(value or b"")

    def _write_head(self, connection: Connection, head: Head, *, ring: KeyRing) -> None:
        write_sealed(connection, HEAD, ring.seal(vars(head), identity=HEAD))

    def _ring(self) -> KeyRing:
        """Return the book's own keys, the one in use first."""
        try:
            sealed = (self.folder / KEY).read_bytes()
        except FileNotFoundError:
            raise InputRefused(
                Problem(
                    file=f"book of {self.project_id}",
                    expected="its key in the folder of the registry",
                    found="none",
                    action="restore the folder of the registry from a back-up, then run `baekman restore check`",
                )
            ) from None
        values = self._registry_ring.unseal(sealed, identity=f"book {self.project_id}")
        return KeyRing([Key(base64.b64decode(key), BOOK) for key in values["keys"]])

    def _write_keys(self, keys: list[Key]) -> None:
        values = {"keys": [base64.b64encode(key.master).decode() for key in keys]}
        sealed = self._registry_ring.seal(values, identity=f"book {self.project_id}")
        replace_secret(self.folder / KEY, sealed)

    def _drop_keys(self) -> None:
        """Drop keys that a killed change of the key left."""
        if self.exists() and len((ring := self._ring()).keys) > 1:
            with self.opened() as opened:
                used = [key for key in ring.keys if key.key_id == opened.ring.current]
            self._write_keys(used)


class OpenPages:
    """The pages in a transaction."""

    def __init__(self, pages: Pages, connection: Connection, ring: KeyRing, head: Head) -> None:
        self.ring = ring
        self.head = head
        self._pages = pages
        self._connection = connection
        self._writes = ring
        self._change = head.change + 1
        self._is_changed = False

    def read(self, page: int) -> pa.Table:
        """Return the rows of a page (``ROWS``), sorted by participant."""
        name = f"{page:02x}"
        if name not in self.head.pages:
            return ROWS.empty_table()
        identity = _identity(name, self.head.pages[name])
        data = self.ring.unseal_bytes(self._pages._read(self._connection, name), identity=identity)
        length = int.from_bytes(data[:_LENGTH_BYTES], "big")
        return pa.ipc.open_stream(pa.py_buffer(data)[_LENGTH_BYTES:][:length]).read_all()

    def write(self, page: int, rows: pa.Table) -> None:
        """Replace the rows of a page."""
        name = f"{page:02x}"
        self.head.rows += rows.num_rows - self.read(page).num_rows
        self._is_changed = True
        if not rows.num_rows:
            self.head.pages.pop(name, None)
            self._connection.execute(delete(_sealed).where(_sealed.c.name == name))
            return
        output = pa.BufferOutputStream()
        with pa.ipc.new_stream(output, ROWS) as stream:
            stream.write_table(rows.combine_chunks())
        data = output.getvalue().to_pybytes()
        padded = len(data).to_bytes(_LENGTH_BYTES, "big") + data
        padded += bytes(-len(padded) % PADDING)
        self.head.pages[name] = self._change
        write_sealed(self._connection, name, self._writes.seal_bytes(padded, identity=_identity(name, self._change)))

    def seal_with(self, ring: KeyRing) -> None:
        """Seal with ``ring`` from now on; ``read`` knows its key already."""
        self._writes = ring

    def seal_others_again(self) -> None:
        """Seal the pages that were not written in this transaction."""
        for name in [name for name, change in self.head.pages.items() if change != self._change]:
            self.write(int(name, 16), self.read(int(name, 16)))

    def close(self) -> None:
        """Write the head if a page was written or has another key."""
        if self._is_changed or self._writes is not self.ring:
            self.head.change = self._change
            self.head.token = secrets.token_hex(8)
            self._pages._write_head(self._connection, self.head, ring=self._writes)


def write_sealed(connection: Connection, name: str, value: bytes) -> None:
    """Write a sealed value under ``name`` in place of another."""
    connection.execute(delete(_sealed).where(_sealed.c.name == name))
    connection.execute(_sealed.insert(), [{"name": name, "value": value}])


def _identity(name: str, change: int) -> str:
    return f"page {name} of change {change}"


def note_of(head: Head) -> Mapping[str, Any]:
    """Return what the registry notes of a book's newest change."""
    return {"change": head.change, "token": head.token}
