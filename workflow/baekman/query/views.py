"""SQL views over the files of one snapshot, or over one finished table: read-only, and closed to everything else."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from baekman.annotation.schema import ANNOTATIONS
from baekman.annotation.stored import annotation_files, noted
from baekman.cohort.roster import ROSTER_FILE, read_roster
from baekman.cohort.schema import CALLS, FLAG_CALLED, FLAG_GENOTYPED, REFERENCE, ROSTER, SITES, STATE_CALLED
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem
from baekman.files.digests import require_listed
from baekman.genome.shards import Shard
from baekman.query.connection import bound, confine, fill
from baekman.query.limits import Limits
from baekman.query.own_tables import OwnTable, load

SCHEMAS = {"rosters": ROSTER, "calls": CALLS, "reference": REFERENCE, "sites": SITES, "annotations": ANNOTATIONS}
ANNOTATED = "annotations"  # the view of a snapshot that is annotated
VIEW_NAMES = ("sites", "calls", "reference", "participants")
# the files that each view reads
KINDS_OF = {
    "sites": ("sites",),
    "calls": ("calls", "rosters"),
    "reference": ("reference", "rosters"),
    "participants": ("rosters",),
    "members": ("rosters",),
    ANNOTATED: (ANNOTATED,),
}

# `called` of a site is a number of participants; `called` of a call row or block says whether this one is
CALLED_IN_JOINS = "called_participants"

# …/<batch>/roster.parquet and …/<batch>/<kind>/<shard>.parquet: a file's batch and shard are in its name
VIEWS = f"""
CREATE VIEW members AS SELECT *, split_part(filename, '/', -2) AS batch FROM {{rosters}}{{shown}};
CREATE VIEW participants AS SELECT * EXCLUDE (sample, filename) FROM members;
CREATE VIEW sites AS SELECT {{site_columns}} FROM {{sites}};
CREATE VIEW calls AS
SELECT r.participant_id, s.contig, c.pos, c.ref, c.alt, c.copies, c.ploidy, c.other,
  (c.flags & {FLAG_GENOTYPED}) <> 0 AS genotyped, (c.flags & {FLAG_CALLED}) <> 0 AS called,
  nullif(c.gq, -1) AS gq, nullif(c.dp, -1) AS dp, nullif(c.ad_ref, -1) AS ad_ref, nullif(c.ad_alt, -1) AS ad_alt,
  CASE WHEN c.pl_0 < 0 THEN NULL WHEN c.pl_2 < 0 THEN [c.pl_0, c.pl_1] ELSE [c.pl_0, c.pl_1, c.pl_2] END AS pl,
  c.phase, nullif(c.phase_set, -1) AS phase_set, n.name AS caller_filter
FROM {{calls}} AS c JOIN shards AS s ON s.name = parse_filename(c.filename, true)
JOIN members AS r ON r.batch = split_part(c.filename, '/', -3) AND r.sample = c.sample
LEFT JOIN caller_filters AS n ON n.batch = r.batch AND n.code = c.filter;
CREATE VIEW reference AS
SELECT r.participant_id, s.contig, c.start, c.start + c.length - 1 AS "end", c.gq, nullif(c.dp, -1) AS dp,
  c.ploidy, c.other, c.state = {STATE_CALLED} AS called
FROM {{reference}} AS c JOIN shards AS s ON s.name = parse_filename(c.filename, true)
JOIN members AS r ON r.batch = split_part(c.filename, '/', -3) AND r.sample = c.sample
"""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a snapshot that views read: ``shards`` (indices) and ``batches``; None: all of them.

    ``sql`` is the statement that reads the views, where a person wrote it (``site_columns``).
    """

    shards: Sequence[int] | None = None
    batches: Sequence[str] | None = None
    sql: str = ""


EVERYTHING = Part()


