"""Relatives, components and outliers in the report on a snapshot: numbers, small counts, the page."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from baekman.cli.cohort import app
from baekman.report.cohort.relatives import MOST_GROUPS, OTHERS, places
from support.browser import assert_fit, look
from support.generated_population import Population
from typer.testing import CliRunner


def test_the_report_has_pairs_places_and_outliers_and_fits_a_telephone_and_paper(
    population: Population, tmp_path: Path
) -> None:
    html = tmp_path / "cohort.html"
    arguments = ["report", "--cohort", str(population.store.path), "--output", str(html)]
    assert CliRunner().invoke(app, [*arguments, "--exact"]).exit_code == 0
    numbers = json.loads(html.with_suffix(".json").read_text())["relatedness"]
    degrees = {name: len(spots) for name, spots in numbers["pairs"].items()}
    assert degrees == {name: count for name, count in numbers["degrees"].items() if count}
    assert (degrees["first degree"], degrees["duplicate or twin"]) == (7, 1)
    assert {name: len(spots) for name, spots in numbers["places"]["delivery"].items()} == {"b1": 30, "b2": 30}
    assert numbers["named"]["P007"].endswith("inbreeding") and numbers["outliers"]["inbreeding"] == 1
    text = html.read_text(encoding="utf-8")
    assert "names outliers by participant ID" in text and "P007" in text and "친족과 주성분" in text
    assert_fit(look({"cohort": text}, tmp_path), pages=1)


def test_a_report_for_others_names_nobody_and_hides_small_counts(population: Population, tmp_path: Path) -> None:
    html = tmp_path / "cohort.html"
    arguments = ["report", "--cohort", str(population.store.path), "--output", str(html)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    numbers = json.loads(html.with_suffix(".json").read_text())["relatedness"]
    assert (numbers["degrees"]["first degree"], numbers["outliers"]["inbreeding"], numbers["named"]) == (None, None, {})
    assert min(count for spots in numbers["places"]["sex"]["unknown"] for count in spots[2:]) >= 11
    assert not any(each in html.read_text() for each in population.ids)


@pytest.mark.parametrize("threshold", [1, 11])
def test_no_place_stands_for_few_people_and_small_groups_are_one(threshold: int) -> None:
    chance = np.random.default_rng(2)
    groups = pa.array([f"D{min(int(number), 9)}" for number in chance.exponential(3, 5000)])
    x, y = chance.normal(0, 1, 5000), chance.normal(0, 1, 5000)
    x[0], y[1] = 1e6, np.nan
    made = places(x, y, groups, threshold=threshold)
    sizes = Counter(groups.to_pylist()).most_common()
    assert list(made) == [*(name for name, _ in sizes[:MOST_GROUPS]), OTHERS]
    total = sum(count for spots in made.values() for *_, count in spots)
    assert (total == 4999) if threshold == 1 else (2000 < total < 4999)
    assert min(count for spots in made.values() for *_, count in spots) >= threshold
    assert threshold == 1 or max(abs(place) for spots in made.values() for place, *_ in spots) < 10
