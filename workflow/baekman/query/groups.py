"""Counts of alleles in groups of participants: by sex, batch, registered type, or a column of a table of one's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baekman.errors import InputRefused, Problem
from baekman.query.genotypes import GenotypeBlock
from baekman.query.own_tables import PARTICIPANT, OwnTable
from baekman.query.question import Question, label_columns
from baekman.query.safe_columns import quoted

LABELS = ("sex", "type", "batch")
UNKNOWN = "unknown"
OPTION = "--by"
MOST_GROUPS = 1000
COUNTS = ("ac", "an", "af", "carriers", "called", "participants")
Types = Callable[[Sequence[str]], Mapping[str, str]]


def count_groups(
    connection: duckdb.DuckDBPyConnection,
    genotypes: Iterable[GenotypeBlock],
    question: Question,
    *,
    types: Types | None,
) -> duckdb.DuckDBPyRelation:
    """Return a row per allele and group, in the order of the genome and of the groups' labels.

    Columns: ``contig pos ref alt``, the labels, then counts of called genotypes: ``ac`` and ``an`` (copies of the
    allele and of all), ``af`` (null where ``an`` is 0), ``carriers``, ``called``, and ``participants`` of the group.
    ``types`` returns the registered types of participants; None where the view ``participants`` has them.
    The counts lie in the memory of ``connection``.

    Raises:
        InputRefused: A label is unknown, a table of one's own names a participant twice, there are too many groups, or
            the counts take longer than the limit of time.
    """
    labels = _labels(connection, question, types=types)
    names = label_columns(question.by)
    keys, group = _groups(labels)
    created, began = False, time.monotonic()
    for block in genotypes:
        question.limits.require_time(began)
        rows = _rows(block, labels=keys, group=_of_columns(block.participants, labels, group), names=names)
        connection.register("block", rows)
        action = "INSERT INTO group_counts" if created else "CREATE TABLE group_counts AS"
        connection.execute(f"{action} SELECT * FROM block")
        connection.unregister("block")
        created = True
    if not created:
        kinds = [("contig", pa.string()), ("pos", pa.int32()), ("ref", pa.string()), ("alt", pa.string())]
        kinds += [(name, pa.string()) for name in names]
        kinds += [(name, pa.float64() if name == "af" else pa.int64()) for name in COUNTS]
        connection.register("group_counts", pa.schema(kinds).empty_table())
    return connection.sql("SELECT * FROM group_counts")


def _labels(connection: duckdb.DuckDBPyConnection, question: Question, *, types: Types | None) -> pa.Table:
    """Return a row per participant, by ID: ``participant_id`` and a text for each label of the question."""
    columns = [_column(name, question.own) for name in question.by]
    joins = [_joined(connection, table) for table in question.own if any(t is table for t, _ in columns)]
    texts = [
        f"{quoted(table.name)}.{quoted(name)}"
        if table
        else "NULL"
        if name == "type" and types is not None
        else f"participants.{name}"
        for table, name in columns
    ]
    shown = ", ".join(
        f"coalesce(nullif({text}::VARCHAR, ''), '{UNKNOWN}') AS label_{number}" for number, text in enumerate(texts)
    )
    people = connection.sql(
        f"SELECT participants.{PARTICIPANT}, {shown} FROM participants {' '.join(joins)} ORDER BY 1"
    ).to_arrow_table()
    for number, (table, name) in enumerate(columns):
        if table is None and name == "type" and types is not None:
            ids = people.column(PARTICIPANT).to_pylist()
            known = types(ids)
            values = pa.array([known.get(participant, UNKNOWN) for participant in ids], pa.string())
            people = people.set_column(number + 1, f"label_{number}", values)
    return people


def _column(text: str, own: Sequence[OwnTable]) -> tuple[OwnTable | None, str]:
    """Return the table of one's own, if it is one, and the column that a label names."""
    if text in LABELS:
        return None, text
    name, _, column = text.partition(".")
    for table in own:
        if table.name == name and column:
            return table, column
    tables = "".join(f", {table.name}.COLUMN" for table in own)
    raise InputRefused(
        Problem(
            file=OPTION,
            expected=f"labels out of {', '.join(LABELS)}{tables}",
            found=repr(text),
            action="" if own else "a column of a table of your own is --with pheno.csv --by pheno.COLUMN",
        )
    )


def _joined(connection: duckdb.DuckDBPyConnection, table: OwnTable) -> str:
    """Return SQL that joins a table of one's own; refuse one that names a participant twice."""
    name = quoted(table.name)
    ((twice,),) = connection.sql(f"SELECT count({PARTICIPANT}) - count(DISTINCT {PARTICIPANT}) FROM {name}").fetchall()
    if twice:
        raise InputRefused(
            Problem(
                file=table.file.name,
                place=PARTICIPANT,
                expected=f"each participant once, for {OPTION}",
                found=f"{twice} more rows of the same participants",
                action="keep one row for each participant",
            )
        )
    return f"LEFT JOIN {name} ON {name}.{PARTICIPANT} = participants.{PARTICIPANT}"


def _groups(labels: pa.Table) -> tuple[list[tuple[str, ...]], npt.NDArray[np.int64]]:
    """Return the labels of each group, sorted, and the group of each row of ``labels``."""
    texts = [column.to_pylist() for column in labels.columns[1:]]
    rows = list(zip(*texts, strict=True))
    keys = sorted(set(rows))
    if len(keys) > MOST_GROUPS:
        raise InputRefused(
            Problem(
                file=OPTION,
                expected=f"at most {MOST_GROUPS} groups",
                found=f"{len(keys)}",
                action="group by columns with few values",
            )
        )
    number = {key: place for place, key in enumerate(keys)}
    return keys, np.array([number[row] for row in rows], np.int64)


def _of_columns(participants: pa.StringArray, labels: pa.Table, group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the group of each participant of a block."""
    places = pc.index_in(participants, labels.column(PARTICIPANT).combine_chunks())
    columns: npt.NDArray[np.int64] = group[places.to_numpy(zero_copy_only=False).astype(np.int64)]
    return columns


def _rows(
    block: GenotypeBlock, *, labels: Sequence[tuple[str, ...]], group: npt.NDArray[np.int64], names: Sequence[str]
) -> pa.Table:
    """Return the rows of the alleles of a block: each allele with every group."""
    shown = block.copies >= 0
    counts = np.zeros((5, len(block.copies), len(labels)), np.int64)
    for number in range(len(labels)):
        own = group == number
        copies, ploidy, called = block.copies[:, own], block.ploidy[:, own], shown[:, own]
        counts[0, :, number] = np.where(called, copies, 0).sum(axis=1, dtype=np.int64)
        counts[1, :, number] = np.where(called, ploidy, 0).sum(axis=1, dtype=np.int64)
        counts[2, :, number] = (copies > 0).sum(axis=1)
        counts[3, :, number] = called.sum(axis=1)
        counts[4, :, number] = own.sum()
    ac, an, carriers, called_people, people = (values.reshape(-1) for values in counts)
    af = pa.array(ac / np.maximum(an, 1), mask=an == 0)
    repeated = pa.array(np.repeat(np.arange(len(block.copies)), len(labels)))
    groups = pa.array(np.tile(np.arange(len(labels)), len(block.copies)))
    alleles = block.sites.select(["contig", "pos", "ref", "alt"]).take(repeated)
    table = {name: alleles.column(name) for name in alleles.column_names}
    for place, name in enumerate(names):
        table[name] = pa.array([label[place] for label in labels], pa.string()).take(groups)
    return pa.table({**table, **dict(zip(COUNTS, (ac, an, af, carriers, called_people, people), strict=True))})
