"""Ploidy by sex and pseudo-autosomal region."""

from __future__ import annotations

import numpy as np
import pytest
from baekman.genome.ploidy import Piece, one_copy_in_males, pieces
from baekman.genome.regions import Region
from hypothesis import given
from hypothesis import strategies as st

PAR = (Region("X", 11, 20), Region("X", 91, 100), Region("Y", 11, 20))


@pytest.mark.parametrize("prefix", ["", "chr"])
@pytest.mark.parametrize(
    ("contig", "sex", "expected"),
    [
        ("1", "male", [(1, 100, 2)]),
        ("1", "unknown", [(1, 100, 2)]),
        ("X", "female", [(1, 100, 2)]),
        ("X", "unknown", [(1, 100, 2)]),
        ("X", "male", [(1, 10, 1), (11, 20, 2), (21, 90, 1), (91, 100, 2)]),
        ("Y", "male", [(1, 10, 1), (21, 100, 1)]),
        ("Y", "female", []),
        ("Y", "unknown", []),
        ("MT", "female", [(1, 100, 1)]),
        ("M", "male", [(1, 100, 1)]),
        ("X_decoy", "male", [(1, 100, 2)]),
    ],
)
def test_ploidy_follows_sex_and_par(prefix: str, contig: str, sex: str, expected: list[tuple[int, int, int]]) -> None:
    name = prefix + contig
    wanted = [Piece(Region(name, start, end), ploidy) for start, end, ploidy in expected]
    assert pieces(Region(name, 1, 100), sex=sex, par=PAR) == wanted


@given(
    st.integers(1, 100),
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(1, 120), st.integers(0, 30)), max_size=3),
)
def test_the_piece_of_a_base_has_the_ploidy_of_its_place(start: int, length: int, par: list[tuple[int, int]]) -> None:
    regions, at = [], 0
    for gap, size in par:
        regions.append(Region("chrX", at + gap, at + gap + size))
        at += gap + size + 1
    ploidy = {
        base: piece.ploidy
        for piece in pieces(Region("X", start, start + length), sex="male", par=regions)
        for base in range(piece.region.start, piece.region.end + 1)
    }
    expected = {
        base: 2 if any(region.start <= base <= region.end for region in regions) else 1
        for base in range(start, start + length + 1)
    }
    assert ploidy == expected


@pytest.mark.parametrize("contig", ["chrX", "X", "Y", "chrM", "chr7"])
def test_males_have_one_copy_where_the_pieces_of_a_male_are_haploid(contig: str) -> None:
    par = [Region("X", 3, 5), Region("chrX", 9, 9), Region("Y", 2, 4)]
    whole = Region(contig, 1, 12)
    one_copy = one_copy_in_males(contig, np.arange(1, 13), par).tolist()
    haploid = {
        pos
        for piece in pieces(whole, sex="male", par=par)
        for pos in range(piece.region.start, piece.region.end + 1)
        if piece.ploidy == 1 and contig != "chrM"  # everybody's, not males'
    }
    assert one_copy == [pos in haploid for pos in range(1, 13)]
    assert not one_copy_in_males(contig, np.arange(1, 13), []).any()
