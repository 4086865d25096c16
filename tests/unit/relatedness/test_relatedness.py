"""Relatedness of generated populations against slow formulas in NumPy; then withdrawals, kills and damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from baekman.cli.cohort import app
from baekman.cohort import rewrite
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, open_store
from baekman.errors import InputRefused
from baekman.relatedness import compute as computing
from baekman.relatedness.compute import compute, outliers
from baekman.relatedness.schema import FILES
from baekman.relatedness.selection import chosen_rows
from baekman.relatedness.stored import damaged_relatedness, folder_of, noted, pairs, people
from baekman.relatedness.unrelated import related_to_others
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generated_population import PEOPLE, SPACING, VARIANTS, Population, genotypes, nobody, write_population
from support.kills import Killed, killed
from typer.testing import CliRunner

Floats = npt.NDArray[np.float64]


@pytest.fixture
def store(population: Population, tmp_path: Path) -> Store:
    """Return a copy of the computed store."""
    return open_store(Path(shutil.copytree(population.store.path, tmp_path / "cohort")))


def _used(population: Population) -> npt.NDArray[np.int8]:
    """Return the copies of everyone at the variants that were used."""
    from baekman.arrow import read_parquet

    folder = folder_of(population.store, read_snapshot(population.store))
    used = read_parquet(folder / "variants.parquet").to_pylist()
    half = -(-VARIANTS // 2)
    return population.copies[:, [half * (row["contig"] == "chr2") + row["pos"] // SPACING - 1 for row in used]]


def _king(one: npt.NDArray[np.int8], other: npt.NDArray[np.int8]) -> float:
    """Return the KING-robust kinship between families: Manichaikul et al. 2010, equation 11."""
    both = (one >= 0) & (other >= 0)
    one, other = one[both].astype(int), other[both].astype(int)
    fewest = min((one == 1).sum(), (other == 1).sum())
    return float(0.5 - ((one - other) ** 2).sum() / (4 * fewest)) if fewest else -np.inf


def test_kinship_is_that_of_the_slow_formula(population: Population) -> None:
    copies = _used(population)
    kinship = {
        (population.ids[one], population.ids[other]): _king(copies[one], copies[other])
        for one in range(len(copies))
        for other in range(one + 1, len(copies))
    }
    expected = {pair: value for pair, value in kinship.items() if value >= 0.0442}
    table = pairs(population.store, read_snapshot(population.store))
    found = {(row["participant_1"], row["participant_2"]): row["kinship"] for row in table.to_pylist()}
    assert found == pytest.approx(expected, abs=1e-5) and list(found) == sorted(found)


def test_a_trio_siblings_and_a_twin_have_their_degrees(population: Population) -> None:
    rows = pairs(population.store, read_snapshot(population.store)).to_pylist()
    degree = {(row["participant_1"], row["participant_2"]): row["degree"] for row in rows}
    first, second, third, twin = (f"P{PEOPLE + number:03d}" for number in range(4))
    family = {(parent, child): 1 for parent in ("P000", "P001") for child in (first, second)}
    family |= {(first, second): 1, ("P002", third): 1, ("P003", third): 1, ("P004", twin): 0}
    assert {pair: degree.get(pair) for pair in family} == family
    assert ("P000", "P001") not in degree and ("P002", "P003") not in degree
    trio = [row for row in rows if (row["participant_1"], row["participant_2"]) == ("P002", third)]
    assert trio[0]["ibs0"] == 0 and trio[0]["kinship"] == pytest.approx(0.25, abs=0.03)


def _standardised(copies: npt.NDArray[np.int8], basis: npt.NDArray[np.bool_]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return genotypes less their mean, over the deviation by the frequencies of ``basis``; 0 where one is missing."""
    known = copies >= 0
    counted = known & basis[:, None]
    frequency = np.where(counted, copies, 0).sum(axis=0) / (2 * counted.sum(axis=0))
    scaled = (copies - 2 * frequency) / np.sqrt(2 * frequency * (1 - frequency))
    return np.where(known, scaled, 0.0), known


def test_components_are_those_of_the_standardised_matrix(population: Population) -> None:
    table = people(population.store, read_snapshot(population.store))
    assert table.column("participant_id").to_pylist() == population.ids
    aside = np.asarray(table.column("is_projected"))
    assert set(np.flatnonzero(aside)) >= {PEOPLE, PEOPLE + 1, PEOPLE + 2} and aside.sum() <= 8
    scaled, known = _standardised(_used(population), ~aside)
    own, there = scaled[~aside], known[~aside].astype(float)
    relationship = (own @ own.T) / (there @ there.T)
    values, vectors = np.linalg.eigh(relationship)
    places = np.stack([np.asarray(table.column(f"PC{number}")) for number in range(1, 11)], axis=1)
    for number in (1, 2, 3):
        expected = vectors[:, -number]
        sign = np.sign(expected @ places[~aside, number - 1])
        assert places[~aside, number - 1] == pytest.approx(sign * expected, abs=1e-4)
        weights = own.T @ (sign * expected) / values[-number]  # the projection: scores of the weights of alleles
        projected = (scaled[aside] @ weights) / known[aside].sum(axis=1)
        assert places[aside, number - 1] == pytest.approx(projected, abs=2e-3)
    half = PEOPLE // 2
    first = places[:PEOPLE, 0]
    assert max(first[:half].min(), first[half:].min()) > min(first[:half].max(), first[half:].max())  # apart


