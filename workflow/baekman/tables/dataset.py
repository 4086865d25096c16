"""Reading finished tables: a participant's as an Arrow table, everybody's as one data set."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from baekman import audit, pseudonyms
from baekman.arrow import noticing_damage
from baekman.cohort.schema import REFERENCE_TABLE, TABLE
from baekman.cohort.store import Store, open_store
from baekman.errors import InputRefused, Problem
from baekman.genome.contigs import Contig
from baekman.genome.regions import Region, parse_region
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.tables.files import REFERENCE, VARIANTS, require_layout, table_path, tables_folder
from baekman.tables.files import open_table as open_file
from baekman.tables.keys import TableKeys, is_encrypted, open_keys
from baekman.tables.owner import owner_of
from baekman.tables.seals import require_footer
from baekman.tables.snapshots import mixed_sentence
from baekman.workspace.denied import admission_of, audit_purpose
from baekman.workspace.identity import find_workspace, is_workspace
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
    purpose: str = "",
) -> pa.Table:
    """Return a participant's table, decrypted where the workspace has keys.

    The use is recorded in the audit log of the workspace, if it keeps one.

    Args:
        tables: the folder of the tables, such as ``W/tables`` or that of a freeze.
        participant: the participant ID.
        region: ``contig`` or ``contig:start-end``, 1-based, both ends included; else the whole genome.
        dataset: ``variants``, or ``reference`` for the blocks where the participant was seen to be reference.
        columns: names of columns; else all.
        workspace: the workspace that the tables belong to; default: that of their ID, else that they lie in.
        purpose: as for ``open_cohort``.

    Returns:
        A row per allele in the order of the genome (schema ``TABLE``; ``pos`` is 1-based, ``gq``, ``pl`` and
        ``joint_gq`` are phred), or a row per block (schema ``REFERENCE_TABLE``; ``start`` and ``end`` are 1-based and
        inclusive).

    Raises:
        InputRefused: the participant has no table there or no consent in force, or its key is missing.
        DamagedFile: the table has other bytes than were written.

    Example:
        >>> table = baekman.open_table("W/tables", "P000000000001K", "chr20:1-2,000")
        >>> table.select(["pos", "ref", "alt", "copies", "gq"]).to_pylist()
        [{'pos': 1001, 'ref': 'A', 'alt': 'T', 'copies': 1, 'gq': 50}]
    """
    chosen = [participant]
    rows = open_tables(
        tables, participants=chosen, region=region, dataset=dataset, workspace=workspace, purpose=purpose
    )
    with noticing_damage(table_path(tables_folder(Path(tables)), participant, dataset=dataset)):
        return rows.to_table(columns=None if columns is None else list(columns))


def open_tables(
    tables: str | PathLike[str],
    *,
    participants: Sequence[str] | None = None,
    region: str | None = None,
    dataset: Dataset = "variants",
    workspace: str | PathLike[str] | None = None,
    purpose: str = "",
) -> ds.Dataset:
    """Return the tables of ``participants``, else of everybody, as one pyarrow data set.

    No row is read before the data set is scanned. A scan opens the files of ``participants`` only, and reads the row
    groups (a shard each) that ``region`` touches. A filter on ``participant_id`` opens only the files of these
    participants too. ``polars.scan_pyarrow_dataset`` makes it a LazyFrame. A withdrawal destroys a participant's key;
    such tables are left out, unless ``participants`` names them. A warning counts the participants who are left out
    without consent in force. Another names the snapshots, where variants are of several: ``af`` and others differ.

    Arguments, columns and the audit log are as for ``open_table``.

    Raises:
        InputRefused: one of ``participants`` has no table or no consent in force, there are none at all, a key is
            missing, or the workspace of the tables is not found.

    Example:
        >>> dataset = baekman.open_tables("W/tables", region="chr20:1,001")
        >>> dataset.to_table(columns=["participant_id", "copies"]).to_pylist()
        [{'participant_id': 'P000000000001K', 'copies': 1}, {'participant_id': 'P000000000002N', 'copies': 2}]
        >>> import polars as pl
        >>> pl.scan_pyarrow_dataset(dataset).select(pl.col("copies").sum()).collect().item()
        3
    """
    folder = tables_folder(Path(tables))
    place = find_owner(folder, given=Path(workspace) if workspace is not None else None)
    wanted = _parse_region(region, place) if region is not None else None
    require_layout(folder)
    keys = open_keys(place.root) if place is not None else None
    admitted = admission_of(place, purpose=purpose)
    if participants is not None:
        admitted.require(participants, file="tables")
    paths = _paths(folder, dataset, participants, keys)
    shown = [path for path in paths if admitted.admits(path.stem)]
    if dataset == VARIANTS and (sentence := mixed_sentence(shown, keys=keys, store=_store_in(place))):
        warnings.warn(sentence, stacklevel=2)
    if left_out := len(paths) - len(shown):
        warnings.warn(f"{left_out} participants without consent in force are left out", stacklevel=2)
    named = participants is not None and all(pseudonyms.is_valid(participant, "P") for participant in participants)
    if place is not None:
        audit.record_use(
            place.root,
            action="query",
            object=",".join(participants) if participants is not None and named else "",
            purpose=audit_purpose(purpose),
            question=[region, dataset, participants],
        )
    fragments = list(_fragments(shown, dataset, wanted, keys))
    everything = ds.FileSystemDataset(fragments, SCHEMAS[dataset], ds.ParquetFileFormat(), pa_fs.LocalFileSystem())
    if wanted is None:
        return everything
    first, last = map(ds.field, BOUNDS[dataset])
    return everything.filter((ds.field("contig") == wanted.contig) & (last >= wanted.start) & (first <= wanted.end))


def table_dataset(folder: Path, participant: str, *, region: Region | None, keys: TableKeys | None) -> ds.Dataset:
    """Return a participant's table of variants: the row groups that ``region`` touches, else all.

    Raises:
        InputRefused: the participant has no table in ``folder``, or its key is missing.
    """
    return rows_of(folder, [participant], dataset=VARIANTS, region=region, keys=keys)


def rows_of(
    folder: Path,
    participants: Sequence[str],
    *,
    dataset: str,
    region: Region | None,
    keys: TableKeys | None,
    schema: pa.Schema | None = None,
) -> ds.Dataset:
    """Return the tables of ``participants`` in a ``dataset``: the row groups that ``region`` touches, else all.

    ``schema``: the columns to show, in place of those of SCHEMAS.

    Raises:
        InputRefused: a participant has no table in ``folder``, or its key is missing.
    """
    folder = tables_folder(folder)
    require_layout(folder)
    paths = _paths(folder, dataset, participants, keys)
    fragments = list(_fragments(paths, dataset, region, keys))
    return ds.FileSystemDataset(fragments, schema or SCHEMAS[dataset], ds.ParquetFileFormat(), pa_fs.LocalFileSystem())


def find_owner(folder: Path, *, given: Path | None = None) -> Workspace | None:
    """Return the workspace of the tables in ``folder``: that of their ID, else that they lie in; None without any.

    Raises:
        InputRefused: the workspace of their ID is not found, or ``given`` is another.
    """
    owner = owner_of(folder)
    root = find_workspace(folder, owner=owner, given=given)
    if root is None and not owner:  # a freeze within the workspace
        above = (*folder.absolute().parents, *folder.resolve().parents)
        root = next((parent for parent in above if is_workspace(parent)), None)
    return Workspace(root) if root is not None else None


def _paths(folder: Path, dataset: str, participants: Sequence[str] | None, keys: TableKeys | None) -> list[Path]:
    """Return the files of ``participants``, else of everybody with a key, by participant."""
    if participants is None:
        paths = sorted((folder / dataset).glob("*/*.parquet"), key=lambda path: path.name)
        readable = [path for path in paths if keys is None or keys.has(path.stem) or not is_encrypted(path)]
        if not readable:
            found, advice = "none", f"give the folder that has {dataset}/, as W/tables"
            if paths:
                found, advice = "none that can be read", "name the workspace that has their keys, as workspace='W'"
            raise InputRefused(Problem(file="tables", expected="tables", found=found, action=advice))
        return readable
    paths = [table_path(folder, participant, dataset=dataset) for participant in participants]
    for participant, path in zip(participants, paths, strict=True):
        if not PARTICIPANT_ID.fullmatch(participant) or not path.is_file():
            raise InputRefused(Problem(file="tables", expected="a table of this participant", found="none"))
    return paths


def _parse_region(text: str, workspace: Workspace | None) -> Region:
    """Return the region that a person writes, by the contigs of the workspace's cohort if it has one."""
    if (store := _store_in(workspace)) is not None:
        return store.parse_region(text)
    contig = re.sub(r":[\d,]+(-[\d,]*)?$", "", text)
    return parse_region(text, contigs=[Contig(name=contig, length=END_OF_CONTIG, m5="")], aliases={})


def _store_in(workspace: Workspace | None) -> Store | None:
    """Return the cohort of a workspace, if it has one."""
    if workspace is not None and (workspace.cohort / "store.json").is_file():
        return open_store(workspace.cohort)
    return None


def _fragments(paths: Sequence[Path], dataset: str, region: Region | None, keys: TableKeys | None) -> Iterator[Any]:
    """Yield a fragment for each file, with the row groups that ``region`` touches; none for a file without any."""
    plain = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    )
    filesystem = pa_fs.LocalFileSystem()
    for number, path in enumerate(paths):
        participant = path.stem
        require_footer(path, participant)
        groups = None
        if region is not None or (keys is None and number == 0):  # the first file shows that keys are missing
            with open_file(path, participant=participant, keys=keys) as file:
                if region is not None:
                    groups = row_groups_in(file.metadata, dataset, region)
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


def row_groups_in(metadata: pq.FileMetaData, dataset: str, region: Region) -> list[int]:
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
