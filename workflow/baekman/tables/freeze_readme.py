"""The README of a freeze: what its files hold, what its numbers mean and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from baekman import __version__
from baekman.cohort.commit import sites_metadata
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store

_TEXT = """\
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
| `tables/variants/<bucket>/<ID>.parquet` | a participant's alleles, in the order of the genome |
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


def readme(store: Store, snapshot: Snapshot, *, rows: Mapping[str, int]) -> str:
    """Return the README of a freeze of ``snapshot``; ``rows``: the numbers of rows of sites and both tables."""
    metadata = sites_metadata(store, snapshot)
    first = store.contigs[0]
    return _TEXT.format(
        participants=snapshot.participants,
        sites=rows["sites"],
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
