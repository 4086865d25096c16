"""Questions to a freeze: the views of its files, and the access to them for a purpose."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baekman import pseudonyms
from baekman.annotation.schema import ANNOTATIONS
from baekman.cohort.dense_genotypes import mode_number
from baekman.cohort.schema import FLAG_GENOTYPED
from baekman.cohort.snapshot import Snapshot
from baekman.errors import InputRefused, Problem
from baekman.files.digests import require_listed
from baekman.freezes.folder import SITES
from baekman.freezes.reading import Freeze, ids_of
from baekman.freezes.unpacked import require_evidence, unpacked
from baekman.genome.regions import Region
from baekman.query.access import Access
from baekman.query.ask import check_sql, listed_views, no_allele_with, refused_sql, require_allele, shards_of
from baekman.query.connection import bound, confine
from baekman.query.genotypes import GenotypeBlock, genotype_blocks
from baekman.query.groups import count_groups
from baekman.query.limits import Limits
from baekman.query.own_tables import described, load
from baekman.query.question import (
    EVERY_ALLELE,
    Question,
    alleles_with,
    annotations_in,
    calls_of,
    carriers_in,
    carriers_of,
    groups_in,
    label_columns,
    parse_allele,
    sites_in,
)
from baekman.query.views import ANNOTATED, site_columns, views_in
from baekman.tables.files import REFERENCE, VARIANTS
from baekman.tables.keys import open_keys
from baekman.tables.members import require_members

if TYPE_CHECKING:
    import polars as pl

# without those that need a cohort store alone
VIEW_NAMES = ("sites", "calls", "reference", "participants", "contigs")
DATASETS = {"calls": VARIANTS, "reference": REFERENCE}


class FreezeAccess(Access):
    """The access to ``freeze`` for ``purpose``; consent is that of the workspace that it lies in, or that was named."""

    def __init__(self, freeze: Freeze, *, purpose: str) -> None:
        super().__init__(freeze.store, purpose=purpose)
        self.freeze = freeze

    def left_out(self, snapshot: Snapshot) -> frozenset[str]:
        """Return the participants of the freeze whose data may not be used now."""
        admission, ids = self.admission(), self.freeze.participants().column("participant_id")
        refused = _is_in(ids, admission.denied)
        if admission.granted is not None:
            refused = pc.or_(refused, pc.invert(_is_in(ids, admission.granted)))
        return frozenset(ids.filter(refused).to_pylist())

    def people(self, *, without: frozenset[str], participants: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of the participants of the freeze except those ``without``: of ``participants``, else all.

        A participant with a destroyed key is left out.

        Raises:
            InputRefused: One of ``participants`` is not in the freeze, or there is none.
        """
        people = self.freeze.participants()
        if participants is not None:
            chosen = people.filter(_is_in(people.column("participant_id"), participants))
            require_members(participants, known=set(chosen.column("participant_id").to_pylist()), of="the freeze")
            people = chosen
        if without:
            people = people.filter(pc.invert(_is_in(people.column("participant_id"), without)))
        keys = None if self.store.is_bare else open_keys(self.store.workspace)
        if keys is not None and self.freeze.is_encrypted:
            readable = (keys.has(participant.as_py()) for participant in people.column("participant_id"))
            people = people.filter(pa.array(np.fromiter(readable, np.bool_, people.num_rows)))
        return people

    def genotypes(
        self,
        *,
        region: Region | None,
        mode: str = "called",
        without: frozenset[str],
        alleles: pa.Table | None = None,
    ) -> Iterator[GenotypeBlock]:
        """Return the genotypes of all participants except those ``without``, as ``query.genotypes`` does.

        The evidence of the region lies in a temporary folder until the last block.

        Raises:
            InputRefused: ``mode`` is unknown, or the freeze is of an earlier version.
        """
        mode_number(mode)
        require_evidence(self.freeze)
        return self._blocks(self.people(without=without), region=region, mode=mode, alleles=alleles)

    def _blocks(
        self, people: pa.Table, *, region: Region | None, mode: str, alleles: pa.Table | None
    ) -> Iterator[GenotypeBlock]:
        with tempfile.TemporaryDirectory(prefix="baekman-") as place:
            shards = shards_of(self.store, region, alleles) or self.store.shards_in(region)
            with unpacked(self.freeze, people=people, shards=shards, folder=Path(place) / "store") as (store, snapshot):
                yield from genotype_blocks(store, snapshot, region=region, mode=mode, alleles=alleles)

    def sql(self, snapshot: Snapshot, query: str, *, limits: Limits | None = None) -> duckdb.DuckDBPyRelation:
        """Return the answer to one SELECT over the views; its evaluation keeps within ``limits``.

        Raises:
            InputRefused: The SQL does not run, or does more than read the views.
        """
        if (names := listed_views(query, self.views)) is not None:
            return names
        without = self.left_out(snapshot)
        check_sql(query, views_only=bool(without), views=self.views)
        self.record("query", object=str(snapshot.number), question=[None, None, query])
        question = Question(sql=query, limits=limits or Limits())
        connection = self.connect(self._views_in(query), question=question, without=without, watched=True)
        try:
            return connection.sql(query)
        except duckdb.Error as error:
            raise refused_sql(error, views=self.views) from None

    def scan(self, snapshot: Snapshot, view: str) -> pl.LazyFrame:
        """Return a view as a Polars LazyFrame; raise InputRefused for an unknown view."""
        if view not in self.views:
            raise InputRefused(Problem(file="view", expected=f"one of {', '.join(self.views)}", found=repr(view)))
        frame: pl.LazyFrame = self.sql(snapshot, f"SELECT * FROM {view}").pl(lazy=True)
        return frame

    @contextmanager
    def ask(self, question: Question, *, without: frozenset[str]) -> Iterator[duckdb.DuckDBPyRelation]:
        """Yield the answer to ``question`` as a DuckDB relation, which is evaluated as its rows are read in the block.

        The participants ``without`` are left out; sites count them. Columns of call rows are those of schema TABLE.

        Raises:
            InputRefused: The participant is not in the freeze, the SQL does not run or does more than read, or the
                answer does not keep within ``question.limits``.
        """
        names = (*self.views, *(table.name for table in question.own))
        if question.sql is not None and (listed := listed_views(question.sql, names)) is not None:
            yield listed
            return
        contigs = [contig.name for contig in self.store.contigs]
        region = self.store.parse_region(question.region) if question.region is not None else None
        allele, alleles = None, None
        if question.needs_annotations:
            self._require_annotations()
        if question.names_annotation:
            alleles = self._alleles(question, region)
        if question.sql is not None:
            check_sql(question.sql, views_only=bool(without), views=names)
            statement, views = question.sql, self._views_in(question.sql)
        elif question.carriers == EVERY_ALLELE:
            statement, views = carriers_in(region, contigs=contigs, question=question), ["calls", "participants"]
        elif question.carriers is not None:
            allele = parse_allele(question.carriers, parse_region=self.store.parse_region)
            region = Region(allele.contig, allele.pos, allele.pos)
            statement, views = carriers_of(allele), ["calls", "participants", "sites"]
        elif question.participant is not None:
            self.require_member(question.participant)
            statement, views = calls_of(question.participant, region, contigs=contigs, question=question), ["calls"]
        elif question.by:
            labels = label_columns(question.by)
            statement, views = groups_in(labels, contigs=contigs, question=question), ["participants"]
        elif question.annotations:
            statement, views = annotations_in(region, contigs=contigs, question=question), []
        else:
            statement, views = sites_in(region, contigs=contigs, question=question), ["sites"]
        if question.needs_annotations:
            views.append(ANNOTATED)
        columns = ""
        try:
            connection = self.connect(views, question=question, without=without, region=region)
            with connection, question.limits.enforced(connection):
                columns = described(connection, question.own)
                if allele is not None:
                    require_allele(connection, allele, of="the freeze")
                if question.by:
                    genotypes = self.genotypes(region=region, without=without, alleles=alleles)
                    counts = count_groups(connection, genotypes, question, types=None)
                    yield connection.sql(statement) if question.needs_annotations else counts
                else:
                    yield connection.sql(statement)
        except duckdb.Error as error:
            raise refused_sql(error, views=names, columns=columns, by=bool(question.by)) from None

    def _require_annotations(self) -> None:
        """Raise InputRefused for a freeze without annotations."""
        if not self.freeze.is_annotated:
            raise InputRefused(
                Problem(
                    file=self.freeze.path.name,
                    expected="annotations in the freeze",
                    found="none",
                    action="annotate the cohort (`baekman cohort annotate`); then `baekman cohort freeze` of the same "
                    "participants into this folder adds them",
                )
            )

    def _alleles(self, question: Question, region: Region | None) -> pa.Table:
        """Return the alleles (of the region) with the gene and the rsID of ``question``; refuse it without any."""
        asked = replace(question, own=(), participant=None)
        with self.connect([ANNOTATED], question=asked, without=frozenset(), region=region) as connection:
            alleles: pa.Table = connection.sql(alleles_with(region, question)).to_arrow_table()
        if not alleles.num_rows:
            raise no_allele_with(question)
        return alleles

    @property
    def views(self) -> tuple[str, ...]:
        """The names of the views."""
        return (*VIEW_NAMES, ANNOTATED) if self.freeze.is_annotated else VIEW_NAMES

    def _views_in(self, sql: str) -> list[str]:
        """Return the views of the freeze that ``sql`` may read."""
        names = set(views_in(sql))
        return [name for name in self.views if name in names or name == "contigs"]

    def _connect_files(
        self, connection: duckdb.DuckDBPyConnection, view: str, *, question: Question, region: Region | None
    ) -> list[Path]:
        """Open the view of sites or annotations, after their digests are compared; return the files."""
        freeze = self.freeze
        names = freeze.site_files(region) if view == SITES else freeze.annotation_files(region)
        if freeze.has_list:
            require_listed(freeze.path, names)
        paths = [freeze.path / name for name in names]
        quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        source = f"read_parquet([{quoted}])" if paths else f"no_{view}"
        if not paths:
            connection.register(source, _no_rows(view))
        columns = site_columns(question.sql or "") if view == SITES else ", ".join(ANNOTATIONS.names)
        connection.execute(f"CREATE VIEW {view} AS SELECT {columns} FROM {source}")
        return paths

    def has_member(self, participant: str) -> bool:
        """Return whether a participant is in the freeze."""
        return bool(pc.any(_is_in(self.freeze.participants().column("participant_id"), [participant])).as_py())

    def require_member(self, participant: str) -> None:
        """Raise InputRefused for a participant who is not in the freeze."""
        if not self.has_member(participant):
            raise InputRefused(
                Problem(
                    file="--participant",
                    expected="a participant of the freeze",
                    found=pseudonyms.slip(participant, "P") or "no participant of that ID",
                    action='`--sql "SELECT participant_id FROM participants"` lists those that it has',
                )
            )

    def _columns(self, view: str, question: Question) -> str:
        """Return the SQL columns of a view of call rows or blocks."""
        if view != "calls":
            return "*"
        # `sites` has both: in SQL a join of calls and sites names each column once
        hidden = ["af", "filter"] if question.sql is not None else []
        if not self.freeze.has_evidence:
            return f"* EXCLUDE ({', '.join(hidden)})" if hidden else "*"
        return f"* EXCLUDE ({', '.join([*hidden, 'flags'])}), (flags & {FLAG_GENOTYPED}) <> 0 AS genotyped"

    def connect(
        self,
        views: Sequence[str],
        *,
        question: Question,
        without: frozenset[str],
        region: Region | None = None,
        watched: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """Open the ``views`` of the freeze, which can read its files and nothing else.

        ``region`` and the participant of ``question`` narrow what they read. Those ``without`` are in none but
        ``sites``, which counts them. Files of sites and participants are compared with their digests first, tables with
        their footers' and pages'. Raises DamagedFile for other bytes than were written.
        """
        freeze = self.freeze
        paths: list[Path] = []
        connection = duckdb.connect()
        bound(connection, limits=question.limits)
        people = freeze.participants()
        if without:
            people = people.filter(pc.invert(_is_in(people.column("participant_id"), without)))
        for view in views:
            if view in (SITES, ANNOTATED):
                paths += self._connect_files(connection, view, question=question, region=region)
            elif view in DATASETS:
                keys = open_keys(self.store.workspace)
                chosen = [question.participant] if question.participant is not None else ids_of(people)
                rows = freeze.rows(DATASETS[view], chosen, keys=keys, region=region)
                connection.register(f"{view}_rows", rows)
                connection.execute(f"CREATE VIEW {view} AS SELECT {self._columns(view, question)} FROM {view}_rows")
            elif view == "participants":
                connection.register(view, people)
            else:
                connection.register(view, freeze.contigs())
        ids = "SELECT participant_id FROM participants" if "participants" in views else None
        load(connection, question.own, listed=ids)
        confine(connection, paths, limits=question.limits, watched=watched)
        return connection


def _is_in(ids: pa.ChunkedArray, chosen: Collection[str]) -> pa.ChunkedArray:
    """Return whether each of ``ids`` is one of ``chosen``."""
    return pc.is_in(ids, pa.array(sorted(chosen), pa.string()))


def _no_rows(view: str) -> object:
    from baekman.cohort.schema import SITES as SITES_SCHEMA

    return (SITES_SCHEMA if view == SITES else ANNOTATIONS).empty_table()
