"""The files that describe a freeze: participants, contigs, shards, settings, dictionary, README and sums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baekman import __version__
from baekman.annotation.schema import ANNOTATIONS_COLUMNS
from baekman.arrow import allele_ranks, take, write_parquet
from baekman.cohort.commit import settings_text, sites_metadata
from baekman.cohort.roster import read_origins, read_roster
from baekman.cohort.schema import FROZEN_REFERENCE_COLUMNS, FROZEN_TABLE_COLUMNS, SITES_COLUMNS
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.columns import Column, Columns, dictionary, schema_of
from baekman.errors import DamagedFile
from baekman.files.atomic import atomic_file, write_text
from baekman.files.digests import read_sealed, sha256_of
from baekman.freezes.folder import ANNOTATIONS, SITES, TABLES
from baekman.genome.shards import format_shards
from baekman.tables.seals import DATASETS
from baekman.tables.seals import FOLDER as SEALS

PARTICIPANTS_FILE, CONTIGS_FILE, SHARDS_FILE = "participants.parquet", "contigs.tsv", "shards.tsv"
SETTINGS_FILE, DICTIONARY_FILE, README_FILE, SUMS_FILE = "settings.json", "dictionary.tsv", "README.md", "SHA256SUMS"
# those that follow from participants and settings alone, whatever the batches
DESCRIBING = (CONTIGS_FILE, SHARDS_FILE, SETTINGS_FILE, DICTIONARY_FILE, README_FILE)
TYPED = 10_000  # participants whose types are asked at once
Types = Callable[[Sequence[str]], Mapping[str, str]]  # the registered types of participants, of those that are known

PARTICIPANTS_COLUMNS: Columns = (
    Column("participant_id", pa.string(), "Pseudonymous ID; rows are sorted by it."),
    Column("sex", pa.string(), "Registered sex: `female`, `male` or `unknown`."),
    Column(
        "type", pa.string(), "Registered type: `rare`, `severe` or `general`.", "", "not known where it was written"
    ),
    Column("batch", pa.string(), "Batch that brought the participant's gVCF into the cohort; a delivery is one."),
)
CONTIGS_COLUMNS: Columns = (
    Column("contig", pa.string(), "Name in the reference; rows are in the reference's order."),
    Column("length", pa.int64(), "Number of bases.", "bp"),
    Column("m5", pa.string(), "MD5 of the upper-case bases, as M5 in SAM."),
)
SHARDS_COLUMNS: Columns = (
    Column("shard", pa.string(), "Name of the file of sites with the alleles of this stretch."),
    Column("contig", pa.string(), "Name of the contig."),
    Column("start", pa.int64(), "First position, 1-based.", "bp"),
    Column("end", pa.int64(), "Last position, inclusive.", "bp"),
)
FILES: Mapping[str, Columns] = {
    PARTICIPANTS_FILE: PARTICIPANTS_COLUMNS,
    CONTIGS_FILE: CONTIGS_COLUMNS,
    SHARDS_FILE: SHARDS_COLUMNS,
    f"{SITES}/*.parquet": SITES_COLUMNS,
    f"{ANNOTATIONS}/*.parquet": ANNOTATIONS_COLUMNS,
    f"{TABLES}/variants/*/*.parquet": FROZEN_TABLE_COLUMNS,
    f"{TABLES}/reference/*/*.parquet": FROZEN_REFERENCE_COLUMNS,
}
PARTICIPANTS = schema_of(PARTICIPANTS_COLUMNS)
CONTIGS = schema_of(CONTIGS_COLUMNS, nullable=True)
ROWS = ("sites", *DATASETS)
_ANNOTATED = """\
| `annotations/<shard>.parquet` | a row per allele: genes, consequences, rsID, ClinVar; `sources.json` names the files |
"""
_README = """\
# A freeze of a cohort

| | |
|---|---|
| participants | {participants} |
| alleles in `sites/` | {sites} |
| rows in `tables/variants/` | {variants} |
| reference blocks in `tables/reference/` | {reference_rows} |
| reference | {reference}, {contigs} contigs |
| digest of the participants (snapshot) | `{snapshot}` |
| digest of the settings | `{settings}` |
| written by | {software} |

All files are of one snapshot of the cohort: `af`, joint genotypes and filters in every table count the same
participants.

## Files

