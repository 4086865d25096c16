"""Answers from a cohort store: the sites of a region, counts by group, call rows, or SQL over the views."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from baekman import pseudonyms
from baekman.annotation.stored import NEXT_STEP, require_annotated
from baekman.cohort.index import find_batches
from baekman.cohort.snapshot import Snapshot, no_snapshot, reading
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem
from baekman.genome.regions import Region
from baekman.query.genotypes import genotype_blocks
from baekman.query.groups import count_groups
from baekman.query.own_tables import described
from baekman.query.question import (
    EVERY_ALLELE,
    Allele,
    Question,
    alleles_at,
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
from baekman.query.read_only import only_reads, reads_only_tables
from baekman.query.views import (
    ANNOTATED,
    CALLED_IN_JOINS,
    VIEW_NAMES,
    Part,
    connect,
    connect_table,
    require_whole,
    view_names,
    views_in,
)
from baekman.tables.dataset import table_dataset
from baekman.tables.keys import open_keys

SHOWN_ALLELES = 8
_SUGGESTION = re.compile(r' Did you mean "([^"]*)"\?')
_ABSENT = re.compile(r'No files found that match the pattern "([^"]*)"')
_SHOW_TABLES = re.compile(r"\s*(SHOW\s+(ALL\s+)?TABLES|DESCRIBE|PRAGMA\s+show_tables)\s*;?\s*", re.IGNORECASE)


def batch_of(store: Store, snapshot: Snapshot, participant: str) -> str:
    """Return the batch that holds a participant; raises InputRefused when the snapshot has no such participant."""
    batches = find_batches(store, [participant], at=snapshot)
    if participant not in batches:
        raise InputRefused(
            Problem(
                file="--participant",
                expected="a participant of the cohort",
                found=pseudonyms.slip(participant, "P") or f"no participant of that ID in snapshot {snapshot.number}",
                action='`--sql "SELECT participant_id FROM participants"` lists those that it has',
            )
        )
    return batches[participant]


def listed_views(sql: str, views: Sequence[str]) -> duckdb.DuckDBPyRelation | None:
    """Return the names of the ``views`` if ``sql`` is ``SHOW TABLES``; a connection has internal tables too."""
    if not _SHOW_TABLES.fullmatch(sql):
        return None
    return duckdb.connect().from_arrow(pa.table({"name": list(views)}))


def check_sql(
    sql: str, *, views_only: bool = False, views: Sequence[str] = VIEW_NAMES, functions: Sequence[str] = ()
) -> None:
    """Raise InputRefused for SQL that is not exactly one statement that only reads, in its CTEs too.

    ``views_only``: it may read nothing but the ``views``, since files hold participants who are left out, and call no
    table function but ``functions`` and those that make rows of values.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise refused_sql(error, views=views) from None
    if len(statements) != 1 or not only_reads(statements[0]):
        raise InputRefused(
            Problem(
                file="--sql",
                expected=f"one SELECT over the views {_listed(views)}",
                found=f"{len(statements)} statements" if len(statements) != 1 else "a statement of another kind",
            )
        )
    if views_only and not reads_only_tables(statements[0], names=views, functions=functions):
        raise InputRefused(
            Problem(
                file="--sql",
                expected=f"one SELECT over the views {_listed(views)}",
                found="another table, file or table function",
                action="read from the views; "
                + ", ".join([*functions, "unnest"])
                + ", range and generate_series may be used too",
            )
        )


def refused_sql(
    error: duckdb.Error, *, views: Sequence[str] = VIEW_NAMES, columns: str = "", by: bool = False
) -> InputRefused:
    """Return the refusal of SQL that DuckDB cannot run, or of columns that are counted ``by``.

    ``columns`` are those of tables of one's own.
    """
    if "sites" in str(error) and 'column named "called"' in str(error):
        columns = f"with calls or reference, `called` of sites is {CALLED_IN_JOINS}"
    found = " ".join(str(error).partition("Candidate functions:")[0].split())
    found = _SUGGESTION.sub(lambda match: match[0] if match[1] in views else "", found)  # tables may be internal
    option, expected = ("--by", "columns of your tables") if by else ("--sql", f"SQL over the views {_listed(views)}")
    return InputRefused(Problem(file=option, expected=expected, found=found, action=columns))


