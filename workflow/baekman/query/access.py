"""The access to a cohort for a purpose: who is left out, what the audit log notes, and whose store it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman import audit, pseudonyms
from baekman.cohort.index import excluded
from baekman.cohort.snapshot import Snapshot, numbers
from baekman.cohort.store import BATCH_NAME, Store, check_names
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.query.limits import Limits
from baekman.workspace.denied import (
    Admission,
    admission_of,
    audit_purpose,
    denied_hash,
    denied_participants,
    require_consent,
)
from baekman.workspace.identity import bind, identify
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from baekman.cohort.gvcf_list import Member
    from baekman.cohort.settings import BatchSettings
    from baekman.query.question import Question


class Access:
    """The access to ``store`` for ``purpose``. Consent is asked at each call, since it may end between two of them."""

    def __init__(self, store: Store, *, purpose: str) -> None:
        self.store = store
        self.purpose = purpose
        self.workspace = Workspace(store.workspace)
        self._connection: tuple[tuple[Snapshot, frozenset[str], Limits, str], duckdb.DuckDBPyConnection] | None = None

    @property
    def place(self) -> Path:
        """The store's path in its workspace, next to the configuration; of a bare store its own path."""
        return self.store.path if self.store.is_bare else self.workspace.cohort

    def admission(self) -> Admission:
        """Return whose data may be used now; of a bare store everybody's."""
        return admission_of(None if self.store.is_bare else self.workspace, purpose=self.purpose)

    def left_out(self, snapshot: Snapshot) -> frozenset[str]:
        """Return the participants of ``snapshot`` whose data may not be used now."""
        return excluded(self.store, self.admission(), at=snapshot)

    def require_unchanged(self, snapshot: Snapshot, without: frozenset[str]) -> None:
        """Raise InputRefused when the consent of a participant ended since ``without`` was read."""
        ended = self.left_out(snapshot) - without
        if ended:
            raise InputRefused(
                Problem(
                    file="cohort",
                    expected="consent that stays in force while data are written",
                    found=f"{len(ended)} participants without it now; nothing was written",
                    action="run the same command again",
                )
            )

    def require_named(self, participants: Sequence[str] | None) -> None:
        """Raise InputRefused when the data of a participant in ``participants`` may not be used."""
        if participants is not None:
            self.admission().require(participants, file="participants")

    def record(self, action: str, *, object: str, question: Any = None, **hashes: str) -> None:
        """Record a use in the audit log of the workspace; a bare store has none."""
        if not self.store.is_bare:
            purpose = audit_purpose(self.purpose)
            audit.record_use(
                self.workspace.root, action=action, object=object, purpose=purpose, question=question, **hashes
            )

    def add(self, batch: str, gvcfs: Path, *, config: Path | None, now: bool, engine: Engine) -> Snapshot:
        """Record and add the batch of the list ``gvcfs``, or let it wait unless ``now``; return the latest snapshot.

        Raises InputRefused as ``add_or_wait`` does, and for a participant without consent in force.
        """
        from baekman.cohort.add import add_or_wait

        def change(members: Sequence[Member], settings: BatchSettings) -> Snapshot:
            return add_or_wait(
                self.store,
                batch=batch,
                members=members,
                settings=replace(settings, least=1) if now else settings,
                engine=engine,
                denied=partial(denied_participants, self.workspace),
            )

        return self._change("cohort.add", batch, gvcfs, config=config, engine=engine, change=change)

    def replace(self, batch: str, gvcfs: Path, *, config: Path | None, engine: Engine) -> Snapshot:
        """Record and replace the gVCFs of the participants in the list ``gvcfs``; return the latest snapshot.

        Raises InputRefused as ``replace_batch`` does, and for a participant without consent in force.
        """
        from baekman.cohort.rewrite import replace_batch

        def change(members: Sequence[Member], settings: BatchSettings) -> Snapshot:
            return replace_batch(self.store, batch=batch, members=members, settings=settings, engine=engine)

        return self._change("cohort.replace", batch, gvcfs, config=config, engine=engine, change=change)

    def _change(
        self,
        action: str,
        batch: str,
        gvcfs: Path,
        *,
        config: Path | None,
        engine: Engine,
        change: Callable[[Sequence[Member], BatchSettings], Snapshot],
    ) -> Snapshot:
        """Record ``action`` and make the ``change`` with the members of a list; leave out who is denied at its end."""
        from baekman.cohort.gvcf_list import read_members
        from baekman.cohort.settings import batch_settings

        members = read_members(gvcfs)
        self.leave_denied(batch, engine=engine)  # of a command that was killed
        require_consent(self.workspace, [member.participant_id for member in members], file="list of gVCFs")
        settings = batch_settings(self.store, config, place=self.place)
        check_names([batch], kind="--batch", pattern=BATCH_NAME)
        self.record(action, object=batch, consent_hash=denied_hash(self.workspace))
        changed = change(members, settings)
        return self.leave_denied(batch, engine=engine) or changed

    def leave_denied(self, batch: str, *, engine: Engine) -> Snapshot | None:
        """Take the members of ``batch`` who are denied now out of it; return the new snapshot, None without any.

        Their consent ended while the batch was added, also by a command that was killed.
        """
        from baekman.cohort.rewrite import in_batch, leave_batch

        denied = in_batch(self.store, denied_participants(self.workspace), batch=batch)
        if not denied:
            return None
        self.record("cohort.withdraw", object=",".join(denied))
        return leave_batch(self.store, denied, batch=batch, engine=engine)

    def withdraw(self, participants: Sequence[str], *, engine: Engine) -> Snapshot:
        """Record and take ``participants`` out of the cohort and of the tables next to it; return the snapshot."""
        from baekman.cohort import rewrite
        from baekman.tables.keys import open_keys
        from baekman.tables.make import withdraw_tables

        open_keys(self.store.workspace)  # others' encrypted tables may have to be written again
        self.record("cohort.withdraw", object=",".join(participants))
        snapshot = rewrite.withdraw(self.store, participants, engine=engine)
        withdraw_tables(self.store, participants, engine=engine)
        return snapshot

    def verify(self, gvcfs: Path | None, *, config: Path | None, engine: Engine) -> list[str]:
        """Record and verify the store, then compare it with the list ``gvcfs``; return a line per finding."""
        from baekman.annotation.stored import damaged_annotations
        from baekman.cohort.gvcf_list import read_members
        from baekman.cohort.settings import batch_settings
        from baekman.cohort.verify.gvcfs import compare_gvcfs
        from baekman.cohort.verify.whole import verify
        from baekman.relatedness.stored import damaged_relatedness

        members = read_members(gvcfs) if gvcfs else []
        self.record("cohort.verify", object=str(max(numbers(self.store), default=0)))
        findings = [
            *verify(self.store, engine=engine),
            *damaged_annotations(self.store),
            *damaged_relatedness(self.store),
        ]
        if not findings and members:
            settings = batch_settings(self.store, config, place=self.place)
            findings = compare_gvcfs(self.store, members, rules=settings.rules, engine=engine)
        return findings

    def write_freeze(self, output: Path, *, engine: Engine) -> Snapshot:
        """Write a freeze of the latest snapshot to ``output`` as ``freezes.freeze`` does; each attempt is recorded."""
        from baekman.freezes.freeze import freeze

        options: dict[str, Any] = {"purpose": self.purpose, "engine": engine, "record": self.record_freeze}
        return freeze(self.store, output=output, types=self._types, **options)

    def _types(self, participants: Sequence[str]) -> dict[str, str]:
        """Return the registered types of participants; none where the registry or its key is not at hand."""
        if self.store.is_bare:
            return {}
        from baekman.registry.listing import types_of
        from baekman.registry.records import open_registry

        try:
            return types_of(open_registry(self.workspace.root), participants)
        except InputRefused:
            return {}

    def record_freeze(self, snapshot: Snapshot) -> None:
        """Record a freeze of ``snapshot``, with the hashes of its content and of the consent in force."""
        hashes = {"output_hash": snapshot.content, "consent_hash": denied_hash(self.workspace)}
        self.record("cohort.freeze", object=str(snapshot.number), **hashes)

    def admit(self, snapshot: Snapshot, question: Question) -> frozenset[str]:
        """Record ``question`` and return the participants that its answer leaves out.

        Raises:
            InputRefused: The question is about a participant whose data may not be used.
        """
        participant = question.participant
        self.require_named([participant] if participant is not None else None)
        shown = participant if participant and pseudonyms.is_valid(participant, "P") else str(snapshot.number)
        without = self.left_out(snapshot) if question.is_of_everyone else frozenset()
        more = [text for text in (question.carriers, question.gene, question.rsid, *question.by) if text is not None]
        self.record("query", object=shown, question=[question.region, participant, question.sql, *more])
        return without

    def sql(self, snapshot: Snapshot, query: str, *, limits: Limits | None = None) -> duckdb.DuckDBPyRelation:
        """Return the answer to one SELECT over the views of ``snapshot``; its evaluation keeps within ``limits``.

        Raises:
            InputRefused: The SQL does not run, or does more than read the views.
        """
        import duckdb

        from baekman.query.ask import check_sql, listed_views, refused_sql
        from baekman.query.views import Part, connect, require_whole, site_columns, view_names

        views = view_names(self.store, snapshot)
        if (names := listed_views(query, views)) is not None:
            return names
        without = self.left_out(snapshot)
        check_sql(query, views_only=bool(without), views=views)
        self.record("query", object=str(snapshot.number), question=[None, None, query])
        wanted = (snapshot, without, limits or Limits(), site_columns(query))
        if self._connection is None or self._connection[0] != wanted:
            options: dict[str, Any] = {"part": Part(sql=query), "limits": wanted[2], "without": without}
            self._connection = (wanted, connect(self.store, snapshot, **options, watched=True))
        try:
            require_whole(self.store, snapshot, query)
            return self._connection[1].sql(query)
        except duckdb.Error as error:
            raise refused_sql(error) from None

    def scan(self, snapshot: Snapshot, view: str) -> pl.LazyFrame:
        """Return a view of ``snapshot`` as a Polars LazyFrame; raise InputRefused for an unknown view."""
        from baekman.query.views import check_view, view_names

        name = check_view(view, names=view_names(self.store, snapshot))
        frame: pl.LazyFrame = self.sql(snapshot, f"SELECT * FROM {name}").pl(lazy=True)
        return frame

    def write_tables(
        self, snapshot: Snapshot, output: Path, participants: Sequence[str] | None, *, engine: Engine
    ) -> int:
        """Record and write the tables of ``participants`` (else of everyone) as ``make_admitted_tables`` does."""
        from baekman.tables.make import make_admitted_tables

        self.adopt()
        self.require_named(participants)
        self.record("tables", object=str(snapshot.number), question=participants)
        left_out = partial(self.left_out, snapshot)
        return make_admitted_tables(
            self.store, snapshot, output=output, chosen=participants, left_out=left_out, engine=engine
        )

    def adopt(self) -> Store:
        """Give the store the ID of the workspace that it lies in, if it has none; return the store."""
        if not self.store.is_bare and not self.store.owner:
            owner = identify(self.workspace)
            bind(self.store.path, owner)
            self.store = replace(self.store, owner=owner)
        return self.store
