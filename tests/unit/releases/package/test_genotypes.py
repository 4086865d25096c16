"""The genotypes of a release agree with the dense export of the same people, which other tests hold to the gVCFs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np
import pyarrow as pa
import pytest
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.export.write import Content
from baekman.genome.regions import Region
from baekman.releases.package.genotypes import SITES, VARIANTS, Wanted, read_genotypes, samples_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.dense_cohort import GENOME, gvcf_lines, store_of
from support.exports import exported, genotype_counts

WHOLE = (Region("c1", 1, len(GENOME)),)
# members by sample number: project IDs have another order than ours, and P1 is no member
MEMBERS = ["P3", "P0", "P2"]


def samples() -> dict[str, int]:
    return {participant: number for number, participant in enumerate(MEMBERS)}


def read(
    store: Store, snapshot: Snapshot, *, is_dense: bool, regions: tuple[Region, ...] = WHOLE
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    wanted = Wanted(
        samples=samples_of(MEMBERS, np.arange(len(MEMBERS), dtype=np.uint32)), regions=regions, is_dense=is_dense
    )
    pieces = [
        piece for shard in wanted.shards(store) for piece in read_genotypes(store, snapshot, shard, wanted=wanted)
    ]
    return (
        pa.concat_tables([SITES.empty_table(), *(sites for sites, _ in pieces)]).to_pylist(),
        pa.concat_tables([VARIANTS.empty_table(), *(rows for _, rows in pieces)]).to_pylist(),
    )


@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(participants=st.lists(gvcf_lines(), min_size=4, max_size=4), batches=st.integers(1, 2))
def test_sites_and_rows_are_those_of_the_dense_export_of_the_members(
    participants: list[list[str]], batches: int
) -> None:
    with store_of(participants, batches=batches) as (store, snapshot, _), tempfile.TemporaryDirectory() as folder:
        sites, rows = read(store, snapshot, is_dense=True)
        by_allele = {(site["contig"], site["pos"], site["ref"], (site["alt"],)): site for site in sites}
        number = {allele: place for place, allele in enumerate(by_allele)}
        cells = {(row["site"], row["sample"]): row for row in rows}
        assert len(rows) == len(cells) == len(sites) * len(MEMBERS)
        assert [(row["site"], row["sample"]) for row in rows] == sorted(cells)
        shown = set()
        for mode, ending in (("called", ""), ("raw", "_raw"), ("joint", "_joint")):
            content = Content(mode=mode, without=frozenset({"P1"}))
            path = exported(store, Path(folder), content, name=f"{mode}.bcf")
            for allele, ac, an in genotype_counts(path):
                site = by_allele[allele]
                assert ([site[f"ac{ending}"]], site[f"an{ending}"]) == (ac, an), (mode, allele)
                shown.add(allele)
            for record in cyvcf2.VCF(str(path)):
                site_number = number[record.CHROM, record.POS, record.REF, tuple(record.ALT)]
                quality = record.format("GQ")
                for column, participant in enumerate(["P0", "P2", "P3"]):
                    row = cells[site_number, samples()[participant]]
                    copies = sum(allele == 1 for allele in record.genotypes[column][:-1])
                    has_genotype = min(record.genotypes[column][:-1]) >= 0
                    value = {
                        "called": row["copies"] if row["called"] else None,
                        "raw": row["copies"],
                        "joint": row["joint_copies"],
                    }[mode]
                    assert value == (copies if has_genotype else None), (mode, record.POS, participant)
                    if mode == "joint" and row["joint_gq"] is not None:
                        assert quality is not None and row["joint_gq"] == quality[column][0]
        assert shown == set(by_allele)
        assert all(
            any(cells[site, each]["copies"] or cells[site, each]["joint_copies"] for each in range(3))
            for site in number.values()
        )
        carriers = [row for row in rows if row["copies"] or row["joint_copies"]]
        assert read(store, snapshot, is_dense=False) == (sites, carriers)


def test_alleles_outside_the_regions_and_of_others_are_absent() -> None:
    from support.store_tools import block, line

    het = "0/1:40:22:11,11:45,0,42"
    lines = [
        [line(3, "G", "A", het), block(4, 60, "T", gq=50, dp=30)],
        [block(1, 9, "A", gq=50, dp=30), line(10, "A", "C", het)],
        [block(1, 60, "A", gq=50, dp=30)],
        [line(18, "A", "C", het)],
    ]
    with store_of(lines) as (store, snapshot, _):
        sites, rows = read(store, snapshot, is_dense=False)
        assert [(site["pos"], site["ac"], site["an"]) for site in sites] == [(3, 1, 4), (18, 1, 6)]
        assert [(row["site"], row["sample"], row["copies"]) for row in rows] == [(0, 1, 1), (1, 0, 1)]
        assert sites[0]["call_rate"] == pytest.approx(2 / 3)
        assert (rows[0]["pl"], rows[0]["ad_ref"], rows[0]["gq"]) == ([45, 0, 42], 11, 40)
        halves = (Region("c1", 1, 2), Region("c1", 15, 30))
        assert [site["pos"] for site in read(store, snapshot, is_dense=True, regions=halves)[0]] == [18]
        assert read(store, snapshot, is_dense=True, regions=(Region("c1", 40, 41),)) == ([], [])
