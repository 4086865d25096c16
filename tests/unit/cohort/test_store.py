"""The settings that a store fixes for its life."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from baekman.cohort.settings import Areas
from baekman.cohort.store import create_store
from baekman.errors import InputRefused
from baekman.genome.par import par_of_reference
from baekman.genome.regions import Region
from support.store_tools import baekman, write_reference

CONTIGS = {"chr1": "ACGT" * 10, "chrX": "ACGT" * 10}


@pytest.mark.parametrize("name", ["GRCh38", "hs37d5"])
def test_a_known_reference_has_its_pars(tmp_path: Path, name: str) -> None:
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / f"{name}.fa", CONTIGS))
    assert len(store.par_regions) == 4
    assert store.par_regions == tuple(sorted(par_of_reference(name)))


def test_pars_of_an_unknown_reference_are_not_known(tmp_path: Path) -> None:
    assert create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "x.fa", CONTIGS)).par_regions == ()


def test_configured_pars_go_before_those_of_the_reference_s_name(tmp_path: Path) -> None:
    write_reference(tmp_path / "GRCh38.fa", CONTIGS)
    (tmp_path / "par.bed").write_text("chrX\t20\t30\nchrX\t0\t4\n")
    (tmp_path / "config.yaml").write_text("reference: GRCh38.fa\npar_regions: par.bed\n")
    for _ in range(2):  # the store that is made knows itself again
        baekman(
            *("cohort", "init", "--cohort", tmp_path / "cohort", "--reference", tmp_path / "GRCh38.fa"),
            *("--config", tmp_path / "config.yaml"),
        )
    assert json.loads((tmp_path / "cohort" / "store.json").read_text())["par_regions"] == [
        {"contig": "chrX", "start": 1, "end": 4},
        {"contig": "chrX", "start": 21, "end": 30},
    ]


def test_pars_are_fixed_for_the_store_s_life(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "x.fa", CONTIGS)
    create_store(tmp_path / "cohort", reference=reference, areas=Areas(par=[Region("chrX", 1, 4)]))
    with pytest.raises(
        InputRefused, match="par_regions: expected the regions chrX:1-4, as the cohort was made with, found no regions"
    ):
        create_store(tmp_path / "cohort", reference=reference)
