"""Reading a freeze: its description, its participants and its files.

A freeze of an earlier version has ``sites/`` and ``tables/`` alone. It is read too; ``Freeze.missing`` names what it
lacks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from baekman.arrow import equals, read_parquet
from baekman.cohort.schema import FROZEN_TABLES, SCHEMA_VERSION
from baekman.cohort.snapshot import BatchEntry, Snapshot
from baekman.cohort.store import Store, described_store
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.digests import LIST, read_sealed
from baekman.freezes.files import (
    CONTIGS,
    CONTIGS_FILE,
    DICTIONARY_FILE,
    PARTICIPANTS,
    PARTICIPANTS_FILE,
    README_FILE,
    SETTINGS_FILE,
    SHARDS_FILE,
    SUMS_FILE,
    require_summed,
)
from baekman.freezes.folder import ANNOTATIONS, EVIDENCE, SITES, TABLES, is_freeze
from baekman.genome.contigs import Contig
from baekman.genome.regions import Region
from baekman.gvcf.thresholds import GvcfRules, Thresholds
from baekman.tables.dataset import END_OF_CONTIG, rows_of
from baekman.tables.files import VARIANTS
from baekman.tables.keys import TableKeys, is_encrypted

# the files of a freeze; one of an earlier version may lack any of them
NAMES = (
    *(LIST, SUMS_FILE, README_FILE, DICTIONARY_FILE),
    *(PARTICIPANTS_FILE, CONTIGS_FILE, SHARDS_FILE, SETTINGS_FILE),
)


IDS_AT_A_TIME = 10_000


@dataclass(frozen=True)
class Freeze:
    """A finished freeze in the folder ``path``. Open it with ``open_freeze``.

    ``store``: its contigs, shards and settings, as those of the cohort store that it was made from. ``identity``: the
    digests of its participants and settings. ``missing``: the files that a freeze of an earlier version lacks.
    ``left``: the number of participants who were withdrawn since it was written. ``has_evidence``: whether its tables
    have all of the evidence, for exports and genotypes of everyone.
    """

    path: Path
    store: Store
    identity: dict[str, str]
    missing: tuple[str, ...] = ()
    left: int = 0
    has_evidence: bool = False

    @property
    def tables(self) -> Path:
        """Return the folder of the tables."""
        return self.path / TABLES

    @property
    def notes(self) -> list[str]:
        """Return sentences on the files that a freeze of an earlier version lacks, and on withdrawals since."""
        sentences = []
        if self.missing:
            absent, again = ", ".join(self.missing), "`baekman cohort freeze` into its folder adds them"
            sentences.append(f"a freeze of an earlier version, without {absent}; {again}")
        if not self.missing and not self.has_evidence:
            sentences.append(
                "a freeze of an earlier version, without all evidence in its tables, for `export` and `query --by`; "
                "`baekman cohort freeze` into its folder adds it"
            )
        if self.left:
            people = "1 participant was" if self.left == 1 else f"{self.left} participants were"
            sentences.append(f"{people} withdrawn since it was written: sites and frequencies still count them")
        return sentences

    @property
    def frozen(self) -> int:
        """Return the number of participants whom the sites count."""
        return int(self.participants().num_rows) + self.left

    @property
    def has_list(self) -> bool:
        """Return whether the freeze has the digests of its files."""
        return LIST not in self.missing

    @property
    def snapshot(self) -> Snapshot:
        """Return the participants as one batch of a snapshot without a number."""
        people = self.participants()
        females = sum(int(equals(chunk.fill_null(""), "female").sum()) for chunk in people.column("sex").chunks)
        digest = self.identity.get("snapshot") or "0"
        entry = BatchEntry(name="freeze", participants=people.num_rows, digest=digest, females=females)
        return Snapshot(number=0, batches=(entry,))

    def site_files(self, region: Region | None = None) -> list[str]:
        """Return the files of sites that ``region`` touches, else all, in the order of the genome, by their paths."""
        if region is None or not self.store.shards:
            return [f"{SITES}/{path.name}" for path in sorted((self.path / SITES).glob("*.parquet"))]
        if not self.frozen:  # of an empty cohort, which has no sites
            return []
        return [f"{SITES}/{self.store.shards[shard].name}.parquet" for shard in self.store.shards_in(region)]

    @property
    def is_annotated(self) -> bool:
        """Return whether the freeze has annotations."""
        return (self.path / ANNOTATIONS).is_dir()

    def annotation_files(self, region: Region | None = None) -> list[str]:
        """Return the files of annotations, as ``site_files`` does those of sites; none without annotations."""
        if not self.is_annotated:
            return []
        return [f"{ANNOTATIONS}/{Path(name).name}" for name in self.site_files(region)]

    @cached_property
    def _participants(self) -> pa.Table:
        if PARTICIPANTS_FILE in self.missing:
            ids = sorted(path.stem for path in self.tables.glob(f"{VARIANTS}/*/*.parquet"))
            columns = [pa.array(ids, pa.string()), *(pa.nulls(len(ids), pa.string()) for _ in range(3))]
            return pa.Table.from_arrays(columns, schema=PARTICIPANTS)
        require_summed(self.path, PARTICIPANTS_FILE)
        return read_parquet(self.path / PARTICIPANTS_FILE).replace_schema_metadata(None)

    def participants(self) -> pa.Table:
        """Return a row for each participant (schema PARTICIPANTS), by ID.

        A freeze of an earlier version has the IDs alone. Raises DamagedFile for other bytes than were written.
        """
        return self._participants

    def contigs(self) -> pa.Table:
        """Return the contigs of the reference in their order (schema CONTIGS); length and M5 are null where unknown."""
        contigs = self.store.contigs
        lengths = [contig.length if contig.length < END_OF_CONTIG else None for contig in contigs]
        names, sums = [contig.name for contig in contigs], [contig.m5 or None for contig in contigs]
        return pa.table([names, pa.array(lengths, pa.int64()), pa.array(sums, pa.string())], schema=CONTIGS)

    def rows(
        self, dataset: str, participants: Sequence[str], *, keys: TableKeys | None, region: Region | None = None
    ) -> ds.Dataset:
        """Return the tables of ``participants``: ``variants`` (schema TABLE) or ``reference`` (REFERENCE_TABLE).

        Variants have ``flags`` too where the freeze has all evidence.

        Only the row groups that ``region`` touches are read. Tables with a destroyed key are left out.

        Raises:
            InputRefused: A participant has no table there, or the keys of encrypted tables are missing.
        """
        if keys is not None:
            participants = [name for name in participants if keys.has(name) or not self.is_encrypted]
        schema = FROZEN_TABLES[0] if dataset == VARIANTS and self.has_evidence else None
        return rows_of(self.tables, participants, dataset=dataset, region=region, keys=keys, schema=schema)

    @cached_property
    def is_encrypted(self) -> bool:
        """Return whether a table of the freeze is encrypted."""
        return any(is_encrypted(path) for path in self.tables.glob(f"{VARIANTS}/*/*.parquet"))


def open_freeze(path: Path, *, home: Path | None = None) -> Freeze:
    """Open the freeze in the folder ``path``; ``home`` is the workspace that it belongs to.

    Raises:
        InputRefused: There is no freeze, or its settings are damaged or of another version of the schema.
    """
    path = path.absolute()
    if not is_freeze(path):
        raise InputRefused(
            Problem(
                file=path.name,
                expected="a freeze: a folder with sites/ and tables/",
                found="none",
                action="name the folder that `baekman cohort freeze --output` wrote",
            )
        )
    missing = tuple(name for name in NAMES if not (path / name).is_file())
    try:
        noted = read_sealed(path / LIST)
        identity = {name: str(noted[name]) for name in ("snapshot", "settings")}
        left = left_since(noted)
    except FileNotFoundError:
        noted, identity, left = {}, {}, 0
    except (DamagedFile, KeyError):
        raise _damaged(LIST) from None
    if SETTINGS_FILE in missing:
        return Freeze(path, replace(_earlier_store(path), home=home), identity, missing, left)
    try:
        description = json.loads((path / SETTINGS_FILE).read_bytes())["store"]
        store = described_store(path, description)
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        raise _damaged(SETTINGS_FILE) from None
    has_evidence = not missing and noted.get("tables") == EVIDENCE
    return Freeze(path, replace(store, home=home), identity, missing, left, has_evidence)


def left_since(noted: Mapping[str, Any]) -> int:
    """Return the number of participants who were withdrawn since a freeze was written, by its list of digests."""
    return int(noted.get("frozen", noted["participants"])) - int(noted["participants"])


def _damaged(name: str) -> InputRefused:
    return InputRefused(
        Problem(
            file=name,
            expected="the file as `baekman cohort freeze` wrote it",
            found="something else",
            action="copy it again from the original, or write the freeze again with `baekman cohort freeze`",
        )
    )


def _earlier_store(path: Path) -> Store:
    """Return the description of a freeze of an earlier version, by its files of sites."""
    contigs = [Contig(name=name, length=END_OF_CONTIG, m5="") for name, _ in groupby(_contig_names(path))]
    metadata = next(iter(_metadata(path)), {})
    version = metadata.get("baekman.schema", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise InputRefused(
            Problem(
                file=SITES,
                expected=f"schema {SCHEMA_VERSION}",
                found=f"schema {version}",
                action="use the version of baekman that made this freeze",
            )
        )
    return Store(
        path=path,
        reference=metadata.get("baekman.reference", ""),
        contigs=tuple(contigs),
        shards=(),
        thresholds=Thresholds(),
        rules=GvcfRules(),
        par_regions=(),
    )


def _contig_names(path: Path) -> Iterator[str]:
    for file in sorted((path / SITES).glob("*.parquet")):
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(1, columns=["contig"]):
                yield str(batch.column(0)[0].as_py())
                break


def _metadata(path: Path) -> Iterator[dict[str, Any]]:
    for file in sorted((path / SITES).glob("*.parquet")):
        metadata = pq.read_schema(file).metadata or {}
        yield {key.decode(): value.decode() for key, value in metadata.items()}


def each_id(participants: pa.Table) -> Iterator[str]:
    """Yield the IDs of a table of participants, in its order; no list of all of them is made."""
    for batch in participants.select(["participant_id"]).to_batches(max_chunksize=IDS_AT_A_TIME):
        yield from batch.column(0).to_pylist()


def ids_of(participants: pa.Table) -> list[str]:
    """Return the IDs of a table of participants, in its order."""
    ids: list[str] = participants.column("participant_id").to_pylist()
    return ids
