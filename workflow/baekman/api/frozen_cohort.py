"""A freeze as a cohort that can be read: what ``open_cohort`` and ``open_freeze`` return for the folder of a freeze."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import pyarrow as pa

from baekman.api.cohort import Cohort
from baekman.cohort.snapshot import Snapshot
from baekman.consent import scopes_of
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.freezes import reading
from baekman.freezes.folder import TABLES
from baekman.query.frozen import FreezeAccess
from baekman.tables.dataset import find_owner

if TYPE_CHECKING:
    import duckdb

    from baekman.export.selection import Only
    from baekman.query.genotypes import GenotypeBlock
    from baekman.query.question import Question

Location = str | PathLike[str]


def open_freeze(
    path: Location,
    *,
    snapshot: int | None = None,
    workspace: Location | None = None,
    purpose: str = "",
    engine: Engine | None = None,
) -> FrozenCohort:
    """Open the freeze in the folder ``path``, which `baekman cohort freeze` wrote.

    A freeze within a workspace, or with ``workspace`` named, has the consent, keys and audit log of that workspace; any
    other stands by itself. ``purpose`` is as for ``open_cohort``; a freeze has one ``snapshot``, without a number.
    ``engine`` runs exports, by default in this process.
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
    return FrozenCohort(freeze, purpose=purpose, engine=engine)


class FrozenCohort(Cohort):
    """A freeze, read like a cohort. Its call rows are those of the tables: ``joint_copies``, ``af`` and others too.

    Its views are ``sites``, ``calls``, ``reference``, ``participants`` and ``contigs``. Methods that need a cohort
    store raise InputRefused.
    """

    _access: FreezeAccess

    def __init__(self, freeze: reading.Freeze, *, purpose: str = "", engine: Engine | None = None) -> None:
        super().__init__(freeze.store, freeze.snapshot, engine=engine or Engine(), purpose=purpose)
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

    def genotypes(self, region: str | None = None, *, mode: str = "called") -> Iterator[GenotypeBlock]:
        """Return the genotypes of all participants as ``Cohort.genotypes`` does; a freeze needs no cohort store.

        Raises InputRefused for a freeze of an earlier version too, with the command that adds what it lacks.
        """
        where = self.store.parse_region(region) if region is not None else None
        without = self._access.left_out(self.snapshot)
        self._record("query", question=["genotypes", region, mode])
        return self._access.genotypes(region=where, mode=mode, without=without)

    def export(
        self,
        output: Location,
        *,
        format: str,
        region: str | None = None,
        mode: str = "called",
        by_position: bool = False,
        **only: Unpack[Only],
    ) -> None:
        """Write the freeze as one multi-sample file: that of ``Cohort.export`` of the snapshot that was frozen.

        The evidence lies next to ``output`` until the end. Raises InputRefused for a freeze of an earlier version too,
        with the command that adds what it lacks.
        """
        from baekman.export.selection import Selection
        from baekman.export.write import check_output, export
        from baekman.freezes.unpacked import require_evidence, unpacked

        part = Selection(region=region, mode=mode, by_position=by_position, **only)
        self._access.require_named(part.participants)
        self._record("export", question=part.question())
        require_evidence(self.freeze_folder)
        target = Path(output)
        check_output(format, target)
        without = self._access.left_out(self.snapshot)
        people = self._access.people(without=without, participants=part.participants)
        content = part.content_of(self.store, is_part=people.num_rows < self.freeze_folder.frozen)
        folder = work_of(target, [self.freeze_folder.identity, people.column("participant_id"), content])
        options: dict[str, Any] = {"people": people, "shards": content.shards_of(self.store), "engine": self.engine}
        with unpacked(self.freeze_folder, folder=folder, **options) as (store, snapshot):
            export(
                store,
                snapshot,
                format=format,
                output=target,
                content=content,
                engine=self.engine,
                before_output=partial(self._access.require_unchanged, self.snapshot, without),
            )

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


def work_of(output: Path, parts: Sequence[object]) -> Path:
    """Return the folder of unfinished work for ``output``, by the digest of the ``parts`` that its content depends on.

    A column of Arrow counts by its values.
    """
    total = hashlib.sha256()
    for part in parts:
        for chunk in part.chunks if isinstance(part, pa.ChunkedArray) else [part]:
            total.update(repr(chunk.to_pylist() if isinstance(chunk, pa.Array) else chunk).encode())
    return output.absolute().with_name(f".{output.name}.{total.hexdigest()[:12]}.freeze")
