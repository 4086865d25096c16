"""Reading finished tables: a participant's as an Arrow table, everybody's as one data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from baekman import audit, pseudonyms
from baekman.cohort.schema import REFERENCE_TABLE, TABLE
from baekman.cohort.store import open_store
from baekman.errors import InputRefused, Problem
from baekman.genome.contigs import Contig
from baekman.genome.regions import Region, parse_region
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.tables.files import REFERENCE, VARIANTS, require_layout, table_path
from baekman.tables.files import open_table as open_file
from baekman.tables.keys import TableKeys, is_encrypted, open_keys
from baekman.workspace.paths import Workspace

Dataset = Literal["variants", "reference"]
SCHEMAS = {VARIANTS: TABLE, REFERENCE: REFERENCE_TABLE}
BOUNDS = {VARIANTS: ("pos", "pos"), REFERENCE: ("start", "end")}  # the columns that say where a row lies
END_OF_CONTIG = (1 << 31) - 1


def open_table(
    tables: str | PathLike[str],
    participant: str,
    region: str | None = None,
    *,
    dataset: Dataset = "variants",
    columns: Sequence[str] | None = None,
    workspace: str | PathLike[str] | None = None,
) -> pa.Table:
    """Return a participant's table, decrypted where the workspace has keys.

    The use is recorded in the audit log of the workspace, if it keeps one.

    Args:
        tables: the folder of the tables, such as ``W/tables`` or that of a freeze.
        participant: the participant ID.
        region: ``contig`` or ``contig:start-end``, 1-based, both ends included; else the whole genome.
        dataset: ``variants``, or ``reference`` for the blocks where the participant was seen to be reference.
        columns: names of columns; else all.
        workspace: the folder with ``table_keys`` and ``audit``; default: the folder that ``tables`` lies in.

    Returns:
        A row per allele in the order of the genome (schema ``TABLE``; ``pos`` is 1-based, ``gq``, ``pl`` and
        ``joint_gq`` are phred), or a row per block (schema ``REFERENCE_TABLE``; ``start`` and ``end`` are 1-based and
        inclusive).

    Raises:
        InputRefused: the participant has no table there, or its key is missing.

    Example:
        >>> table = baekman.open_table("W/tables", "P000000000001K", "chr20:1-2,000")
        >>> table.select(["pos", "ref", "alt", "copies", "gq"]).to_pylist()
        [{'pos': 1001, 'ref': 'A', 'alt': 'T', 'copies': 1, 'gq': 50}]
    """
    rows = open_tables(tables, participants=[participant], region=region, dataset=dataset, workspace=workspace)
    return rows.to_table(columns=None if columns is None else list(columns))


def open_tables(
    tables: str | PathLike[str],
    *,
    participants: Sequence[str] | None = None,
    region: str | None = None,
    dataset: Dataset = "variants",
    workspace: str | PathLike[str] | None = None,
) -> ds.Dataset:
    """Return the tables of ``participants``, else of everybody, as one pyarrow data set.

    No row is read before the data set is scanned. A scan opens the files of ``participants`` only, and reads the row
    groups (a shard each) that ``region`` touches. A filter on ``participant_id`` opens only the files of these
    participants too. ``polars.scan_pyarrow_dataset`` makes it a LazyFrame. A withdrawal destroys a participant's key;
    such tables are left out, unless ``participants`` names them.

    Arguments, columns and the audit log are as for ``open_table``.

    Raises:
        InputRefused: one of ``participants`` has no table, there are none at all, or a key is missing.

    Example:
        >>> dataset = baekman.open_tables("W/tables", region="chr20:1,001")
        >>> dataset.to_table(columns=["participant_id", "copies"]).to_pylist()
        [{'participant_id': 'P000000000001K', 'copies': 1}, {'participant_id': 'P000000000002N', 'copies': 2}]
        >>> import polars as pl
        >>> pl.scan_pyarrow_dataset(dataset).select(pl.col("copies").sum()).collect().item()
        3
    """
    folder = Path(tables)
    place = Workspace(Path(workspace) if workspace is not None else folder.absolute().parent)
    wanted = _parse_region(region, place) if region is not None else None
    require_layout(folder)
    keys = open_keys(place.root)
    paths = _paths(folder, dataset, participants, keys)
    named = participants is not None and all(pseudonyms.is_valid(participant, "P") for participant in participants)
    audit.record_use(
        place.root,
        action="query",
        object=",".join(participants) if participants is not None and named else "",
        question=[region, dataset, participants],
    )
    fragments = list(_fragments(paths, dataset, wanted, keys))
    everything = ds.FileSystemDataset(fragments, SCHEMAS[dataset], ds.ParquetFileFormat(), pa_fs.LocalFileSystem())
    if wanted is None:
        return everything
    first, last = BOUNDS[dataset]
    inside = (ds.field(last) >= wanted.start) & (ds.field(first) <= wanted.end)
    return everything.filter((ds.field("contig") == wanted.contig) & inside)


def _paths(folder: Path, dataset: str, participants: Sequence[str] | None, keys: TableKeys | None) -> list[Path]:
    """Return the files of ``participants``, else of everybody with a key, by participant."""
    if participants is None:
        paths = sorted((folder / dataset).glob("*/*.parquet"), key=lambda path: path.name)
        readable = [path for path in paths if keys is None or keys.has(path.stem) or not is_encrypted(path)]
        if not readable:
            raise InputRefused(
                Problem(file="tables", expected="tables", found="none that can be read" if paths else "none")
            )
        return readable
    paths = [table_path(folder, participant, dataset=dataset) for participant in participants]
    for participant, path in zip(participants, paths, strict=True):
        if not PARTICIPANT_ID.fullmatch(participant) or not path.is_file():
            raise InputRefused(Problem(file="tables", expected="a table of this participant", found="none"))
    return paths


def _parse_region(text: str, workspace: Workspace) -> Region:
    """Return the region that a person writes, by the contigs of the workspace's cohort if it has one."""
    if (workspace.cohort / "store.json").is_file():
        return open_store(workspace.cohort).parse_region(text)
    contig = re.sub(r":[\d,]+(-[\d,]*)?$", "", text)
    return parse_region(text, contigs=[Contig(name=contig, length=END_OF_CONTIG, m5="")], aliases={})


