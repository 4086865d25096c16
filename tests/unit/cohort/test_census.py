"""The census against slow counts, and its sums over any division of a cohort."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from functools import reduce
from operator import or_
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
from baekman.cohort.batch import sort_calls
from baekman.cohort.census import STEPS, Males, called_at, count_alleles, count_called, merge_alleles, merge_called
from baekman.cohort.schema import (
    CALLS,
    CENSUS,
    FLAG_CALLED,
    FLAG_GENOTYPED,
    POSITION_FLAGS,
    REFERENCE,
    STATE_CALLED,
    STATE_MISSING,
    STATE_WEAK,
)
from baekman.cohort.sites import SiteFilters, describe_sites
from baekman.genome.regions import Region
from baekman.genotyping.joint import ROW_WEIGHT, SEGMENT_WEIGHT
from hypothesis import given, settings
from hypothesis import strategies as st

LENGTH = 20
PAR = (Region("X", 1, 6), Region("X", 15, 16))
ALLELES = [("A", "C"), ("A", "G"), ("A", "AT"), ("AG", "A")]


@st.composite
def participants(draw: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Call rows and reference segments of one participant; ``sample`` is set later."""
    ploidy = draw(st.sampled_from([1, 2, 2]))
    rows: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    position = 1
    while position <= LENGTH:
        kind = draw(st.sampled_from(["row", "row", "segment", "nothing"]))
        if kind == "row":
            for ref, alt in draw(st.lists(st.sampled_from(ALLELES), min_size=1, max_size=2, unique=True)):
                pl = draw(st.one_of(st.just([-1, -1, -1]), st.lists(st.integers(0, 99), min_size=3, max_size=3)))
                rows.append(
                    {
                        "pos": position,
                        "ref": ref,
                        "alt": alt,
                        "copies": draw(st.integers(0, ploidy)),
                        "ploidy": ploidy,
                        "other": 0,
                        "gq": draw(st.integers(-1, 99)),
                        "dp": draw(st.integers(-1, 40)),  # of one record or of several
                        "ad_ref": draw(st.integers(-1, 9)),
                        "ad_alt": draw(st.integers(-1, 9)),
                        "pl_0": pl[0],
                        "pl_1": pl[1],
                        "pl_2": pl[2] if ploidy == 2 else -1,
                        "phase": 0,
                        "phase_set": -1,
                        "filter": 0,
                        "flags": draw(st.sampled_from([0, FLAG_GENOTYPED, FLAG_GENOTYPED | FLAG_CALLED])),
                        "qual": draw(st.integers(-1, 99)),
                    }
                )
            best = reduce(or_, (row["flags"] for row in rows if row["pos"] == position))
            for row in rows:
                if row["pos"] == position:
                    row["flags"] |= best << POSITION_FLAGS
            position += 1
            continue
        length = draw(st.integers(1, LENGTH + 1 - position))
        if kind == "segment":
            segments.append(
                {
                    "start": position,
                    "length": length,
                    "gq": draw(st.integers(0, 99)),
                    "dp": 5,
                    "ploidy": ploidy,
                    "other": 0,
                    "state": draw(st.sampled_from([STATE_MISSING, STATE_WEAK, STATE_CALLED])),
                }
            )
        position += length
    return rows, segments


def males_of(size: int) -> Males:
    """Return males: every second one of ``size`` participants."""
    return Males(male=np.arange(size) % 2 == 1, contig="chrX", par=PAR)


def has_one_copy(number: int, position: int) -> bool:
    return bool(number % 2) and not any(region.start <= position <= region.end for region in PAR)


Cohort = list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]
cohorts = st.lists(participants(), min_size=1, max_size=6)


def tables(cohort: Cohort) -> tuple[pa.Table, pa.Table]:
    rows = [{"sample": number, **row} for number, (rows, _) in enumerate(cohort) for row in rows]
    segments = [{"sample": number, **segment} for number, (_, segments) in enumerate(cohort) for segment in segments]
    return sort_calls(pa.Table.from_pylist(rows, CALLS)), pa.Table.from_pylist(segments, REFERENCE)


