"""Questions to the cohort: the sites of a region, what a participant carries, or SQL over the views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from baekman.cohort.index import find_batches
from baekman.cohort.schema import SITES
from baekman.cohort.snapshot import Snapshot, reading
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem
from baekman.genome.regions import Region
from baekman.query.limits import Limits
from baekman.query.read_only import only_reads, reads_only_tables
from baekman.query.views import VIEW_NAMES, connect, connect_table, require_whole
from baekman.tables.dataset import table_dataset
from baekman.tables.keys import open_keys

# without the sums that only the next snapshot needs
SITE_COLUMNS = tuple(
    name
    for name in SITES.names
    if not name.startswith(("gq_", "uncalled_", "missing_"))
    and name not in ("qual_sum", "dp_sum", "dp_n", "ad_ref_het", "ad_alt_het", "weight")
)


# columns that fit into a terminal of 80 columns, of sites and of a participant's rows
SHORT_SITES = ("contig", "pos", "ref", "alt", "ac", "an", "af", "filter")
SHORT_CALLS = ("contig", "pos", "ref", "alt", "copies", "ploidy", "gq", "dp", "called", "filter")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question: ``sql``; or else a participant's call rows, in ``region`` if there is one; or else the sites.

    ``region`` is text as a person writes it. ``tables`` is a folder of finished tables, of a freeze too: then the
    participant's rows are those of the table.
    """

    region: str | None = None
    participant: str | None = None
    sql: str | None = None
    tables: Path | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def shows_sites(self) -> bool:
        """Return whether the answer may have sites, which count the whole cohort."""
        return self.participant is None

    @property
    def short_columns(self) -> Sequence[str]:
        """Return the columns that suffice on a terminal; none where the question names its own."""
        if self.sql is not None:
            return ()
        return SHORT_SITES if self.shows_sites else SHORT_CALLS


def sites_in(region: Region | None, *, contigs: Sequence[str]) -> str:
    """Return SQL for the alleles with their POS in ``region``, else for all, in the order of ``contigs``."""
    where = f"WHERE {_within(region)} " if region is not None else ""
    return f"SELECT {', '.join(SITE_COLUMNS)} FROM sites {where}{_in_order(contigs)}"


def calls_of(participant: str, region: Region | None, *, contigs: Sequence[str]) -> str:
    """Return SQL for a participant's call rows, in ``region`` if there is one, in the order of ``contigs``."""
    where = f"participant_id = {_quoted(participant)}"
    if region is not None:
        where += f" AND {_within(region)}"
    return f"SELECT * FROM calls WHERE {where} {_in_order(contigs)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _within(region: Region) -> str:
    return f"contig = {_quoted(region.contig)} AND pos BETWEEN {region.start} AND {region.end}"


def _in_order(contigs: Sequence[str]) -> str:
    names = ", ".join(map(_quoted, contigs))
    return f"ORDER BY list_position([{names}], contig), pos, ref, alt"


def batch_of(store: Store, snapshot: Snapshot, participant: str) -> str:
    """Return the batch that holds a participant; raises InputRefused when the snapshot has no such participant."""
    batches = find_batches(store, [participant], at=snapshot)
    if participant not in batches:
        raise InputRefused(
            Problem(
                file="--participant",
                expected="a participant of the cohort",
                found=f"no participant of that ID in snapshot {snapshot.number}",
            )
        )
    return batches[participant]


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


def refused_sql(error: duckdb.Error, *, views: Sequence[str] = VIEW_NAMES) -> InputRefused:
    """Return the refusal of SQL that DuckDB cannot run."""
    return InputRefused(
        Problem(file="--sql", expected=f"SQL over the views {_listed(views)}", found=" ".join(str(error).split()))
    )


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
        InputRefused: the participant or the table is not there, the SQL does not run or does more than read, or the
            snapshot was deleted by a withdrawal or a compaction while it was read (SnapshotGone), or the answer does
            not keep within ``question.limits``.
    """
    contigs = [contig.name for contig in store.contigs]
    region = store.parse_region(question.region) if question.region is not None else None
    participant = question.participant
    if question.tables is not None and participant is not None:
        rows = table_dataset(question.tables, participant, region=region, keys=open_keys(store.workspace))
        try:
            with (
                connect_table(rows, limits=question.limits) as connection,
                question.limits.enforced(connection),
            ):
                yield connection.sql(calls_of(participant, region, contigs=contigs))
        except duckdb.Error as error:
            raise refused_sql(error) from None
        return
    batches: Sequence[str] | None = None
    if question.sql is not None:
        check_sql(question.sql, views_only=bool(without))
        statement = question.sql
    elif participant is not None:
        batches = [batch_of(store, snapshot, participant)]
        statement = calls_of(participant, region, contigs=contigs)
    else:
        batches = []  # sites are the snapshot's own
        statement = sites_in(region, contigs=contigs)
    shards = store.shards_in(region) if region is not None else None
    try:
        # DuckDB reports a deleted file as one that it may not read
        with (
            reading(store, snapshot, missing=duckdb.Error),
            connect(
                store, snapshot, shards=shards, batches=batches, limits=question.limits, without=without
            ) as connection,
            question.limits.enforced(connection),
        ):
            require_whole(store, snapshot, statement, shards=shards, batches=batches)
            yield connection.sql(statement)
    except duckdb.Error as error:
        raise refused_sql(error) from None
