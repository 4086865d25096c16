"""The variants of one shard of a snapshot, counted by class, frequency, filter, call rate and Hardy-Weinberg test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import numpy_of
from baekman.cohort.snapshot import Snapshot, read_sites
from baekman.cohort.store import Store

CLASSES = ("transition", "transversion", "insertion", "deletion", "other")
TRANSITIONS = ("AG", "GA", "CT", "TC")
# Bins of the allele frequency: one carrier, then AF below each of the limits.
FREQUENCIES = ("one carrier", "< 0.1 %", "0.1-1 %", "1-5 %", "5-50 %", "> 50 %")
LIMITS = (0.001, 0.01, 0.05, 0.5)
RATES = 20  # bins of the call rate, of 5 % each
TESTS = 12  # bins of -log10 P of the Hardy-Weinberg test, of 1 each; the last has everything above
COLUMNS = ("ref", "alt", "af", "het", "hom", "hemi", "call_rate", "hwe_p", "filter")


@dataclass
class Variants:
    """The counts of some shards. Sums of two are the counts of both.

    Attributes:
        passed: Alleles that pass and somebody carries, by class (``CLASSES``) and frequency (``FREQUENCIES``).
        failed: Alleles that do not pass, by class.
        filters: Number of alleles by the text of FILTER.
        call_rate: Alleles by call rate.
        hwe: Passing alleles by -log10 P.
    """

    passed: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(CLASSES), len(FREQUENCIES)), np.int64))
    failed: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(CLASSES), np.int64))
    filters: Counter[str] = field(default_factory=Counter)
    call_rate: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(RATES, np.int64))
    hwe: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(TESTS, np.int64))

    def add(self, other: Variants) -> None:
        """Add the counts of other shards."""
        self.passed += other.passed
        self.failed += other.failed
        self.filters.update(other.filters)
        self.call_rate += other.call_rate
        self.hwe += other.hwe

    @property
    def ti_tv(self) -> float | None:
        """Return transitions / transversions of the passing alleles; None without transversions."""
        transitions, transversions = self.passed[:2].sum(axis=1)
        return round(float(transitions / transversions), 4) if transversions else None

    def to_json(self) -> dict[str, Any]:
        """Return the counts with the names of their bins."""
        names = sorted({name for text in self.filters for name in text.split(";") if name != "PASS"})
        return {
            "passed": {
                name: dict(zip(FREQUENCIES, row.tolist(), strict=True))
                for name, row in zip(CLASSES, self.passed, strict=True)
            },
            "failed": dict(zip(CLASSES, self.failed.tolist(), strict=True)),
            "ti_tv": self.ti_tv,
            "pass": self.filters["PASS"],
            "filters": {
                name: {
                    "alleles": sum(count for text, count in self.filters.items() if name in text.split(";")),
                    "alone": self.filters[name],
                }
                for name in names
            },
            "call_rate": self.call_rate.tolist(),
            "hwe": self.hwe.tolist(),
        }


def variants_of_shard(store: Store, snapshot: Snapshot, shard: int) -> Variants:
    """Return the counts of one shard."""
    return count_variants(read_sites(store, snapshot, shard, columns=COLUMNS))


def count_variants(sites: pa.Table) -> Variants:
    """Return the counts of ``sites`` (columns ``COLUMNS``)."""
    counts = Variants()
    if sites.num_rows == 0:
        return counts
    kinds = _classes(sites)
    passes = _numpy(pc.equal(sites.column("filter"), "PASS"))
    het, hom, hemi = (numpy_of(sites, name).astype(np.int64) for name in ("het", "hom", "hemi"))
    carriers = het + hom + hemi
    frequency = np.where(carriers == 1, 0, 1 + np.digitize(_floats(sites, "af"), LIMITS))
    shown = passes & (carriers > 0)
    np.add.at(counts.passed, (kinds[shown], frequency[shown]), 1)
    counts.failed += np.bincount(kinds[~passes], minlength=len(CLASSES))
    for row in pc.value_counts(sites.column("filter")).to_pylist():
        counts.filters[row["values"]] += row["counts"]
    rates = np.minimum((_floats(sites, "call_rate") * RATES).astype(np.int64), RATES - 1)
    counts.call_rate += np.bincount(rates, minlength=RATES)
    logs = -np.log10(np.maximum(_floats(sites, "hwe_p")[shown], 1e-300))
    counts.hwe += np.bincount(np.clip(logs.astype(np.int64), 0, TESTS - 1), minlength=TESTS)
    return counts


def _classes(sites: pa.Table) -> npt.NDArray[np.int64]:
    """Return the place of each allele's class in ``CLASSES``."""
    ref, alt = (sites.column(name) for name in ("ref", "alt"))
    lengths = [_numpy(pc.binary_length(bases)) for bases in (ref, alt)]
    pairs = pc.binary_join_element_wise(ref, alt, "")
    is_transition = pc.is_in(pairs, value_set=pa.array(TRANSITIONS, pairs.type))
    transitions = _numpy(is_transition)
    is_snv = (lengths[0] == 1) & (lengths[1] == 1)
    conditions = [is_snv & transitions, is_snv, lengths[1] > lengths[0], lengths[1] < lengths[0]]
    return np.select(conditions, [0, 1, 2, 3], 4)


def _floats(sites: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return a column with null as 0 (frequency, call rate) or 1 (P)."""
    filled = pc.fill_null(sites.column(name), 1.0 if name == "hwe_p" else 0.0)
    return _numpy(filled)


def _numpy(values: pa.ChunkedArray) -> npt.NDArray[Any]:
    return np.asarray(values.combine_chunks().to_numpy(zero_copy_only=False))
