"""The genotypes of the participants of one batch, counted: heterozygotes, homozygotes, singletons, Ti/Tv.

Counts are of called genotypes at passing alleles of autosomes; het/hom and Ti/Tv are of SNVs. A singleton is an
allele that exactly one participant of the snapshot carries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import read_listed
from baekman.cohort.roster import read_roster
from baekman.cohort.schema import FLAG_CALLED
from baekman.cohort.snapshot import Snapshot, read_sites
from baekman.cohort.store import Store
from baekman.genome.chromosomes import chromosome_kind
from baekman.qc.metrics import read_metrics
from baekman.workspace.paths import Workspace

COUNTS = ("het", "hom", "transitions", "transversions", "singletons")
MEASURES = ("snvs", "het_hom", "ti_tv", "singletons")
QC_MEASURES = (
    *("mean_autosome_coverage", "pct_autosomes_15x", "pct_bases_q30", "cross_contamination_rate"),
    *("pct_reads_duplicated", "median_insert_size"),
)
MOST_MEASURED = 200  # participants of a batch, evenly chosen, of whom the metrics of reads are read
EDGES: Mapping[str, npt.NDArray[np.float64]] = {
    "snvs": np.concatenate((np.arange(100.0), np.logspace(2, 8, 481))),
    "het_hom": np.linspace(0, 5, 251),
    "ti_tv": np.linspace(0, 5, 251),
    "singletons": np.concatenate((np.arange(100.0), np.logspace(2, 7, 401))),
}
_COUNT = f"""
WITH carried AS (
  SELECT c.sample, c.copies, length(c.ref) = 1 AND length(c.alt) = 1 AS is_snv,
    c.ref || c.alt IN ('AG', 'GA', 'CT', 'TC') AS is_transition, s.het + s.hom + s.hemi = 1 AS is_singleton
  FROM calls AS c JOIN sites AS s USING (pos, ref, alt)
  WHERE c.copies > 0 AND c.ploidy = 2 AND (c.flags & {FLAG_CALLED}) <> 0 AND s.filter = 'PASS'
)
SELECT sample, count(*) FILTER (is_snv AND copies = 1), count(*) FILTER (is_snv AND copies = 2),
  count(*) FILTER (is_snv AND is_transition), count(*) FILTER (is_snv AND NOT is_transition),
  count(*) FILTER (is_singleton)
FROM carried GROUP BY sample
"""


@dataclass(frozen=True, kw_only=True)
class BatchPeople:
    """The participants of one batch in numbers.

    Attributes:
        batch: Its name.
        sexes: Number of participants by sex.
        histograms: Participants by bin (``EDGES``), by measure.
        medians: The median of each measure; None where no participant has it.
    """

    batch: str
    sexes: dict[str, int]
    histograms: dict[str, npt.NDArray[np.int64]]
    medians: dict[str, float | None]

    @property
    def participants(self) -> int:
        """The number of participants that are counted."""
        return sum(self.sexes.values())


def people_of_batch(
    store: Store, snapshot: Snapshot, batch: str, *, without: Collection[str], workspace: Workspace | None
) -> BatchPeople:
    """Return the numbers of the participants of ``batch``, except those in ``without``.

    Metrics of reads are those in ``workspace``; None: there are none.
    """
    roster, _ = read_roster(store, batch)
    ids: list[str] = roster.column("participant_id").to_pylist()
    shown = np.array([participant not in without for participant in ids], bool)
    counts = participant_counts(store, snapshot, batch, participants=len(ids))[shown]
    values = measures_of(counts)
    sexes = [sex for sex, is_shown in zip(roster.column("sex").to_pylist(), shown, strict=True) if is_shown]
    medians = {name: _median(column) for name, column in values.items()}
    if workspace is not None:
        medians |= _medians_of_reads(workspace, [ids[place] for place in np.flatnonzero(shown)])
    return BatchPeople(
        batch=batch,
        sexes={sex: sexes.count(sex) for sex in sorted(set(sexes))},
        histograms={
            name: np.histogram(np.clip(column[~np.isnan(column)], 0, EDGES[name][-1]), EDGES[name])[0]
            for name, column in values.items()
        },
        medians=medians,
    )


def participant_counts(store: Store, snapshot: Snapshot, batch: str, *, participants: int) -> npt.NDArray[np.int64]:
    """Return ``COUNTS`` of each participant of ``batch``, by sample number."""
    import duckdb

    totals = np.zeros((participants, len(COUNTS)), np.int64)
    with duckdb.connect(config={"threads": 1}) as connection:
        for number, shard in enumerate(store.shards):
            if chromosome_kind(shard.contig) in ("X", "Y", "MT"):
                continue
            columns = ["sample", "pos", "ref", "alt", "copies", "ploidy", "flags"]
            calls = read_listed(store.batch(batch), f"calls/{shard.name}.parquet", columns=columns)
            columns = ["pos", "ref", "alt", "het", "hom", "hemi", "filter"]
            sites = read_sites(store, snapshot, number, columns=columns)
            connection.register("calls", calls)
            connection.register("sites", sites)
            counted: pa.Table = connection.sql(_COUNT).to_arrow_table()
            rows = [np.asarray(column.to_numpy(), np.int64) for column in counted.columns]
            np.add.at(totals, rows[0], np.stack(rows[1:], axis=1) if len(rows[0]) else totals[:0])
    return totals


def measures_of(counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Return ``MEASURES`` of participants by their ``COUNTS``; NaN where there is nothing to divide by."""
    het, hom, transitions, transversions, singletons = counts.T.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "snvs": het + hom,
            "het_hom": np.where(hom > 0, het / hom, np.nan),
            "ti_tv": np.where(transversions > 0, transitions / transversions, np.nan),
            "singletons": singletons,
        }


def percentile(histogram: npt.NDArray[np.int64], measure: str, percent: float) -> float | None:
    """Return the middle of the bin with the given percentile of the participants; None without participants."""
    total = int(histogram.sum())
    if total == 0:
        return None
    place = int(np.searchsorted(histogram.cumsum(), max(1, np.ceil(total * percent / 100))))
    low, high = EDGES[measure][place : place + 2]
    if measure in ("snvs", "singletons"):
        return float(low) if high - low <= 1 else float(round((low + high) / 2))
    return round(float((low + high) / 2), 3)


def _median(values: npt.NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return round(float(np.median(known)), 4) if len(known) else None


def _medians_of_reads(workspace: Workspace, participants: Sequence[str]) -> dict[str, float | None]:
    """Return the median of each of ``QC_MEASURES`` over at most ``MOST_MEASURED`` of the participants."""
    step = max(1, -(-len(participants) // MOST_MEASURED))
    columns: dict[str, list[Any]] = {name: [] for name in QC_MEASURES}
    for participant_id in participants[::step]:
        path = workspace.participant(participant_id).metrics
        values = read_metrics(path).values if path.is_file() else {}
        for name, column in columns.items():
            if (value := values.get(name)) is not None:
                column.append(value)
    return {name: _median(np.array(column, np.float64)) for name, column in columns.items()}