def _listed(views: Sequence[str]) -> str:
    return f"{', '.join(views[:-1])} and {views[-1]}"


@contextmanager
def ask(
    store: Store, snapshot: Snapshot, question: Question, *, without: frozenset[str] = frozenset()
) -> Iterator[duckdb.DuckDBPyRelation]:
    """Yield the answer to ``question`` as a DuckDB relation, which is evaluated as its rows are read in the block.

    The participants ``without`` are left out; sites count them. The caller refuses a question about one of them.

    Columns of call rows are those of the view ``calls``, or of schema TABLE with ``question.tables``; those of sites
    are ``SITE_COLUMNS``. Positions are 1-based.

    Raises:
        InputRefused: the cohort has no batch yet, the participant or the table is not there, the SQL does not run or
            does more than read, or the snapshot was deleted by a withdrawal or a compaction while it was read
            (SnapshotGone), or the answer does not keep within ``question.limits``.
    """
    if question.tables is not None and question.participant is not None:
        with _finished_table(store, question) as relation:
            yield relation
        return
    views = (*view_names(store, snapshot), *(table.name for table in question.own))
    if question.needs_annotations:
        require_annotated(store, snapshot)
    if question.sql is not None:
        if (names := listed_views(question.sql, views)) is not None:
            yield names
            return
        check_sql(question.sql, views_only=bool(without), views=views)
    columns = ""
    try:
        # DuckDB reports a deleted file as one that it may not read
        with reading(store, snapshot, missing=duckdb.Error):
            plan = _plan(store, snapshot, question)
            if snapshot.number == 0 and _needs_batch(store, question):
                raise no_snapshot()
            options: dict[str, Any] = {"limits": question.limits, "without": without, "own": question.own}
            with (
                connect(store, snapshot, part=plan.part, **options) as connection,
                question.limits.enforced(connection),
            ):
                columns = described(connection, question.own)
                require_whole(store, snapshot, plan.reads, part=plan.part)
                if plan.allele is not None:
                    require_allele(connection, plan.allele, of=f"snapshot {snapshot.number}")
                if question.by:
                    genotypes = genotype_blocks(
                        store, snapshot, region=plan.region, without=without, alleles=plan.alleles
                    )
                    counts = count_groups(connection, genotypes, question, types=partial(registered_types, store))
                    yield connection.sql(plan.statement) if plan.statement else counts
                else:
                    yield connection.sql(plan.statement)
    except duckdb.Error as error:
        if absent := _ABSENT.search(str(error)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), absent[1]) from None
        if ANNOTATED not in views and ANNOTATED in str(error):
            columns = NEXT_STEP
        raise refused_sql(error, views=views, columns=columns, by=bool(question.by)) from None


def _needs_batch(store: Store, question: Question) -> bool:
    """Return whether ``question`` reads a view, or counts that need no registry where there is none."""
    if question.sql is not None:
        return bool(views_in(question.sql))
    return not ("type" in question.by and store.is_bare)


def _alleles(store: Store, snapshot: Snapshot, question: Question, region: Region | None) -> pa.Table:
    """Return the alleles (of the region) with the gene and the rsID of ``question``.

    Raises InputRefused when there is none: the name may be mistyped.
    """
    part = Part(shards=store.shards_in(region), batches=[])
    with (
        connect(store, snapshot, part=part, limits=question.limits) as connection,
        question.limits.enforced(connection),
    ):
        require_whole(store, snapshot, ANNOTATED, part=part)
        alleles: pa.Table = connection.sql(alleles_with(region, question)).to_arrow_table()
    if not alleles.num_rows:
        raise no_allele_with(question)
    return alleles


