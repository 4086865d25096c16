"""Ploidy by sex and pseudo-autosomal region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from baekman.errors import InputRefused
from baekman.genome.par import par_of_reference, read_par
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
def test_pieces_say_of_each_base_what_its_place_says(start: int, length: int, par: list[tuple[int, int]]) -> None:
    regions, at = [], 0
    for gap, size in par:
        regions.append(Region("chrX", at + gap, at + gap + size))
        at += gap + size + 1
    found = {
        base: piece.ploidy
        for piece in pieces(Region("X", start, start + length), sex="male", par=regions)
        for base in range(piece.region.start, piece.region.end + 1)
    }
    expected = {
        base: 2 if any(region.start <= base <= region.end for region in regions) else 1
        for base in range(start, start + length + 1)
    }
    assert found == expected


@pytest.mark.parametrize("name", ["GRCh38", "hg19", "b37"])
def test_known_references_have_two_par_on_x_and_y(name: str) -> None:
    contigs = [region.contig.removeprefix("chr") for region in par_of_reference(name)]
    assert contigs == ["X", "X", "Y", "Y"]


def test_par_of_grch38_is_where_ensembl_says() -> None:
    first = par_of_reference("GRCh38")[0]
    assert (first.start, first.end) == (10_001, 2_781_479)


def test_an_unknown_reference_has_no_par() -> None:
    assert par_of_reference("test-genome") == ()


def test_every_bad_line_of_a_par_table_is_told(tmp_path: Path) -> None:
    table = tmp_path / "par.bed"
    table.write_text("# PAR\nX\t10\t20\n1\t10\t20\nX\t20\t10\nX 5\n")
    with pytest.raises(InputRefused) as refused:
        read_par(table)
    assert str(refused.value).splitlines() == [
        f"par.bed: line {number}: expected contig X or Y, start < end (BED: 0-based, half-open), "
        "found something else; correct the PAR table"
        for number in (3, 4, 5)
    ]


@pytest.mark.parametrize("contig", ["chrX", "X", "Y", "chrM", "chr7"])
def test_males_have_one_copy_where_a_male_s_pieces_have(contig: str) -> None:
    par = [Region("X", 3, 5), Region("chrX", 9, 9), Region("Y", 2, 4)]
    whole = Region(contig, 1, 12)
    found = one_copy_in_males(contig, np.arange(1, 13), par).tolist()
    haploid = {
        pos
        for piece in pieces(whole, sex="male", par=par)
        for pos in range(piece.region.start, piece.region.end + 1)
        if piece.ploidy == 1 and contig != "chrM"  # everybody's, not males'
    }
    assert found == [pos in haploid for pos in range(1, 13)]
    assert not one_copy_in_males(contig, np.arange(1, 13), []).any()
