"""Every participant at every allele, against a slow reading of the gVCFs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from baekman import cohort, dense
from baekman.columns import numpy_of
from baekman.gvcf import Thresholds
from baekman.members import Member
from baekman.snapshot import Snapshot, read_sites, read_snapshot
from baekman.store import Store, create_store
from hypothesis import given, settings
from hypothesis import strategies as st
from state_oracle import alleles_of, answer, read_records
from store_tools import block, gvcf_text, line, write_reference

GENOME = "ACGTTTTACACACAGGCATTAGCCCGATATATACGGGTCAATTGGCCAACTGACTTTTTTGCA"
CONTIGS = {"c1": len(GENOME)}
ORDER = "ACGT"


def other_base(base: str, step: int) -> str:
    """One of the three other bases."""
    return ORDER[(ORDER.index(base) + step) % 4]


@st.composite
def gvcf_lines(draw: st.DrawFn) -> list[str]:
    """One participant: blocks, gaps, SNVs, MNPs, indels, several ALTs, ``*``, haploid, weak and missing genotypes."""
    lines: list[str] = []
    pos = draw(st.integers(1, 5))
    taken: dict[int, set[int]] = {}  # of a position that a record names an allele at, the ploidies of the records
    alleles: set[tuple[int, str, str]] = set()  # no two records name the same
    while pos < len(GENOME) - 8:
        kind = draw(st.sampled_from(["block", "block", "gap", "snv", "mnp", "ins", "del", "multi", "star"]))
        base = GENOME[pos - 1]
        if kind == "gap":
            pos += draw(st.integers(1, 4))
            continue
        if kind == "block":
            end = min(pos + draw(st.integers(0, 9)), len(GENOME))
            gq, dp = draw(st.sampled_from([0, 7, 20, 50])), draw(st.sampled_from([0, 1, 30]))
            lines.append(block(pos, end, base, gq=gq, dp=dp))
            pos = end + 1
            continue
        step = draw(st.integers(1, 3))
        length = draw(st.integers(2, 4))
        ref, alts = {
            "snv": (base, [other_base(base, step)]),
            "mnp": (GENOME[pos - 1 : pos + 1], [other_base(base, step) + other_base(GENOME[pos], 1)]),
            "ins": (base, [base + "ACGT"[:length]]),
            "del": (GENOME[pos - 1 : pos - 1 + length], [base]),
            "multi": (GENOME[pos - 1 : pos + 1], [base, other_base(base, step) + GENOME[pos]]),
            "star": (base, [other_base(base, step), "*"]),
        }[kind]
        parts = {part for alt in alts if alt != "*" for part in _parts(pos, ref, alt)}
        ploidy = draw(st.sampled_from([2, 2, 2, 1]))
        # records of one position with different ploidy lose their likelihoods: that has a test of its own
        if parts & alleles or any(taken.get(part[0], {ploidy}) != {ploidy} for part in parts):
            pos += 1
            continue
        alleles |= parts
        for part in parts:
            taken.setdefault(part[0], set()).add(ploidy)
        alts = [*alts, "<NON_REF>"]
        allele = st.sampled_from(["0", "0", "1", "2" if len(alts) > 2 else "1", "."])
        genotype = draw(st.sampled_from(["/", "|"])).join(draw(allele) for _ in range(ploidy))
        count = (len(alts) + 1) * (len(alts) + 2) // 2 if ploidy == 2 else len(alts) + 1
        pl = draw(st.lists(st.sampled_from([0, 5, 30, 300]), min_size=count, max_size=count))
        ad = draw(st.lists(st.sampled_from([0, 0, 7]), min_size=len(alts) + 1, max_size=len(alts) + 1))
        gq, dp = draw(st.sampled_from([0, 19, 20, 99])), draw(st.sampled_from([0, 3, 200]))
        sample = ":".join([genotype, str(gq), str(dp), ",".join(map(str, ad)), ",".join(map(str, pl))])
        lines.append(line(pos, ref, ",".join(alts), sample))
        pos += draw(st.integers(0, len(ref)))
    return lines


def _parts(pos: int, ref: str, alt: str) -> list[tuple[int, str, str]]:
    from state_oracle import normalised

    return normalised(pos, ref, alt, GENOME)


@contextmanager
def store_of(participants: list[list[str]], *, batches: int = 1) -> Iterator[tuple[Store, Snapshot, list[Path]]]:
    """A store of these gVCFs in so many batches; participants are P0, P1, …"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = create_store(
            folder / "cohort",
            reference=write_reference(folder / "ref.fa", {"c1": GENOME}),
            thresholds=Thresholds(min_gq=20),
        )
        paths = []
        for number, lines in enumerate(participants):
            paths.append(folder / f"{number}.g.vcf")
            paths[-1].write_text(gvcf_text(lines, contigs=CONTIGS))
        for batch in range(batches):
            members = [
                Member(participant_id=f"P{number}", gvcf=str(path))
                for number, path in enumerate(paths)
                if number % batches == batch
            ]
            if members:
                cohort.add(store, batch=f"b{batch}", members=members)
        yield store, read_snapshot(store), paths


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
        evidence = dense.read_evidence(store, snapshot, 0, alleles=sites)
        for mode, raw in ((dense.CALLED, False), (dense.RAW, True)):
            found = dense.genotypes(evidence, mode=mode)
            for column, participant in enumerate(evidence.participants.ids.to_pylist()):
                for row, allele in enumerate(alleles):
                    state, copies = answer(records[int(participant[1:])], allele, raw=raw)
                    got = dense.STATE_NAMES[found.state[row, column]]
                    assert (got, int(found.copies[row, column])) == (state, -1 if copies is None else copies), (
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
        found = dense.genotypes(dense.read_evidence(store, snapshot, 0, alleles=sites))
        (row,) = (number for number, pos in enumerate(sites["pos"].to_pylist()) if pos == 47)
        assert [dense.STATE_NAMES[state] for state in found.state[row]] == ["reference", "other allele", "carrier"]
        assert answer(read_records(paths[0], GENOME, "c1"), (47, "C", "T")) == ("reference", 0)


@settings(max_examples=20, deadline=None)
@given(st.lists(gvcf_lines(), min_size=2, max_size=4))
def test_counts_over_everybody_are_those_of_the_sites(participants: list[list[str]]) -> None:
    with store_of(participants, batches=2) as (store, snapshot, _paths):
        sites = read_sites(store, snapshot, 0)
        if sites.num_rows == 0:
            return
        evidence = dense.read_evidence(store, snapshot, 0, alleles=sites)
        for mode, suffix in ((dense.CALLED, ""), (dense.RAW, "_raw")):
            ac, an = dense.count(dense.genotypes(evidence, mode=mode))
            assert ac.tolist() == sites[f"ac{suffix}"].to_pylist()
            assert an.tolist() == sites[f"an{suffix}"].to_pylist()


def test_each_record_of_a_position_is_called_by_itself() -> None:
    snv = line(47, "C", "T,<NON_REF>", "0/0:25:30:30,1,0:0,25,300,300,300,300")
    indel = line(47, "CA", "C,<NON_REF>", "0/1:3:30:26,4,0:3,0,300,300,300,300")
    other = line(47, "C", "A,<NON_REF>", "0/1:50:30:15,15,0:300,0,300,300,300,300")
    with store_of([[snv, indel], [other]]) as (store, snapshot, _paths):
        sites = read_sites(store, snapshot, 0)
        found = dense.genotypes(dense.read_evidence(store, snapshot, 0, alleles=sites))
        states = {
            (ref, alt): [dense.STATE_NAMES[state] for state in row]
            for ref, alt, row in zip(sites["ref"].to_pylist(), sites["alt"].to_pylist(), found.state, strict=True)
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
        everything = dense.genotypes(dense.read_evidence(store, snapshot, 0, alleles=sites))
        monkeypatch.setattr(dense, "CHUNK_CELLS", 10)
        parts = list(dense.chunks(sites, np.ones(sites.num_rows, np.bool_), 2))
        assert len(parts) == 3
        assert [len(np.unique(numpy_of(part, "pos"))) for part in parts] == [5, 5, 3]
        copies = [dense.genotypes(dense.read_evidence(store, snapshot, 0, alleles=part)).copies for part in parts]
        assert np.array_equal(np.concatenate(copies), everything.copies)