| File | Content |
|---|---|
| `participants.parquet` | a row per participant: ID, sex, type, batch |
| `sites/<shard>.parquet` | a row per allele: counts, frequencies, tests and filters |
{annotations}| `tables/variants/<bucket>/<ID>.parquet` | a participant's alleles, in the order of the genome |
| `tables/reference/<bucket>/<ID>.parquet` | the stretches where the participant was seen to be reference |
| `tables/hashes/<bucket>/<ID>.json` | digests of a participant's two tables |
| `dictionary.tsv` | each column of each file: type, unit, meaning of a null, description |
| `contigs.tsv` | the contigs of the reference with length and M5, in their order |
| `shards.tsv` | the stretch of the genome that each file of `sites/` has |
| `settings.json` | everything that the numbers depend on, next to the gVCFs |
| `hashes.json`, `SHA256SUMS` | digests of all files |

## The meaning of the numbers

- Positions are 1-based and ends inclusive. Alleles are split, left-aligned and decomposed.
- `ac`, `an` and `af` count called genotypes: GQ of at least {min_gq}, depth of at least {min_dp} and at least
  {min_het_percent} % of the reads for the weaker allele of a heterozygote. `ac_raw`, `an_raw` and `af_raw` count all.
- A participant without a row at an allele is reference only where a reference block covers the position. Without a
  block there is no coverage, and nothing is known.
- A site fails a filter with a call rate below {low_call_rate}, excess of heterozygotes over {excess_het} (phred),
  `qual` below {low_qual}, or a share of ALT reads below {low_allele_balance}; `AC0`: nobody is called with the allele.

## Reading

```console
baekman query --cohort . --region {region}
baekman export --cohort . --format bcf --output ../freeze.bcf
duckdb -c "SELECT filter, count(*) FROM 'sites/*.parquet' GROUP BY ALL"
python -c "import polars; print(polars.read_parquet('participants.parquet'))"
```

A call and its site are joined by `contig`, `pos`, `ref` and `alt`.

## Proof