def slow_census(cohort: Cohort) -> dict[tuple[int, str, str], Counter[str]]:
    census: dict[tuple[int, str, str], Counter[str]] = defaultdict(Counter)
    for number, (rows, _) in enumerate(cohort):
        for row in rows:
            count = census[row["pos"], row["ref"], row["alt"]]
            kind = "named" if not row["copies"] else "hemi" if row["ploidy"] == 1 else ("", "het", "hom")[row["copies"]]
            called, genotyped = bool(row["flags"] & FLAG_CALLED), bool(row["flags"] & FLAG_GENOTYPED)
            best = row["flags"] >> POSITION_FLAGS
            count[f"uncalled_{row['ploidy']}"] += bool(best & FLAG_CALLED) and not called
            halved = row["ploidy"] == 2 and has_one_copy(number, row["pos"])
            count["uncalled_one"] += bool(best & FLAG_CALLED) and not called and halved
            count[f"missing_{row['ploidy']}"] += bool(best & FLAG_GENOTYPED) and not genotyped
            if kind == "named":
                count["named"] += 1
            else:
                count[kind] += called
                count[f"{kind}_raw"] += genotyped
                if halved:
                    count[f"{kind}_one"] += called
                if row["dp"] >= 0:
                    count["dp_sum"] += row["dp"]
                    count["dp_n"] += 1
                if row["gq"] >= 0:
                    count[f"gq_{row['gq'] // 10}0"] += 1
            if kind == "het" and called and row["ad_ref"] >= 0 and row["ad_alt"] >= 0:
                count["ad_ref_het"] += row["ad_ref"]
                count["ad_alt_het"] += row["ad_alt"]
            quality = 0
            if row["pl_0"] >= 0:
                quality = row["pl_0"] - min(row[f"pl_{k}"] for k in range(row["ploidy"] + 1))
            elif row["copies"]:
                quality = row["qual"] if row["qual"] >= 0 else max(row["gq"], 0)
            count["qual_sum"] += quality
            count["qual_max"] = max(count["qual_max"], quality)
    return census


def slow_steps(cohort: Cohort, position: int) -> dict[str, int]:
    count = dict.fromkeys(STEPS, 0)
    for number, (rows, segments) in enumerate(cohort):
        here = [row for row in rows if row["pos"] == position]
        over = [each for each in segments if each["start"] <= position < each["start"] + each["length"]]
        if here:
            row = here[0]
            ploidy, state = row["ploidy"], None
            best = row["flags"] >> POSITION_FLAGS
            called, genotyped = bool(best & FLAG_CALLED), bool(best & FLAG_GENOTYPED)
            weight = max(int(ROW_WEIGHT[min(row["dp"], 12)]) if row["dp"] >= 0 else int(ROW_WEIGHT[-1]) for row in here)
        elif over:
            (segment,) = over
            ploidy, state = segment["ploidy"], segment["state"]
            called, genotyped = state == STATE_CALLED, state != STATE_MISSING
            weight = int(SEGMENT_WEIGHT[segment["gq"]])
        else:
            continue
        count[f"called_{ploidy}"] += called
        count[f"raw_{ploidy}"] += genotyped
        count["covered"] += 1
        halved = ploidy == 2 and has_one_copy(number, position)
        count["called_one"] += called and halved
        count["weight"] += weight * (1 if halved else ploidy)
    return count


@settings(max_examples=100, deadline=None)
@given(cohort=cohorts)
def test_census_equals_a_slow_count(cohort: Cohort) -> None:
    calls, _ = tables(cohort)
    expected = slow_census(cohort)
    census = count_alleles(calls, males=males_of(len(cohort))).to_pylist()
    assert [(row["pos"], row["ref"], row["alt"]) for row in census] == sorted(expected)
    for row in census:
        counts = expected[row["pos"], row["ref"], row["alt"]]
        assert {name: row[name] for name in CENSUS.names[3:] if name != "dosage"} == {
            name: counts[name] for name in CENSUS.names[3:] if name != "dosage"
        }