def no_allele_with(question: Question) -> InputRefused:
    """Return the refusal of the gene or rsID of ``question``, which no allele (of the region) has."""
    option, source = ("--gene", "annotate.genes") if question.gene is not None else ("--rsid", "annotate.rsids")
    return InputRefused(
        Problem(
            file=option,
            expected="one that an allele of the cohort has" + (" in the region" if question.region is not None else ""),
            found="none of that name",
            action=f"names are those of the file in {source}; only alleles of the cohort are annotated",
        )
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The ``statement`` that answers a question, and the ``part`` of the snapshot and the views that it ``reads``.

    ``allele`` is that of ``--carriers``; ``alleles`` are those of a gene or rsID, None for a question without one.
    """

    statement: str
    reads: str
    part: Part
    region: Region | None
    allele: Allele | None = None
    alleles: pa.Table | None = None


def _plan(store: Store, snapshot: Snapshot, question: Question) -> _Plan:
    contigs = [contig.name for contig in store.contigs]
    region = store.parse_region(question.region) if question.region is not None else None
    allele, alleles = None, None
    if question.names_annotation:
        alleles = _alleles(store, snapshot, question, region)
    batches: Sequence[str] | None = None
    reads = ""
    if question.sql is not None:
        statement = question.sql
    elif question.carriers == EVERY_ALLELE:
        statement = carriers_in(region, contigs=contigs, question=question)
    elif question.carriers is not None:
        allele = parse_allele(question.carriers, parse_region=store.parse_region)
        region = Region(allele.contig, allele.pos, allele.pos)
        statement, reads = carriers_of(allele), "sites"
    elif question.participant is not None:
        batches = [batch_of(store, snapshot, question.participant)]
        statement = calls_of(question.participant, region, contigs=contigs, question=question)
    elif question.by:
        statement, reads = "", "participants"
        if question.needs_annotations:
            labels = label_columns(question.by)
            statement, reads = groups_in(labels, contigs=contigs, question=question), f"participants {ANNOTATED}"
    elif question.annotations:
        batches = []
        statement = annotations_in(region, contigs=contigs, question=question)
    else:
        batches = []  # sites are the snapshot's own
        statement = sites_in(region, contigs=contigs, question=question)
    part = Part(shards=shards_of(store, region, alleles), batches=batches, sql=question.sql or "")
    reads = f"{statement} {reads}"
    return _Plan(statement=statement, reads=reads, part=part, region=region, allele=allele, alleles=alleles)


def shards_of(store: Store, region: Region | None, alleles: pa.Table | None) -> list[int] | None:
    """Return the shards that a question reads: those of its alleles or of its region; None for all."""
    if alleles is None:
        return store.shards_in(region) if region is not None else None
    spans = alleles.group_by("contig").aggregate([("pos", "min"), ("pos", "max")]).to_pylist()
    regions = [Region(span["contig"], span["pos_min"], span["pos_max"]) for span in spans]
    return sorted({shard for each in regions for shard in store.shards_in(each)})


@contextmanager
def _finished_table(store: Store, question: Question) -> Iterator[duckdb.DuckDBPyRelation]:
    """Yield the rows of a participant's finished table."""
    assert question.tables is not None and question.participant is not None
    region = store.parse_region(question.region) if question.region is not None else None
    rows = table_dataset(question.tables, question.participant, region=region, keys=open_keys(store.workspace))
    contigs = [contig.name for contig in store.contigs]
    try:
        with connect_table(rows, limits=question.limits) as connection, question.limits.enforced(connection):
            yield connection.sql(calls_of(question.participant, region, contigs=contigs))
    except duckdb.Error as error:
        raise refused_sql(error) from None


def registered_types(store: Store, participants: Sequence[str]) -> Mapping[str, str]:
    """Return the registered types of ``participants``; raise InputRefused where the registry cannot be opened."""
    from baekman.registry.listing import types_of
    from baekman.registry.records import open_registry

    if store.is_bare:
        raise InputRefused(
            Problem(
                file="--by",
                place="type",
                expected="a cohort of a workspace, with its registry",
                found="a bare cohort",
                action="give the types in a table of your own: --with people.csv --by people.type",
            )
        )
    types: dict[str, str] = types_of(open_registry(store.workspace), participants)
    return types


def require_allele(connection: duckdb.DuckDBPyConnection, allele: Allele, *, of: str) -> None:
    """Raise InputRefused when no participant has evidence of ``allele``; ``of`` names the cohort."""
    alleles = connection.sql(alleles_at(allele)).fetchall()
    if (allele.ref, allele.alt) not in alleles:
        place = f"{allele.contig}:{allele.pos:,}"
        there = ", ".join(f"{ref}>{alt}" for ref, alt in alleles[:SHOWN_ALLELES])
        raise InputRefused(
            Problem(
                file="--carriers",
                expected=f"an allele of {of}, left-aligned and without common bases",
                found=f"none of that name at {place}: nobody carries it",
                action=f"alleles there are {there}" if there else "no allele begins there",
            )
        )
