"""The report on a snapshot: bcftools counts the same, small counts are hidden, batches that differ are flagged."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.roster import participants_of
from baekman.cohort.snapshot import Snapshot, read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.engine.local import Engine
from baekman.export.write import Content
from baekman.report.cohort import page
from baekman.report.cohort.batch_effects import batch_effects
from baekman.report.cohort.numbers import cohort_numbers
from baekman.report.cohort.people import COUNTS, EDGES, participant_counts, percentile
from baekman.report.cohort.small_cells import hidden
from baekman.report.cohort.types import count_types, shown_types
from baekman.tools import programs
from support.browser import assert_fit, look
from support.exports import exported
from support.store_tools import block, gvcf_text, line, write_reference

CONTIGS = {"c1": "ACGTTTGCAAGC" * 60, "X": "ACGTTTGCAAGC" * 20}
PEOPLE = 26


def gvcf(number: int) -> str:
    """Return a participant: SNVs and indels at shared positions, some of low quality, and reference between them."""
    draw, shared = random.Random(number), random.Random(0)
    lines = []
    for contig, bases in CONTIGS.items():
        begin = 1
        for pos in range(6, len(bases) - 6, 6):
            base, kind, frequency = bases[pos - 1], shared.randrange(6), shared.random() ** 3
            alt = shared.choice([other for other in "ACGT" if other != base])
            ref, alt = {4: (base, base + "TG"), 5: (bases[pos - 1 : pos + 2], base)}.get(kind, (base, alt))
            copies = sum(draw.random() < frequency for _ in range(2))
            if copies == 0 and draw.random() < 0.9:
                continue
            lines.append(block(begin, pos - 1, bases[begin - 1], contig=contig))
            genotype, gq = ("0/0", "0/1", "1/1")[copies], draw.choice([60, 60, 60, 10])
            pl = ",".join("0" if copies == k else str(gq) for k in range(3))
            lines.append(line(pos, ref, alt, f"{genotype}:{gq}:30:15,15:{pl}", contig=contig))
            begin = pos + len(ref)
        lines.append(block(begin, len(bases), bases[begin - 1], contig=contig))
    return gvcf_text(lines, contigs={name: len(bases) for name, bases in CONTIGS.items()})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Snapshot]]:
    """Return a store with batches of 14 and 12 participants."""
    folder = tmp_path_factory.mktemp("cohort")
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", CONTIGS))
    members = []
    for number in range(PEOPLE):
        path = folder / f"{number}.g.vcf"
        path.write_text(gvcf(number))
        members.append(Member(participant_id=f"P{number:02d}", gvcf=str(path), sex=("female", "male")[number % 2]))
    add_batch(store, batch="D1", members=members[:14])
    add_batch(store, batch="D2", members=members[14:])
    yield store, read_snapshot(store)


def stats_of(vcf: Path, *options: str) -> list[list[str]]:
    """Return the lines of ``bcftools stats`` on the passing records of ``vcf``."""
    command = [*programs.command("bcftools"), "stats", "-f", "PASS", *options, str(vcf)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split("\t") for line in done.stdout.splitlines() if not line.startswith("#")]


def test_participants_and_variants_are_those_that_bcftools_counts(
    cohort: tuple[Store, Snapshot], tmp_path: Path
) -> None:
    store, snapshot = cohort
    content = Content(regions=(store.parse_region("c1"),))
    autosome = exported(store, tmp_path, content, name="c1.bcf")
    ours = {}
    for entry in snapshot.batches:
        counts = participant_counts(store, snapshot, entry.name, participants=entry.participants)
        ours |= dict(zip(participants_of(store, entry.name), counts.tolist(), strict=True))
    # PSC: … sample, nRefHom, nNonRefHom, nHets, nTransitions, nTransversions, nIndels, depth, nSingletons, …
    theirs = {
        row[2]: [int(row[place]) for place in (5, 4, 6, 7, 10)]
        for row in stats_of(autosome, "-s", "-")
        if row[0] == "PSC"
    }
    assert ours == theirs and len(ours) == PEOPLE
    assert np.array(list(ours.values())).sum(axis=0).min() > 5, "a count is not tested"
    whole = exported(store, tmp_path, Content(), name="x.bcf")
    variants = cohort_numbers(store, snapshot, without=(), threshold=1)["variants"]
    (tstv,) = [row for row in stats_of(whole) if row[0] == "TSTV"]
    sums = {name: sum(row.values()) for name, row in variants["passed"].items()}
    assert [sums["transition"], sums["transversion"]] == [int(tstv[2]), int(tstv[3])]
    assert variants["ti_tv"] == pytest.approx(float(tstv[4]), abs=0.005)
    indels = sum(int(row[3]) for row in stats_of(whole) if row[0] == "IDD")
    assert sums["insertion"] + sums["deletion"] == indels > 0


def test_any_number_of_workers_gives_the_same_numbers_and_left_out_people_do_not_count(
    cohort: tuple[Store, Snapshot],
) -> None:
    store, snapshot = cohort
    whole = cohort_numbers(store, snapshot, without=(), threshold=1)
    assert cohort_numbers(store, snapshot, without=(), threshold=1, engine=Engine(workers=2)) == whole
    smaller = cohort_numbers(store, snapshot, without={"P00"}, threshold=1)
    assert (smaller["participants"], smaller["left_out"], smaller["sexes"]["female"]) == (PEOPLE - 1, 1, 12)
    assert smaller["batches"][0]["participants"] == 13 and smaller["batches"][1] == whole["batches"][1]


def test_counts_of_few_people_are_hidden_with_what_gives_them_away(cohort: tuple[Store, Snapshot]) -> None:
    store, snapshot = cohort
    numbers = cohort_numbers(store, snapshot, without={f"P{number:02d}" for number in range(5)}, threshold=11)
    assert (numbers["participants"], numbers["left_out"]) == (21, None)
    # nine are in the first batch; with the total, the second would give the number away
    assert [batch["participants"] for batch in numbers["batches"]] == [None, None]
    assert numbers["batches"][0]["medians"] == {} and numbers["batches"][1]["medians"]["snvs"] > 0
    assert numbers["sexes"] == {"female": None, "male": None, "unknown": 0}
    measure = numbers["measures"]["snvs"]
    assert [measure[name] for name in ("p5", "p25", "p75", "p95")] == [None] * 4, "few people are beyond these"
    assert ">Growth<" not in page.render(numbers), "every batch is hidden"
    shown = [part["participants"] for values in numbers["measures"].values() for part in values["distribution"]]
    assert [count for count in shown if count and count < 11] == []
    for participant in ("P00", "P20"):
        assert participant not in page.render(numbers) and participant not in json.dumps(numbers)


def test_a_single_small_count_hides_the_next_smallest() -> None:
    assert hidden({"a": 3, "b": 40, "c": 20, "d": 0}, threshold=11) == {"a", "c"}
    assert hidden({"a": 3, "b": 5, "c": 20}, threshold=11) == {"a", "b"}
    assert hidden({"a": 30, "b": 40}, threshold=11) == hidden({"a": 1}, threshold=1) == frozenset()


def test_a_batch_that_differs_is_flagged_with_the_measure_and_four_batches_say_nothing() -> None:
    usual = [{"het_hom": 1.60 + number / 100, "coverage": 32.0 + number / 10} for number in range(6)]
    effects = batch_effects([*usual, {"het_hom": 2.4, "coverage": 32.2}])
    assert [effect["flags"] for effect in effects] == [[]] * 6 + [["het_hom"]]
    assert max(range(7), key=lambda place: abs(effects[place]["pc1"])) == 6
    assert batch_effects([{"x": 1.0}, {"x": 9.0}, {"x": 1.0}, {"x": 1.0}])[1] == {"flags": [], "pc1": None, "pc2": None}
    assert all(not effect["flags"] for effect in batch_effects([{"x": 5.0 + n / 1000} for n in range(9)]))


def test_a_percentile_is_exact_below_a_hundred_and_within_a_bin_above() -> None:
    values = np.array([0, 0, 3, 7, 99, 5000])
    histogram = np.histogram(values, EDGES["singletons"])[0]
    assert [percentile(histogram, "singletons", percent) for percent in (1, 50, 60, 80)] == [0, 3, 7, 99]
    assert percentile(histogram, "singletons", 100) == pytest.approx(5000, rel=0.03)
    assert percentile(np.zeros_like(histogram), "singletons", 50) is None
    assert len(COUNTS) == 5


def test_institutions_are_numbers_and_compared_as_batches_are(cohort: tuple[Store, Snapshot]) -> None:
    store, snapshot = cohort
    names = {"D1": "한빛병원", "D2": "새벽병원"}
    numbers = cohort_numbers(store, snapshot, without={"P25", "P24"}, institutions=names)
    assert [batch["institution"] for batch in numbers["batches"]] == [1, 2]
    assert numbers["institutions"] == [
        {"institution": 1, "batches": 1, "participants": None, "flags": []},
        {"institution": 2, "batches": 1, "participants": None, "flags": []},
    ]
    assert "한빛" not in page.render(numbers) and "새벽" not in page.render(numbers)


def test_types_are_counted_by_sex_and_hidden_where_a_total_gives_them_away(cohort: tuple[Store, Snapshot]) -> None:
    store, snapshot = cohort
    kinds = ["rare" if number < 4 else "general" for number in range(PEOPLE)]
    people = [(f"P{number:02d}", kinds[number], ("female", "male")[number % 2]) for number in range(PEOPLE)]
    pages = [[*people[:9], ("P99", "rare", "male")], people[9:]]
    counts = count_types(pages, store, snapshot, without={"P01"})
    assert counts == {("rare", "female"): 2, ("rare", "male"): 1, ("general", "female"): 11, ("general", "male"): 11}
    sexes = {"female": 13, "male": None, "unknown": 0}
    hidden_all = {"female": None, "male": None, "unknown": 0}
    assert shown_types(counts, sexes, threshold=11) == {"general": hidden_all, "rare": hidden_all}
    assert shown_types(counts, {"female": 13}, threshold=1) == {"general": {"female": 11}, "rare": {"female": 2}}


def test_the_page_fits_a_telephone_and_paper(cohort: tuple[Store, Snapshot], tmp_path: Path) -> None:
    store, snapshot = cohort
    html = tmp_path / "cohort.html"
    types = Counter({("rare", "female"): 13, ("general", "male"): 13})
    page.write_cohort_report(cohort_numbers(store, snapshot, without=(), threshold=1, types=types), html=html)
    assert json.loads(html.with_suffix(".json").read_text())["types"]["rare"] == {"female": 13, "male": 0, "unknown": 0}
    text = html.read_text(encoding="utf-8")
    assert "For the operators only" in text and text.count("<figure>") == 9
    assert_fit(look({"cohort": text}, tmp_path), pages=1)