def test_inbreeding_is_that_of_the_slow_formula(population: Population) -> None:
    table, copies = people(population.store, read_snapshot(population.store)), _used(population)
    aside = np.asarray(table.column("is_projected"))
    known = copies >= 0
    counted = known & ~aside[:, None]
    frequency = np.where(counted, copies, 0).sum(axis=0) / (2 * counted.sum(axis=0))
    homozygous = (known * (1 - 2 * frequency * (1 - frequency))).sum(axis=1)
    observed = (known & (copies != 1)).sum(axis=1)
    expected = (observed - homozygous) / (known.sum(axis=1) - homozygous)
    assert np.asarray(table.column("inbreeding")) == pytest.approx(expected, abs=1e-4)


def test_linked_variants_are_pruned_and_counted_in_the_note(population: Population) -> None:
    note = noted(population.store, read_snapshot(population.store))
    assert note is not None and note["is_pruned_by_ld"]
    copies = _used(population)
    assert note["variants"]["used"] == copies.shape[1] < note["variants"]["candidates"] <= VARIANTS
    assert (note["participants"], note["components"]) == (PEOPLE + 4, 10)
    assert note["options"]["prune"] == "--maf 0.05 --geno 0.05 --indep-pairwise 500kb 1 0.2"


def test_a_second_command_finds_the_relatedness_there(store: Store) -> None:
    assert compute(store, left_out=nobody).was_there
    rewrite.compact(store, below=100)
    assert compute(store, left_out=nobody).was_there  # the same people and sites in a new snapshot


def _everything(store: Store) -> bytes:
    files = [path for path in (store.path / "relatedness").rglob("*") if path.is_file()]
    tables = [pa.parquet.read_table(path).to_pandas().to_string() for path in files if path.suffix == ".parquet"]
    return b"".join(path.read_bytes() for path in files) + "".join(tables).encode()


def test_a_withdrawn_participant_is_in_no_file_of_relatedness(store: Store) -> None:
    assert b"P004" in _everything(store)
    rewrite.withdraw(store, ["P004"])
    assert [path.name for path in (store.path / "relatedness").iterdir()] == [".lock"]
    compute(store, left_out=nobody)
    assert b"P005" in _everything(store) and b"P004" not in _everything(store)


def test_a_participant_without_consent_is_in_no_file_and_no_number(store: Store) -> None:
    snapshot = read_snapshot(store)
    assert "P004" not in people(store, snapshot, without={"P004"}).column("participant_id").to_pylist()
    assert "P004" not in pairs(store, snapshot, without={"P004"}).column("participant_1").to_pylist()
    done = compute(store, left_out=lambda _: frozenset({"P004", "P000"}))
    assert not done.was_there and done.note["participants"] == PEOPLE + 2
    assert b"P004" not in _everything(store) and b"P000" not in _everything(store)


def test_a_consent_that_ends_during_the_work_leaves_no_result(store: Store) -> None:
    rewrite.withdraw(store, ["P004"])
    answers = iter([frozenset[str](), frozenset({"P001"})])
    with pytest.raises(InputRefused, match="found 1 participants without it now; nothing was written"):
        compute(store, left_out=lambda _: next(answers))
    assert [path.name for path in (store.path / "relatedness").iterdir()] == [".lock"]


def test_a_killed_command_leaves_no_result_and_the_next_one_finishes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = read_snapshot(store)
    whole = {name: (folder_of(store, snapshot) / name).read_bytes() for name in FILES}
    shutil.rmtree(folder_of(store, snapshot))
    with monkeypatch.context() as patch:
        patch.setattr(computing, "write_sealed", killed)
        with pytest.raises(Killed):
            compute(store, left_out=nobody)
    assert noted(store, snapshot) is None
    compute(store, left_out=nobody)
    assert {name: (folder_of(store, snapshot) / name).read_bytes() for name in FILES} == whole
    assert [path.name for path in (store.path / "relatedness").glob(".*")] == [".lock"]


@pytest.mark.parametrize("name", [*FILES, "relatedness.json", "hashes.json"])
def test_damage_is_found(store: Store, name: str) -> None:
    folder = folder_of(store, read_snapshot(store))
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert list(damaged_relatedness(store)) == [
        f"relatedness/{folder.name}: damaged; write it again with `baekman cohort relatedness`"
    ]


