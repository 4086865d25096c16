"""A freeze as a cohort that can be read: what ``open_cohort`` and ``open_freeze`` return for the folder of a freeze."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from baekman.api.cohort import Cohort
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import open_store
from baekman.consent import scopes_of
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.freezes import reading
from baekman.freezes.folder import TABLES
from baekman.query.frozen import FreezeAccess
from baekman.tables.dataset import find_owner
from baekman.tables.snapshots import numbers_of
from baekman.workspace.identity import STORE_FILE
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    import duckdb

    from baekman.query.question import Question

Location = str | PathLike[str]


def open_freeze(
    path: Location,
    *,
    snapshot: int | None = None,
    workspace: Location | None = None,
    purpose: str = "",
) -> FrozenCohort:
    """Open the freeze in the folder ``path``, which `baekman cohort freeze` wrote.

    A freeze within a workspace, or with ``workspace`` named, has the consent, keys and audit log of that workspace; any
    other stands by itself. ``purpose`` is as for ``open_cohort``; a freeze has one ``snapshot``, without a number.
    Raises InputRefused for no freeze, damaged settings, a number of a snapshot and an unknown purpose.

    Example:
        >>> cohort.freeze("release-1").number
        1
        >>> baekman.open_freeze("release-1")
        <FrozenCohort release-1: 2 participants>
    """
    scopes_of(purpose)
    folder = Path(path)
    if snapshot is not None:
        raise InputRefused(
            Problem(
                file="--snapshot",
                expected="no number with a freeze, which is one snapshot",
                found=str(snapshot),
                action="leave it out, or name the cohort store",
            )
        )
    place = find_owner(folder / TABLES, given=Path(workspace) if workspace is not None else None)
    freeze = reading.open_freeze(folder, home=place.root.absolute() if place is not None else None)
    return FrozenCohort(freeze, purpose=purpose)


class FrozenCohort(Cohort):
    """A freeze, read like a cohort. Its call rows are those of the tables: ``joint_copies``, ``af`` and others too.

    Its views are ``sites``, ``calls``, ``reference``, ``participants`` and ``contigs``. Methods that need a cohort
    store raise InputRefused.
    """

    _access: FreezeAccess

    def __init__(self, freeze: reading.Freeze, *, purpose: str = "") -> None:
        super().__init__(freeze.store, freeze.snapshot, engine=Engine(), purpose=purpose)
        self._access = FreezeAccess(freeze, purpose=purpose)
        self.freeze_folder = freeze

    def __repr__(self) -> str:
        return f"<FrozenCohort {self.store.path.name}: {self.snapshot.participants} participants>"

    @contextmanager
    def query(self, question: Question) -> Iterator[duckdb.DuckDBPyRelation]:
        """Yield the answer to a question as ``Cohort.query`` does."""
        without = self._access.admit(self.snapshot, question)
        with self._access.ask(question, without=without) as relation:
            yield relation

    @property
    def notes(self) -> list[str]:
        """Return sentences that a reader should see: what an earlier version lacks, and withdrawals since."""
        return self.freeze_folder.notes

    def snapshots(self) -> list[Snapshot]:
        """Return the only snapshot of the freeze, which has no number."""
        return [self.snapshot]

    @property
    def waiting(self) -> int:
        """The number of participants who wait for a batch: 0."""
        return 0

    def genotypes(self, *_: Any, **__: Any) -> NoReturn:
        """Raise InputRefused: dense genotypes need the cohort store."""
        raise self._refusal("genotypes of everyone", action="open the cohort store for them")

    def export(self, output: Location, *, format: str, **_: Any) -> NoReturn:
        """Raise InputRefused: an export needs the cohort store; the message has the command that works."""
        place = Workspace(self._access.workspace.root).cohort
        has_cohort = not self.store.is_bare and (place / STORE_FILE).is_file()
        content = self.snapshot.content
        number = numbers_of([content], store=open_store(place) if has_cohort else None)[content].rpartition(" ")[2]
        at = f" --snapshot {number}" if number.isdecimal() else ""
        command = f"baekman export --workspace W{at} --format {format} --output {Path(output).name}"
        raise self._refusal("an export", action=f"export the cohort that the freeze was made from: {command}")

    def write_tables(self, *_: Any, **__: Any) -> NoReturn:
        """Raise InputRefused: the tables of a freeze are written."""
        raise self._refusal("tables", action="the tables of the freeze lie in its folder tables/")

    def freeze(self, *_: Any, **__: Any) -> NoReturn:
        """Raise InputRefused: a freeze is made of a cohort store."""
        raise self._refusal("a freeze", action="name the cohort store")

    def _change(self, *_: Any, **__: Any) -> NoReturn:
        """Raise InputRefused: a freeze never changes."""
        raise self._refusal("a change", action="name the cohort store; a freeze never changes")

    add = replace = withdraw = compact = _change

    def _refusal(self, use: str, *, action: str) -> InputRefused:
        return InputRefused(
            Problem(file=self.store.path.name, expected=f"a cohort store for {use}", found="a freeze", action=action)
        )
