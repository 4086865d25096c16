"""Every participant at every allele, against a slow reading of the gVCFs."""

from __future__ import annotations

import numpy as np
import pytest
from baekman.arrow import numpy_of
from baekman.cohort import dense_genotypes
from baekman.cohort.snapshot import read_sites
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dense_cohort import GENOME, gvcf_lines, other_base, store_of
from support.state_oracle import alleles_of, answer, read_records
from support.store_tools import line


@settings(max_examples=40, deadline=None)
@given(st.lists(gvcf_lines(), min_size=1, max_size=4), st.integers(1, 2))
def test_states_and_copies_are_those_of_the_gvcfs(participants: list[list[str]], batches: int) -> None:
    with store_of(participants, batches=batches) as (store, snapshot, paths):
        sites = read_sites(store, snapshot, 0)
        alleles = list(zip(*(sites[name].to_pylist() for name in ("pos", "ref", "alt")), strict=True))
        records = [read_records(path, GENOME, "c1") for path in paths]
        assert set(alleles) == set().union(*map(alleles_of, records))
        if not alleles:
            return
        evidence = dense_genotypes.read_evidence(store, snapshot, 0, alleles=sites)
        for mode, raw in ((dense_genotypes.CALLED, False), (dense_genotypes.RAW, True)):
            dense = dense_genotypes.genotypes(evidence, mode=mode)
            for column, participant in enumerate(evidence.participants.ids.to_pylist()):
                for row, allele in enumerate(alleles):
                    state, copies = answer(records[int(participant[1:])], allele, raw=raw)
                    got = dense_genotypes.STATE_NAMES[dense.state[row, column]]
                    assert (got, int(dense.copies[row, column])) == (state, -1 if copies is None else copies), (
                        participant,
                        allele,
                        raw,
                    )


def test_a_record_that_starts_here_decides_before_a_deletion_that_spans() -> None:
    deletion = line(46, "CCAA", "C,<NON_REF>", "0/1:99:30:15,15,0:99,0,99,99,99,99")
    reference = line(47, "C", "T,<NON_REF>", "0/0:20:30:30,0,0:0,60,99,99,99,99")
    carrier = line(47, "C", "T,<NON_REF>", "0/1:50:30:15,15,0:99,0,99,99,99,99")
    with store_of([[deletion, reference], [deletion], [carrier]]) as (store, snapshot, paths):
        sites = read_sites(store, snapshot, 0)
        dense = dense_genotypes.genotypes(dense_genotypes.read_evidence(store, snapshot, 0, alleles=sites))
        (row,) = (number for number, pos in enumerate(sites["pos"].to_pylist()) if pos == 47)
        assert [dense_genotypes.STATE_NAMES[state] for state in dense.state[row]] == [
            "reference",
            "other allele",
            "carrier",
        ]
        assert answer(read_records(paths[0], GENOME, "c1"), (47, "C", "T")) == ("reference", 0)


@settings(max_examples=20, deadline=None)
@given(st.lists(gvcf_lines(), min_size=2, max_size=4))
def test_counts_over_everybody_are_those_of_the_sites(participants: list[list[str]]) -> None:
    with store_of(participants, batches=2) as (store, snapshot, _paths):
        sites = read_sites(store, snapshot, 0)
        if sites.num_rows == 0:
            return
        evidence = dense_genotypes.read_evidence(store, snapshot, 0, alleles=sites)
        for mode, suffix in ((dense_genotypes.CALLED, ""), (dense_genotypes.RAW, "_raw")):
            ac, an = dense_genotypes.count(dense_genotypes.genotypes(evidence, mode=mode))
            assert ac.tolist() == sites[f"ac{suffix}"].to_pylist()
            assert an.tolist() == sites[f"an{suffix}"].to_pylist()


def test_each_record_of_a_position_is_called_by_itself() -> None:
    snv = line(47, "C", "T,<NON_REF>", "0/0:25:30:30,1,0:0,25,300,300,300,300")
    indel = line(47, "CA", "C,<NON_REF>", "0/1:3:30:26,4,0:3,0,300,300,300,300")
    other = line(47, "C", "A,<NON_REF>", "0/1:50:30:15,15,0:300,0,300,300,300,300")
    with store_of([[snv, indel], [other]]) as (store, snapshot, _paths):
        sites = read_sites(store, snapshot, 0)
        dense = dense_genotypes.genotypes(dense_genotypes.read_evidence(store, snapshot, 0, alleles=sites))
        states = {
            (ref, alt): [dense_genotypes.STATE_NAMES[state] for state in row]
            for ref, alt, row in zip(sites["ref"].to_pylist(), sites["alt"].to_pylist(), dense.state, strict=True)
        }
        assert states == {
            ("C", "A"): ["reference", "carrier"],
            ("C", "T"): ["reference", "other allele"],
            ("CA", "C"): ["uncalled", "other allele"],
        }
        counts = {(row["ref"], row["alt"]): (row["ac"], row["an"], row["uncalled"]) for row in sites.to_pylist()}
        assert counts == {("C", "A"): (1, 4, 0), ("C", "T"): (0, 4, 0), ("CA", "C"): (0, 2, 1)}
        assert {row["an_raw"] for row in sites.to_pylist()} == {4}


def test_chunks_hold_whole_positions_and_together_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line(pos, GENOME[pos - 1], f"{other_base(GENOME[pos - 1], 1)},{other_base(GENOME[pos - 1], 2)}",
                  "1/2:50:30:0,15,15:99,99,99,99,0,99") for pos in range(1, 40, 3)]  # fmt: skip
    with store_of([lines, lines]) as (store, snapshot, _paths):
        sites = read_sites(store, snapshot, 0)
        everything = dense_genotypes.genotypes(dense_genotypes.read_evidence(store, snapshot, 0, alleles=sites))
        monkeypatch.setattr(dense_genotypes, "CHUNK_CELLS", 10)
        parts = list(dense_genotypes.chunks(sites, wanted=np.ones(sites.num_rows, np.bool_), participants=2))
        assert len(parts) == 3
        assert [len(np.unique(numpy_of(part, "pos"))) for part in parts] == [5, 5, 3]
        copies = [
            dense_genotypes.genotypes(dense_genotypes.read_evidence(store, snapshot, 0, alleles=part)).copies
            for part in parts
        ]
        assert np.array_equal(np.concatenate(copies), everything.copies)