def _fragments(paths: Sequence[Path], dataset: str, region: Region | None, keys: TableKeys | None) -> Iterator[Any]:
    """Yield a fragment for each file, with the row groups that ``region`` touches; none for a file without any."""
    plain = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    )
    filesystem = pa_fs.LocalFileSystem()
    for number, path in enumerate(paths):
        participant = path.stem
        groups = None
        if region is not None or (keys is None and number == 0):  # the first file shows that keys are missing
            with open_file(path, participant=participant, keys=keys) as file:
                if region is not None:
                    groups = _row_groups(file.metadata, dataset, region)
        if groups == []:
            continue
        kind = plain
        if keys is not None and is_encrypted(path):
            options = ds.ParquetFragmentScanOptions(
                decryption_properties=keys.decryption(participant), page_checksum_verification=True
            )
            kind = ds.ParquetFileFormat(default_fragment_scan_options=options)
        own = ds.field("participant_id") == participant
        yield kind.make_fragment(str(path), filesystem, partition_expression=own, row_groups=groups)


def _row_groups(metadata: pq.FileMetaData, dataset: str, region: Region) -> list[int]:
    """Return the row groups with a row in ``region`` by their statistics; Arrow itself has none for dictionaries."""
    names = metadata.schema.names
    contig, first, last = (names.index(name) for name in ("contig", *BOUNDS[dataset]))
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        contigs, firsts, lasts = (group.column(column).statistics for column in (contig, first, last))
        if contigs.min <= region.contig <= contigs.max and firsts.min <= region.end and lasts.max >= region.start:
            groups.append(number)
    return groups