def view_names(store: Store, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the names of the views of a snapshot."""
    return (*VIEW_NAMES, ANNOTATED) if noted(store, snapshot) is not None else VIEW_NAMES


def check_view(name: str, *, names: Sequence[str] = VIEW_NAMES) -> str:
    """Return ``name`` if it is that of a view; raise InputRefused otherwise."""
    if name not in names:
        raise InputRefused(Problem(file="view", expected=f"one of {', '.join(names)}", found=repr(name)))
    return name


def connect(
    store: Store,
    snapshot: Snapshot,
    *,
    part: Part = EVERYTHING,
    limits: Limits | None = None,
    without: frozenset[str] = frozenset(),
    own: Sequence[OwnTable] = (),
    watched: bool = False,
) -> duckdb.DuckDBPyConnection:
    """Open the views ``sites``, ``calls``, ``reference``, ``participants`` of a snapshot, and ``annotations`` if any.

    The connection can read the snapshot's files and nothing else, and ``ask.check_sql`` keeps statements that write
    from it. ``part`` narrows what the views read; ``limits`` bound memory and disk, and time too if the connection is
    ``watched``. The participants ``without`` are in no view but ``sites``, which counts them. The tables ``own`` are
    copied. A file is opened when a query needs it; duckdb.Error then reports a missing file.
    """
    names = _batch_names(snapshot, part)
    tiles = _tiles(store, part)
    files = {
        kind: [folder / name for folder, some in listed.items() for name in some]
        for kind, listed in _files(store, snapshot, part).items()
    }
    caller_filters = [
        (name, code, text) for name in names for code, text in enumerate(read_roster(store, name)[1], start=1)
    ]
    connection = duckdb.connect()
    fill(connection, "shards", ("name", "contig"), ((tile.name, tile.contig) for tile in tiles))
    fill(connection, "caller_filters", ("batch", "code", "name"), caller_filters)
    sources = {}
    for kind, paths in files.items():
        nothing = SCHEMAS[kind].append(pa.field("filename", pa.string())).empty_table()
        connection.register(f"no_{kind}", nothing)
        quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        sources[kind] = f"read_parquet([{quoted}], filename = true)" if paths else f"no_{kind}"
    shown = ""
    if without:
        table = f"left_out_{uuid.uuid4().hex}"  # no SQL of a user can name it
        fill(connection, table, ("participant_id",), ((participant,) for participant in sorted(without)))
        shown = f" ANTI JOIN {table} USING (participant_id)"
    connection.execute(VIEWS.format(**sources, shown=shown, site_columns=site_columns(part.sql)))
    if files[ANNOTATED]:
        connection.execute(
            f"CREATE VIEW {ANNOTATED} AS SELECT {', '.join(ANNOTATIONS.names)} FROM {sources[ANNOTATED]}"
        )
    bound(connection, limits=limits)
    load(connection, own, listed="SELECT participant_id FROM participants")
    confine(connection, [path for paths in files.values() for path in paths], limits=limits, watched=watched)
    return connection


def views_in(sql: str) -> list[str]:
    """Return the views that ``sql`` may read: those that it names, all where a function or an escape may name one."""
    if re.search(r"\bquery|parquet|U&", sql, re.IGNORECASE):
        return list(KINDS_OF)
    return [view for view in KINDS_OF if re.search(rf"\b{view}\b", sql, re.IGNORECASE)]


def site_columns(sql: str) -> str:
    """Return the columns of the view ``sites`` in ``sql``: those of the files, under the same names.

    Where ``sql`` reads call rows or blocks too, which have a ``called`` of their own, that of the sites is
    ``called_participants``: so each column of a join has one name. The same where ``sql`` has that name.
    """
    is_join = {"calls", "reference"}.intersection(views_in(sql)) or CALLED_IN_JOINS in sql.lower()
    names = {"called": f"called AS {CALLED_IN_JOINS}"} if is_join else {}
    return ", ".join(names.get(name, name) for name in SITES.names)


def require_whole(store: Store, snapshot: Snapshot, sql: str, *, part: Part = EVERYTHING) -> None:
    """Compare the files that ``sql`` reads with their digests, since DuckDB does not notice a changed byte.

    ``part`` is as for ``connect``. Raises DamagedFile for a file with other bytes than were written.
    """
    files = _files(store, snapshot, part)
    for kind in sorted({kind for view in views_in(sql) for kind in KINDS_OF[view]}):
        for folder, names in files[kind].items():
            if names:  # none of an empty cohort
                require_listed(folder, names)


def _batch_names(snapshot: Snapshot, part: Part) -> list[str]:
    return [entry.name for entry in snapshot.batches if part.batches is None or entry.name in part.batches]


def _tiles(store: Store, part: Part) -> list[Shard]:
    return [store.shards[shard] for shard in (range(len(store.shards)) if part.shards is None else part.shards)]


def _files(store: Store, snapshot: Snapshot, part: Part) -> dict[str, dict[Path, list[str]]]:
    """Return the files of each kind: names by the folder that lists their digests."""
    tiles, batches = _tiles(store, part), _batch_names(snapshot, part)
    shards = range(len(store.shards)) if part.shards is None else part.shards
    return {
        "rosters": {store.batch(batch): [ROSTER_FILE] for batch in batches},
        **{
            kind: {store.batch(batch): [f"{kind}/{tile.name}.parquet" for tile in tiles] for batch in batches}
            for kind in ("calls", "reference")
        },
        ANNOTATED: annotation_files(store, snapshot, shards),
        "sites": {store.sites(snapshot.number): [f"{tile.name}.parquet" for tile in tiles if snapshot.number]},
    }


def connect_table(rows: ds.Dataset, *, limits: Limits) -> duckdb.DuckDBPyConnection:
    """Open a participant's finished table as the view ``calls``; nothing else can be read."""
    connection = connect_nothing(limits=limits)
    connection.register("calls", rows)
    return connection


def connect_nothing(*, limits: Limits) -> duckdb.DuckDBPyConnection:
    """Open a connection without views, which can read no file; rows that do not fit in memory lie in its own folder."""
    connection = duckdb.connect()
    bound(connection, limits=limits)
    connection.execute("SET enable_external_access = false")
    return connection
