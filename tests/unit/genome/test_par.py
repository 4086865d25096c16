"""Pseudo-autosomal regions: those of known references, and tables of a user."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.genome.par import par_of_reference, read_par


@pytest.mark.parametrize("name", ["GRCh38", "hg19", "b37"])
def test_known_references_have_two_par_on_x_and_y(name: str) -> None:
    contigs = [region.contig.removeprefix("chr") for region in par_of_reference(name)]
    assert contigs == ["X", "X", "Y", "Y"]


def test_par_of_grch38_is_where_ensembl_says() -> None:
    first = par_of_reference("GRCh38")[0]
    assert (first.start, first.end) == (10_001, 2_781_479)


def test_an_unknown_reference_has_no_par() -> None:
    assert par_of_reference("test-genome") == ()


def test_every_bad_line_of_a_par_table_is_reported(tmp_path: Path) -> None:
    table = tmp_path / "par.bed"
    table.write_text("# PAR\nX\t10\t20\n1\t10\t20\nX\t20\t10\nX 5\n")
    with pytest.raises(InputRefused) as refused:
        read_par(table)
    assert str(refused.value).splitlines() == [
        f"par.bed: line {number}: expected contig X or Y by one of its names, start < end (BED: 0-based, half-open), "
        "found something else; correct the PAR table"
        for number in (3, 4, 5)
    ]
