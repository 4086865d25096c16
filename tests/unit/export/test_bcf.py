"""BCF records hold the store's rows and segments for all participants in every mode; htslib reads them."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from baekman.arrow import numpy_of
from baekman.cohort import dense_genotypes
from baekman.cohort.batch import read_shard
from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import Snapshot, read_sites
from baekman.cohort.store import Store
from baekman.export import bcf
from baekman.export.write import Content, join_pieces, write_piece
from baekman.files.bgzf import BLOCK_BYTES, END, BlockWriter
from baekman.kernels.bcf.records import MOST_GT_8
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dense_cohort import GENOME, gvcf_lines, other_base, store_of
from support.store_tools import line


def records_of(store: Store, snapshot: Snapshot, content: Content) -> list[pysam.VariantRecord]:
    folder = Path(tempfile.mkdtemp(dir=store.path.parent))
    write_piece(store, snapshot, content=content, shard=0, piece=folder / "piece")
    join_pieces(store, snapshot, [folder / "piece"], folder / "x.bcf")
    return list(pysam.VariantFile(str(folder / "x.bcf")))


def evidence_of(store: Store, snapshot: Snapshot) -> tuple[dict[Any, dict[str, int]], dict[Any, dict[str, int]]]:
    """Return call rows by (participant, pos, ref, alt), and segments by (participant, position)."""
    rows, segments = {}, {}
    for entry in snapshot.batches:
        ids = read_roster(store, entry.name)[0]["participant_id"].to_pylist()
        for row in read_shard(store, entry.name, "calls", 0).to_pylist():
            rows[ids[row["sample"]], row["pos"], row["ref"], row["alt"]] = row
        for segment in read_shard(store, entry.name, "reference", 0).to_pylist():
            for pos in range(segment["start"], segment["start"] + segment["length"]):
                segments[ids[segment["sample"]], pos] = segment
    return rows, segments


def missing(*values: int) -> tuple[int | None, ...]:
    return tuple(None if value < 0 else value for value in values)


def tuple_of(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


@settings(max_examples=30, deadline=None)
@given(st.lists(gvcf_lines(), min_size=1, max_size=3), st.sampled_from(sorted(dense_genotypes.MODES)))
def test_every_field_is_that_of_the_store(participants: list[list[str]], mode: str) -> None:
    with store_of(participants) as (store, snapshot, _paths):
        sites = read_sites(store, snapshot, 0)
        if sites.num_rows == 0:
            return
        evidence = dense_genotypes.read_evidence(store, snapshot, 0, alleles=sites)
        genotypes = dense_genotypes.genotypes(evidence, mode=dense_genotypes.MODES[mode])
        alleles = list(zip(*(sites[name].to_pylist() for name in ("pos", "ref", "alt")), strict=True))
        rows, segments = evidence_of(store, snapshot)
        carried = dense_genotypes.count(genotypes)[0] > 0 if mode == "joint" else numpy_of(sites, "ac_raw") > 0
        records = records_of(store, snapshot, Content(mode=mode))
        assert [(r.pos, r.ref, r.alts[0]) for r in records] == [alleles[i] for i in np.flatnonzero(carried)]
        for record in records:
            allele = (record.pos, record.ref, record.alts[0])
            number = alleles.index(allele)
            for column, (name, call) in enumerate(record.samples.items()):
                genotype = call["GT"]
                if genotypes.copies[number, column] < 0:
                    assert set(genotype) == {None}
                else:
                    assert sum(genotype) == genotypes.copies[number, column]
                    assert len(genotype) == genotypes.ploidy[number, column]
                row, segment = rows.get((name, *allele)), segments.get((name, record.pos))
                if row is not None:
                    assert call["DP"] == missing(row["dp"])[0]
                    if mode != "joint":
                        assert call["GQ"] == missing(row["gq"])[0]
                    if row["ad_ref"] >= 0:
                        assert call["AD"] == missing(row["ad_ref"], row["ad_alt"])
                    likelihoods = missing(*(row[f"pl_{k}"] for k in range(row["ploidy"] + 1)))
                    assert tuple_of(call.get("PL", (None,))) == (likelihoods if row["pl_0"] >= 0 else (None,))
                elif segment is not None:
                    assert call["DP"] == missing(segment["dp"])[0]
                    if mode != "joint":
                        assert call["GQ"] == (None if segment["state"] == 1 else segment["gq"])
                    assert tuple_of(call.get("PL", (None,))) == (None,)


@settings(max_examples=30, deadline=None)
@given(st.lists(gvcf_lines(), min_size=1, max_size=3), st.sampled_from(sorted(dense_genotypes.MODES)))
def test_one_site_per_line_holds_the_same_copies(participants: list[list[str]], mode: str) -> None:
    with store_of(participants) as (store, snapshot, _paths):
        split: dict[tuple[str, int], dict[tuple[str, str], int | None]] = {}
        ploidies = {}
        for record in records_of(store, snapshot, Content(mode=mode)):
            for name, call in record.samples.items():
                genotype = call["GT"]
                copies = None if None in genotype else sum(genotype)
                split.setdefault((name, record.pos), {})[record.ref, record.alts[0]] = copies
                ploidies[name, record.pos] = len(genotype)
        joined: dict[tuple[str, int], Counter[tuple[str, str]]] = {}
        for record in records_of(store, snapshot, Content(mode=mode, by_position=True)):
            for name, call in record.samples.items():
                here = joined.setdefault((name, record.pos), Counter())
                expected = split[name, record.pos]
                genotype = call["GT"]
                assert len(genotype) == ploidies[name, record.pos]
                # a weak record stays open next to another record of the position
                if None in genotype:
                    assert None in expected.values()
                if set(genotype) == {None}:
                    assert not any(
                        expected[atom] for alt in record.alts if alt != "*" for atom in atoms(record.ref, alt)
                    )
                for number in genotype:
                    if number and record.alts[number - 1] != "*":
                        here.update(atoms(record.ref, record.alts[number - 1]))
        assert set(joined) == set(split)
        for place, copies in split.items():
            assert joined[place] == {allele: count for allele, count in copies.items() if count}


def atoms(ref: str, alt: str) -> list[tuple[str, str]]:
    """Return the mismatched base and the indel of an ALT at the first base of its REF."""
    ref, alt = trimmed(ref, alt)
    if len(ref) == len(alt):
        return [(ref, alt)]
    return [(ref, ref[0] + alt[1:]), *([(ref[0], alt[0])] if ref[0] != alt[0] else [])]


def trimmed(ref: str, alt: str) -> tuple[str, str]:
    while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    return ref, alt


def test_small_buffers_make_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        line(pos, GENOME[pos - 1], other_base(GENOME[pos - 1], 1), "0/1:50:30:15,15:99,0,99") for pos in range(1, 60, 2)
    ]
    with store_of([made, made[::2]]) as (store, snapshot, _paths):
        sites = read_sites(store, snapshot, 0)
        evidence = dense_genotypes.read_evidence(store, snapshot, 0, alleles=sites)
        wanted = np.ones(sites.num_rows, np.bool_)

        def pieces() -> list[bytes]:
            return [
                bytes(piece)
                for piece in bcf.encode(
                    evidence, wanted=wanted, mode=dense_genotypes.CALLED, by_position=False, contig=0
                )
            ]

        (whole,) = pieces()
        monkeypatch.setattr(bcf, "OUTPUT_BYTES", 64)
        parts = pieces()
        assert len(parts) > 3
        assert b"".join(parts) == whole


@pytest.mark.parametrize("value", [0, 127, 128, 32767, 32768, 70_000])
def test_integers_are_as_wide_as_their_largest(value: int) -> None:
    lines = [line(1, GENOME[0], "C", f"0/1:50:{max(value, 1)}:{value},15:0,{value},1")]
    with store_of([lines]) as (store, snapshot, _paths):
        (record,) = records_of(store, snapshot, Content(mode="raw"))
        (call,) = record.samples.values()
        assert (call["DP"], call["AD"], call["PL"]) == (max(value, 1), (value, 15), (0, value, 1))


def test_more_alleles_than_eight_bits_hold() -> None:
    insertions = [f"T{'ACGT' * 3}{'A' * (number % 9)}{'C' * (number // 9)}G" for number in range(70)]
    participants = [[line(4, GENOME[3], alt, "0/1:50:30:15,15:99,0,99")] for alt in insertions]
    with store_of(participants) as (store, snapshot, _paths):
        (record,) = records_of(store, snapshot, Content(mode="raw", by_position=True))
        assert len(record.alts) == len(insertions) > MOST_GT_8
        for number, alt in enumerate(insertions):
            call = record.samples[f"P{number}"]
            assert (record.alts[call["GT"][1] - 1], call["GT"][0]) == (alt, 0)
            assert (call["LAA"], call["LPL"]) == ((call["GT"][1],), (99, 0, 99))


@given(st.lists(st.binary(max_size=3 * BLOCK_BYTES // 2), max_size=5))
@settings(max_examples=20, deadline=None)
def test_blocks_are_read_back(chunks: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gz"
        with path.open("wb") as raw:
            writer = BlockWriter(raw)
            for chunk in chunks:
                writer.write(chunk)
            writer.flush()
            raw.write(END)
        with pysam.BGZFile(str(path)) as back:
            assert back.read() == b"".join(chunks)


def test_incompressible_bytes_fit_their_block() -> None:
    noise = np.random.default_rng(1).integers(0, 256, 3 * BLOCK_BYTES + 7, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gz"
        with path.open("wb") as raw:
            writer = BlockWriter(raw)
            writer.write(noise.data)
            writer.flush()
            raw.write(END)
        with pysam.BGZFile(str(path)) as back:
            assert back.read() == noise.tobytes()