def test_few_people_have_kinship_and_components_without_outliers_and_one_has_nothing(tmp_path: Path) -> None:
    few = write_population(tmp_path, genotypes(6, variants=400, seed=5))
    note = compute(few.store, left_out=nobody).note
    assert (note["is_pruned_by_ld"], note["components"]) == (False, note["unrelated"] - 1)
    table = people(few.store, read_snapshot(few.store))
    assert table.column("outlier").null_count == 10 and table.column("PC10").null_count == 10
    assert table.column("PC1").null_count == 0
    with pytest.raises(InputRefused) as refused:
        compute(few.store, left_out=lambda _: frozenset(few.ids[1:]))
    assert str(refused.value) == "cohort: relatedness: expected at least 2 participants, found 1; add more"


def test_too_few_variants_are_refused(tmp_path: Path) -> None:
    few = write_population(tmp_path, genotypes(6, variants=60, seed=6))
    with pytest.raises(InputRefused) as refused:
        compute(few.store, left_out=nobody)
    assert str(refused.value).startswith("cohort: relatedness: expected at least 100 common SNVs of autosomes, found ")
    with pytest.raises(InputRefused) as absent:
        pairs(few.store, read_snapshot(few.store))
    assert str(absent.value) == (
        "cohort: expected the relatedness of snapshot 2, found none; run: baekman cohort relatedness"
    )


def test_the_most_frequent_lone_snv_of_each_window_is_chosen() -> None:
    rows = [
        (5, "A", "G", 0.3, 1.0, "PASS"),
        (7, "A", "G", 0.6, 1.0, "PASS"),  # the most frequent of its window
        (12, "A", "G", 0.5, 1.0, "PASS"),
        (12, "A", "T", 0.2, 1.0, "PASS"),  # two alleles at the position
        (14, "A", "AG", 0.5, 1.0, "PASS"),
        (16, "A", "G", 0.5, 1.0, "LowQual"),
        (17, "A", "G", 0.5, 0.9, "PASS"),
        (18, "A", "G", 0.04, 1.0, "PASS"),
        (19, "C", "T", 0.96, 1.0, "PASS"),
        (25, "C", "T", 0.75, 1.0, "PASS"),
        (26, "C", "T", 0.25, 1.0, "PASS"),  # as frequent, and later
    ]
    names = ("pos", "ref", "alt", "af", "call_rate", "filter")
    sites = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    assert chosen_rows(sites.set_column(0, "pos", sites.column("pos").cast(pa.int32())), window=10).column(
        "pos"
    ).to_pylist() == [7, 25]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] != pair[1]), max_size=25))
def test_no_pair_is_left_together_and_everyone_set_aside_has_a_relative_who_stays(links: list[tuple[int, int]]) -> None:
    first, second = (np.array([pair[side] for pair in links], np.int64) for side in (0, 1))
    aside = related_to_others(first, second, people=12)
    assert all(aside[one] or aside[other] for one, other in links)
    for person in np.flatnonzero(aside):
        relatives = {one if other == person else other for one, other in links if person in (one, other)}
        assert any(not aside[relative] for relative in relatives)


def test_an_outlier_is_six_deviations_from_the_mean_of_the_unrelated() -> None:
    chance = np.random.default_rng(1)
    values = {"PC1": chance.normal(0, 1, 200), "inbreeding": chance.normal(0, 1, 200)}
    values["PC1"][3], values["inbreeding"][3], values["PC1"][4], values["PC1"][5] = 30.0, -30.0, np.nan, 20.0
    basis = np.ones(200, np.bool_)
    basis[5] = False
    named = outliers(values, basis=basis).to_pylist()
    assert (named[3], named[4], named[5]) == ("PC1;inbreeding", None, "PC1")
    assert sum(name is not None for name in named) == 2
    assert outliers({"PC1": values["PC1"][:49]}, basis=basis[:49]).null_count == 49


def test_the_command_prints_the_pairs_by_degree_and_the_note(population: Population) -> None:
    cohort = ["relatedness", "--cohort", str(population.store.path)]
    printed = CliRunner().invoke(app, cohort)
    note = noted(population.store, read_snapshot(population.store))
    assert note is not None and printed.stdout.splitlines()[:3] == [
        f"snapshot 2: 60 participants, {note['variants']['used']} variants of {note['variants']['candidates']} common "
        "ones; 10 components",
        "pairs: 1 duplicate or twin, 7 first degree, 0 second degree, 12 third degree",
        "fewer than 10,000 variants: the degrees of pairs are uncertain, the third most of all",
    ]
    answer = json.loads(CliRunner().invoke(app, [*cohort, "--json"]).stdout)
    assert answer["pairs"]["first degree"] == 7 and answer["options"] == note["options"]