```console
sha256sum --quiet -c SHA256SUMS
baekman verify --freeze .
```
"""


def describe(output: Path, store: Store, snapshot: Snapshot, *, rows: Mapping[str, int]) -> None:
    """Write the files ``DESCRIBING`` to the freeze ``output``; files that are there with the same bytes stay.

    ``rows``: as ``count_rows`` returns them.
    """
    texts = {
        CONTIGS_FILE: _contigs_text(store),
        SHARDS_FILE: format_shards(store.shards),
        SETTINGS_FILE: _settings(store, snapshot),
        DICTIONARY_FILE: dictionary_text(is_annotated=(output / ANNOTATIONS).is_dir()),
        README_FILE: _readme(store, snapshot, rows=rows, is_annotated=(output / ANNOTATIONS).is_dir()),
    }
    for name, text in texts.items():
        path = output / name
        if not (path.is_file() and path.read_bytes() == text.encode()):
            write_text(path, text)


def _contigs_text(store: Store) -> str:
    rows = [(each.name, str(each.length), each.m5) for each in store.contigs]
    return _lines([[each.name for each in CONTIGS_COLUMNS], *rows])


def dictionary_text(*, is_annotated: bool = True) -> str:
    """Return the data dictionary of a freeze: a line for each column of each kind of file, separated by tabs."""
    table = dictionary({name: FILES[name] for name in FILES if is_annotated or not name.startswith(f"{ANNOTATIONS}/")})
    names = ["file", *table.column_names[1:]]
    return _lines([names, *zip(*(column.to_pylist() for column in table.columns), strict=True)])


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def _settings(store: Store, snapshot: Snapshot) -> str:
    """Return the settings that sites and genotypes depend on; ``settings`` of the metadata is their digest."""
    description, filters = settings_text(store, snapshot)
    metadata = sites_metadata(store, snapshot)
    value = {
        "software": f"baekman {__version__}",
        "reference": store.reference,
        "participants": snapshot.participants,
        "snapshot": metadata["baekman.snapshot"],
        "settings": metadata["baekman.settings"],
        "site_filters": json.loads(filters),
        "store": json.loads(description),
    }
    return json.dumps(value, indent=1) + "\n"


def remove_parts(output: Path) -> None:
    """Delete what a killed command left of unfinished files in the folder of a freeze."""
    for path in output.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_participants(output: Path, store: Store, snapshot: Snapshot, *, types: Types) -> None:
    """Write the participants of a snapshot (schema PARTICIPANTS), sorted by ID."""
    parts = []
    for entry in snapshot.batches:
        roster, _ = read_roster(store, entry.name)
        columns = [roster.column(name).combine_chunks() for name in ("participant_id", "sex")]
        parts.append(
            pa.table([*columns, pa.array(read_origins(store, entry.name), pa.string())], names=["id", "sex", "batch"])
        )
    if not parts:
        write_parquet(PARTICIPANTS.empty_table(), output / PARTICIPANTS_FILE)
        return
    everyone = pa.concat_tables(parts).combine_chunks()
    ids = everyone.column("id").combine_chunks()
    everyone = take(everyone, np.argsort(allele_ranks(ids, ids), kind="stable"))
    ids = everyone.column("id").combine_chunks()
    kinds = pa.chunked_array(
        [_kinds(ids.slice(first, TYPED).to_pylist(), types) for first in range(0, len(ids), TYPED)], pa.string()
    )
    columns = [everyone.column("id"), everyone.column("sex"), kinds, everyone.column("batch")]
    write_parquet(pa.Table.from_arrays(columns, schema=PARTICIPANTS).combine_chunks(), output / PARTICIPANTS_FILE)


def _kinds(names: Sequence[str], types: Types) -> pa.Array:
    known = types(names)
    return pa.array([known.get(name) or None for name in names], pa.string())


def count_rows(output: Path, store: Store, snapshot: Snapshot) -> dict[str, int]:
    """Return the numbers of alleles in the sites of ``output``, and of rows of both tables, which the rosters count."""
    counts = dict.fromkeys(ROWS, 0)
    for path in (output / SITES).glob("*.parquet"):
        counts["sites"] += pq.read_metadata(path).num_rows
    for entry in snapshot.batches:
        roster, _ = read_roster(store, entry.name)
        for dataset, name in zip(DATASETS, ("call_rows", "reference_rows"), strict=True):
            counts[dataset] += int(np.sum(roster.column(name).to_numpy()))
    return counts


def _readme(store: Store, snapshot: Snapshot, *, rows: Mapping[str, int], is_annotated: bool) -> str:
    """Return the README of a freeze of ``snapshot``; ``rows``: the numbers of rows of sites and both tables."""
    metadata = sites_metadata(store, snapshot)
    first = store.contigs[0]
    return _README.format(
        participants=snapshot.participants,
        sites=rows["sites"],
        annotations=_ANNOTATED if is_annotated else "",
        variants=rows["variants"],
        reference_rows=rows["reference"],
        reference=store.reference,
        contigs=len(store.contigs),
        snapshot=metadata["baekman.snapshot"],
        settings=metadata["baekman.settings"],
        software=f"baekman {__version__}",
        region=f"{first.name}:1-{min(first.length, 1_000_000)}",
        **asdict(store.thresholds),
        **asdict(snapshot.filters),
    )


# -- sums


def write_sums(output: Path) -> None:
    """Write ``SHA256SUMS``, which ``sha256sum -c`` checks: each file but this one; those of tables by their seals."""
    with atomic_file(output / SUMS_FILE) as temporary, temporary.open("w", encoding="utf-8") as sums:
        for sha256, name in listed_sums(output):
            sums.write(f"{sha256}  {name}\n")


def listed_sums(output: Path) -> Iterator[tuple[str, str]]:
    """Yield SHA-256 and path of each file of a freeze: the folder's own, then sites, then tables by participant."""
    names = [path.name for path in output.iterdir() if path.is_file() and not path.name.startswith(".")]
    for name in sorted({*names} - {SUMS_FILE}):
        yield sha256_of(output / name), name
    for folder in (SITES, ANNOTATIONS):
        for path in sorted((output / folder).glob("[!.]*")):
            yield sha256_of(path), f"{folder}/{path.name}"
    for bucket in sorted((output / TABLES / SEALS).glob("*")):
        for seal in sorted(bucket.glob("*.json")):
            place, digests = f"{bucket.name}/{seal.stem}", read_sealed(seal)["accepted"][-1]
            yield hashlib.sha256(seal.read_bytes()).hexdigest(), f"{TABLES}/{SEALS}/{place}.json"
            for dataset in DATASETS:
                yield digests[dataset].partition(" ")[0], f"{TABLES}/{dataset}/{place}.parquet"


def read_sums(output: Path) -> Iterator[tuple[str, str]]:
    """Yield SHA-256 and path of each line of ``SHA256SUMS``; raise DamagedFile for another line."""
    path = output / SUMS_FILE
    with path.open(encoding="utf-8", errors="replace") as sums:
        for line in sums:
            sha256, separator, name = line.rstrip("\n").partition("  ")
            if len(sha256) != 64 or not separator or not name:
                raise DamagedFile(path)
            yield sha256, name


def require_summed(output: Path, name: str) -> None:
    """Raise DamagedFile unless the file ``name`` has the SHA-256 that ``SHA256SUMS`` has for it."""
    noted = next((sha256 for sha256, listed in read_sums(output) if listed == name), "")
    if noted != sha256_of(output / name):
        raise DamagedFile(output / name)


def is_summed(output: Path, name: str) -> bool:
    """Return whether the file ``name`` is there with the SHA-256 that ``SHA256SUMS`` has for it."""
    try:
        require_summed(output, name)
    except (DamagedFile, FileNotFoundError):
        return False
    return True
