"""A gVCF is read a piece of a contig at a time, with the same evidence as whole contigs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store
from baekman.cohort.verify.gvcfs import compare_gvcfs
from baekman.errors import InputRefused
from baekman.gvcf import reader as gvcf
from baekman.gvcf.piece import Piece
from baekman.gvcf.reader import AlleleSlid, GvcfReader
from baekman.gvcf.thresholds import Thresholds
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generated_gvcfs import CONTIGS, gvcfs
from support.store_tools import (
    BASES,
    C1,
    block,
    genome_of,
    gvcf_text,
    hashes,
    line,
    read_gvcf,
    read_lines,
    write_reference,
)

THIRDS = [[100, 200, len(BASES)]]


def pieces(folder: Path, lines: list[str], *, slide: int, least: int = 1) -> Iterator[Piece]:
    """Return the pieces of a gVCF on ``c1`` with the shards THIRDS."""
    (folder / "one.g.vcf").write_text(gvcf_text(lines, contigs={"c1": len(BASES)}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gvcf, "PIECE_RECORDS", least)
        patch.setattr(gvcf, "SLIDE_BASES", slide)
        reader = GvcfReader(
            folder / "one.g.vcf",
            label="gVCF of P1",
            genome=genome_of(C1),
            thresholds=Thresholds(),
            shard_ends=[np.array(ends, np.int32) for ends in THIRDS],
            whole_contigs=False,
        )
    return reader.pieces()


def shards(read: Iterator[Piece]) -> list[tuple[int, int]]:
    return [(piece.first, piece.last) for piece in read]


@settings(deadline=None)
@given(
    lines=gvcfs(),
    cuts=st.sets(st.integers(1, 100), max_size=8),
    least=st.integers(0, 6),
    slide=st.sampled_from([0, 1, 5, 40]),
)
def test_the_evidence_does_not_depend_on_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], cuts: set[int], least: int, slide: int
) -> None:
    folder = tmp_path_factory.mktemp("generated")
    path = folder / "one.g.vcf"
    lines = list(dict.fromkeys(lines))  # a repeated record is refused
    path.write_text(gvcf_text(lines, contigs={name: len(bases) for name, bases in CONTIGS.items()}))
    ends = [[*sorted(cuts), len(bases)] for bases in CONTIGS.values()]
    whole = read_gvcf(path, genome_of(CONTIGS), shard_ends=ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gvcf, "PIECE_RECORDS", least)
        patch.setattr(gvcf, "SLIDE_BASES", slide)
        assert read_gvcf(path, genome_of(CONTIGS), shard_ends=ends) == whole


def test_a_piece_is_there_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    lines = [block(1, 90, "A"), block(91, 150, "A"), block(151, 300, "A"), "no record"]
    read = pieces(tmp_path, lines, slide=10)
    first = next(read)
    assert (first.first, first.last, first.segments[:, :2].tolist()) == (0, 0, [[1, 100]])
    with pytest.raises(InputRefused, match="columns separated by tabs"):
        next(read)


def test_a_record_completes_a_piece_when_nothing_after_it_can_slide_there(tmp_path: Path) -> None:
    lines = [block(1, 90, "A"), block(111, 120, "A"), block(121, 300, "A")]
    assert shards(pieces(tmp_path, lines, slide=10)) == [(0, 0), (1, 2)]
    assert shards(pieces(tmp_path, lines, slide=20)) == [(0, 0), (1, 2)]
    assert shards(pieces(tmp_path, lines, slide=21)) == [(0, 2)]
    assert shards(pieces(tmp_path, lines, slide=10, least=2)) == [(0, 0), (1, 2)]
    assert shards(pieces(tmp_path, lines, slide=10, least=3)) == [(0, 2)]


def test_a_block_over_many_shards_is_in_each(tmp_path: Path) -> None:
    lines = [block(1, 290, "A", gq=40), line(250, BASES[249], "<NON_REF>", "0/0:30:50:30"), block(295, 295, "T")]
    segments = [piece.segments[:, :3].tolist() for piece in pieces(tmp_path, lines, slide=0)]
    assert segments == [
        [[1, 100, 40], [101, 200, 40]],
        [[201, 249, 40], [250, 250, 30], [251, 290, 40], [295, 295, 50]],
    ]


def test_an_allele_that_slides_into_an_earlier_piece_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases = "ACGT" + "A" * 60 + "CGT" * 10
    lines = [block(1, 62, "A"), line(63, "AA", "A", "0/1:40:22:11,11:45,0,42"), block(65, 94, "C")]
    ends = [[10, 30, len(bases)]]
    whole = read_lines(tmp_path, lines, {"c1": bases}, shard_ends=ends)
    monkeypatch.setattr(gvcf, "PIECE_RECORDS", 1)
    monkeypatch.setattr(gvcf, "SLIDE_BASES", 20)
    reader = GvcfReader(
        tmp_path / "one.g.vcf",
        label="gVCF of P1",
        genome=genome_of({"c1": bases}),
        thresholds=Thresholds(),
        shard_ends=[np.array(of_contig, np.int32) for of_contig in ends],
        whole_contigs=False,
    )
    with pytest.raises(AlleleSlid):
        list(reader.pieces())
    read = read_lines(tmp_path, lines, {"c1": bases}, shard_ends=ends)
    assert read == whole
    assert [row.allele for row in read.rows] == [(4, "TA", "T")]


def test_the_store_is_the_same_where_an_allele_slid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bases = "ACGT" + "A" * 60 + "CGT" * 10
    lines = [block(1, 62, "A"), line(63, "AA", "A", "0/1:40:22:11,11:45,0,42"), block(65, 94, "C")]
    (tmp_path / "one.g.vcf").write_text(gvcf_text(lines, contigs={"c1": len(bases)}))
    (tmp_path / "shards.tsv").write_text("shard\tcontig\tstart\tend\n00000\tc1\t1\t30\n00001\tc1\t31\t94\n")
    people = [Member(participant_id="P1", gvcf=str(tmp_path / "one.g.vcf"))]
    reference = write_reference(tmp_path / "ref.fa", {"c1": bases})
    stores = [
        create_store(tmp_path / name, reference=reference, shards_file=tmp_path / "shards.tsv")
        for name in ("whole", "pieces")
    ]
    add_batch(stores[0], batch="b", members=people)
    monkeypatch.setattr(gvcf, "PIECE_RECORDS", 1)
    monkeypatch.setattr(gvcf, "SLIDE_BASES", 20)
    add_batch(stores[1], batch="b", members=people)
    assert hashes(stores[0].path / "batches") == hashes(stores[1].path / "batches")
    assert compare_gvcfs(stores[1], people) == []