@settings(max_examples=100, deadline=None)
@given(cohort=cohorts)
def test_step_functions_equal_a_slow_count_at_every_position(cohort: Cohort) -> None:
    calls, reference = tables(cohort)
    called = count_called(calls, reference, males=males_of(len(cohort)))
    values = called_at(called, np.arange(0, LENGTH + 3))
    for position in range(LENGTH + 3):
        assert {name: int(values[name][position]) for name in STEPS} == slow_steps(cohort, position)


@settings(max_examples=100, deadline=None)
@given(cohort=cohorts, random=st.randoms(use_true_random=False))
def test_step_functions_are_the_same_for_rows_by_participant_and_in_the_order_of_the_store(
    cohort: Cohort, random: Random
) -> None:
    calls, reference = tables(cohort)
    rows = sorted(calls.to_pylist(), key=lambda row: (row["sample"], row["pos"], random.random()))
    males = males_of(len(cohort))
    by_participant = count_called(pa.Table.from_pylist(rows, CALLS), reference, males=males)
    assert by_participant.equals(count_called(calls, reference, males=males))


@settings(max_examples=60, deadline=None)
@given(cohort=cohorts, groups=st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_merging_any_division_gives_the_whole(cohort: Cohort, groups: list[int]) -> None:
    parts: dict[int, list[int]] = defaultdict(list)
    for number, group in zip(range(len(cohort)), groups, strict=False):
        parts[group].append(number)
    everyone = males_of(len(cohort))
    divided = [
        (*tables([cohort[number] for number in part]), replace(everyone, male=everyone.male[part]))
        for part in parts.values()
    ]
    calls, reference = tables(cohort)
    whole = count_alleles(calls, males=everyone), count_called(calls, reference, males=everyone)
    census = merge_alleles([count_alleles(rows, males=males) for rows, _, males in divided])
    steps = merge_called([count_called(rows, segments, males=males) for rows, segments, males in divided])
    assert census.equals(merge_alleles([whole[0]]))
    assert steps.equals(merge_called([whole[1]]))
    by_participant, by_position = (
        describe_sites(a, b, contig="c1", participants=len(cohort), filters=SiteFilters())
        for a, b in ((census, steps), whole)
    )
    assert by_participant.equals(by_position)


def test_site_counts_of_a_small_cohort() -> None:
    def person(copies: int, ploidy: int = 2, *, called: bool = True) -> tuple[list[dict[str, Any]], list[Any]]:
        row = dict.fromkeys(("dp", "ad_ref", "ad_alt", "pl_0", "pl_1", "pl_2", "phase_set", "qual"), -1)
        row |= {"phase": 0, "filter": 0, "other": 0, "gq": 50, "pos": 5, "copies": copies, "ploidy": ploidy}
        flags = FLAG_GENOTYPED | (FLAG_CALLED if called else 0)
        return [{**row, "ref": "A", "alt": "C", "flags": flags | flags << POSITION_FLAGS}], []

    def reference(state: int) -> tuple[list[Any], list[dict[str, Any]]]:
        return [], [{"start": 1, "length": 9, "gq": 30, "dp": 9, "ploidy": 2, "other": 0, "state": state}]

    cohort: Cohort = [
        person(1),
        person(2),
        person(1, 1),
        person(1, called=False),
        reference(STATE_CALLED),
        reference(STATE_WEAK),
        reference(STATE_MISSING),
        ([], []),
    ]
    calls, blocks = tables(cohort)
    nobody = Males(male=np.zeros(8, np.bool_), contig="c1", par=())
    (site,) = describe_sites(
        count_alleles(calls, males=nobody),
        count_called(calls, blocks, males=nobody),
        contig="c1",
        participants=8,
        filters=SiteFilters(),
    ).to_pylist()
    assert (site["ac"], site["an"], site["ac_raw"], site["an_raw"]) == (4, 7, 5, 11)
    assert (site["het"], site["hom"], site["hemi"], site["hom_ref"]) == (1, 1, 1, 1)
    assert (site["participants"], site["called"], site["uncalled"], site["no_coverage"]) == (8, 4, 3, 1)
    assert (
        site["call_rate"] == 0.5 and site["filter"] == "LowCallRate" and site["qual"] == 200
    )  # of four carriers by their GQ
