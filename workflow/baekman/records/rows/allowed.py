"""The rows that consent allows: of admitted participants, and of the scopes that each of them allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import filtered
from baekman.consent import RECORD_SCOPES
from baekman.records.dictionary import read_dictionary
from baekman.records.store import RecordStore
from baekman.workspace.denied import RecordAdmission

NOBODY: frozenset[str] = frozenset()
# the denied scopes of participants; None: everything
Denials = Mapping[str, frozenset[str] | None]


class RowFilter:
    """The rows that may be shown: of admitted participants, and of the scopes that each of them allows."""

    def __init__(self, store: RecordStore, *, without: frozenset[str], admission: RecordAdmission) -> None:
        everywhere = [admission.denied.get(scope, NOBODY) for scope in RECORD_SCOPES]
        self.left_out = without | admission.withdrawn | frozenset.intersection(*everywhere)
        self.granted = admission.granted
        self.denied = {scope: people - self.left_out for scope, people in admission.denied.items()}
        self.store = store

    def people(self, table: pa.Table) -> pa.Table:
        """Return the rows of admitted participants."""
        if table.num_rows and self.left_out:
            table = filtered(table, ~is_in(table.column("participant_id"), self.left_out))
        if table.num_rows and self.granted is not None:
            table = filtered(table, is_in(table.column("participant_id"), self.granted))
        return table

    def events(self, table: pa.Table) -> pa.Table:
        """Return the rows of admitted participants with codes of scopes that they allow."""
        table = self.people(table)
        if table.num_rows == 0 or not any(self.denied.values()):
            return table
        scopes = self._scopes_of(table.column("code"))
        keep = np.ones(table.num_rows, np.bool_)
        for scope, people in self.denied.items():
            if people:
                of_scope = (scopes == scope) | (scopes == "")  # an unknown code needs the consent to every scope
                keep &= ~(of_scope & is_in(table.column("participant_id"), people))
        return filtered(table, keep)

    def _scopes_of(self, codes: pa.ChunkedArray) -> npt.NDArray[np.str_]:
        import pyarrow.compute as pc

        status = self.store.dictionary.stat()
        known, scopes = _listed(self.store.dictionary, status.st_ino, status.st_size, status.st_mtime_ns)
        texts = codes.cast(pa.string())
        return np.asarray(scopes[np.asarray(pc.index_in(texts, known).fill_null(-1))])


@lru_cache(maxsize=4)
def _listed(dictionary: Path, _inode: int, _size: int, _changed: int) -> tuple[pa.Array, npt.NDArray[np.str_]]:
    """Return the codes of a dictionary, and their scopes with "" as the last one."""
    table = read_dictionary(dictionary).table
    return table.column("code").combine_chunks(), np.array([*table.column("scope").to_pylist(), ""])


def is_in(column: pa.ChunkedArray, values: Iterable[str] | pa.Array) -> npt.NDArray[np.bool_]:
    """Return whether each string is one of ``values``."""
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    chosen = values if isinstance(values, pa.Array) else pa.array(sorted(values), pa.string())
    return np.asarray(pc.is_in(column, chosen))


def allowed_rows(store: RecordStore, denied: Denials) -> RowFilter:
    """Return the filter that leaves out what is ``denied``: scopes of participants, or all of theirs."""
    by_scope: dict[str, set[str]] = {}
    for participant, scopes in denied.items():
        for scope in scopes or ():
            by_scope.setdefault(scope, set()).add(participant)
    whole = frozenset(participant for participant, scopes in denied.items() if scopes is None)
    admission = RecordAdmission(denied={scope: frozenset(people) for scope, people in by_scope.items()})
    return RowFilter(store, without=whole, admission=admission)
