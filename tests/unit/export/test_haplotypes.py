"""One site per line keeps what the records say of haplotypes; split into atoms, it has the copies of the other form."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pysam
import pysam.bcftools
import pytest
from baekman.cohort.store import Store
from baekman.export.write import Content
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.dense_cohort import GENOME, store_of
from support.exports import exported
from support.store_tools import line

POS = 17
BASE, NEXT = GENOME[POS - 1 : POS + 1]  # CA
SNV, INSERTION, BOTH = "T", "CGG", "TGG"


def record(ref: str, alt: str, genotype: str, *, phase_set: int | None = None, depths: str = "9,8") -> str:
    """Return a record at ``POS`` with flat-free likelihoods and a GQ that is called."""
    sample, format = f"{genotype}:50:30:{depths}", "GT:GQ:DP:AD"
    if phase_set is not None:
        sample, format = f"{sample}:{phase_set}", f"{format}:PS"
    return line(POS, ref, alt, sample, format=format)


def rows_of(store: Store, content: Content) -> list[list[str]]:
    """Return the lines of an export in text: REF, ALT, AC, and of each participant the fields of ``FORMAT``."""
    exported(store, store.path.parent, content, name="x.vcf", form="vcf")
    rows = [row.split("\t") for row in (store.path.parent / "x.vcf").read_text().splitlines() if row.startswith("c1")]
    return [[row[3], row[4], row[7].split(";")[0], *(dict_of(row[8], call) for call in row[9:])] for row in rows]


def dict_of(format: str, sample: str) -> Any:
    return dict(zip(format.split(":"), sample.split(":"), strict=True))


ONE_PARTICIPANT = {
    "one ALT of a record is one allele": (
        [record(BASE, BOTH, "0/1")],
        [("C", "TGG", "AC=1", "0/1", "9,8")],
    ),
    "a mismatch and a deletion of one ALT": (
        [record(BASE + NEXT, SNV, "0/1")],
        [("CA", "T", "AC=1", "0/1", "9,8")],
    ),
    "two ALTs of a record are on two haplotypes": (
        [record(BASE, f"{SNV},{INSERTION}", "1/2", depths="1,2,3")],
        [("C", "CGG,T", "AC=1,1", "1/2", "1,3,2")],
    ),
    "an ALT that contains another": (
        [record(BASE, f"{SNV},{BOTH}", "1/2", depths="1,2,3")],
        [("C", "T,TGG", "AC=1,1", "1/2", "1,2,3")],
    ),
    "two ALTs of two atoms each": (
        [record(BASE, f"{BOTH},ATTT", "1/2", depths="1,2,3")],
        [("C", "ATTT,TGG", "AC=1,1", "1/2", "1,3,2")],
    ),
    "one phase set, one haplotype": (
        [record(BASE, SNV, "0|1", phase_set=3), record(BASE, INSERTION, "0|1", phase_set=3)],
        [("C", "TGG", "AC=1", "0|1", "9,8")],
    ),
    "one phase set, two haplotypes": (
        [record(BASE, SNV, "0|1", phase_set=3), record(BASE, INSERTION, "1|0", phase_set=3)],
        [("C", "CGG,T", "AC=1,1", "1|2", "9,8,8")],
    ),
    "a phase without PS": (
        [record(BASE, SNV, "1|0"), record(BASE + NEXT, BASE, "1|0")],
        [("CA", "T", "AC=1", "1|0", "9,8")],
    ),
    "two phase sets tie nothing": (
        [record(BASE, SNV, "0|1", phase_set=3), record(BASE, INSERTION, "0|1", phase_set=9)],
        [("C", "CGG,T", "AC=1,1", "1/2", "9,8,8")],
    ),
    "two records without phase tie nothing": (
        [record(BASE, SNV, "0/1"), record(BASE + NEXT, BASE, "0/1")],
        [("CA", "TA,C", "AC=1,1", "1/2", "9,8,8")],
    ),
    "a homozygote lies on both haplotypes": (
        [record(BASE, SNV, "1/1"), record(BASE, INSERTION, "0|1", phase_set=3)],
        [("C", "T,TGG", "AC=1,1", "1|2", "9,0,8")],
    ),
    "two homozygotes": (
        [record(BASE, SNV, "1/1"), record(BASE, INSERTION, "1/1")],
        [("C", "TGG", "AC=2", "1/1", "9,8")],
    ),
    "haploid records": (
        [record(BASE, SNV, "1"), record(BASE, INSERTION, "1")],
        [("C", "TGG", "AC=1", "1", "9,8")],
    ),
    "no room for an insertion and a deletion on one haplotype": (
        [record(BASE, INSERTION, "1/1"), record(BASE + NEXT, BASE, "1/1")],
        [("C", "CGG", "AC=2", "1/1", "9,8"), ("CA", "C", "AC=2", "1/1", "9,8")],
    ),
    "phases that contradict each other": (
        [record(BASE, SNV, "0|1", phase_set=3), record(BASE, "A", "0|1", phase_set=3)],
        [("C", "A,T", "AC=1,1", "1/2", "9,8,8")],
    ),
    "the other haplotype is deleted from before": (
        [record(BASE, f"{SNV},*", "1|2", depths="1,2,3")],
        [("C", "T,*", "AC=1,1", "1|2", "1,2,.")],
    ),
    "a combination next to a deletion from before": (
        [record(BASE, f"{BOTH},*", "2/1", depths="1,2,3")],
        [("C", "TGG,*", "AC=1,1", "1/2", "1,2,.")],
    ),
    "three copies of a record on two haplotypes": (
        [record(BASE, f"{SNV},{BOTH}", "2/2", depths="1,2,3")],
        [("C", "TGG", "AC=2", "1/1", "1,3")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_PARTICIPANT)
@pytest.mark.parametrize("mode", ["called", "raw", "joint"])
def test_a_site_has_the_haplotypes_of_the_records(name: str, mode: str) -> None:
    lines, expected = ONE_PARTICIPANT[name]
    with store_of([lines]) as (store, _snapshot, _paths):
        rows = rows_of(store, Content(mode=mode, by_position=True))
        assert [(ref, alt, ac, call["GT"], call["AD"]) for ref, alt, ac, call in rows] == expected


def test_a_phase_set_is_written_with_its_genotype() -> None:
    lines = [record(BASE, SNV, "1/1"), record(BASE, INSERTION, "0|1", phase_set=3)]
    with store_of([lines]) as (store, _snapshot, _paths):
        (row,) = rows_of(store, Content(by_position=True))
        assert (row[3]["GT"], row[3]["PS"]) == ("1|2", "3")


def test_participants_with_and_without_a_tie_share_a_site() -> None:
    """A is tied by a record, B by a phase, C by nothing, D has one of the two, E a weak record of both."""
    untied = [record(BASE, SNV, "0/1"), record(BASE, INSERTION, "0/1")]
    phased = [record(BASE, SNV, "1|0", phase_set=7), record(BASE, INSERTION, "1|0", phase_set=7)]
    participants = [[record(BASE, BOTH, "0/1")], phased, untied, [record(BASE, SNV, "1/1")]]
    participants.append([line(POS, BASE, BOTH, "0/1:3:30:20,4", format="GT:GQ:DP:AD")])
    with store_of(participants, batches=2) as (store, _snapshot, _paths):
        (row,) = rows_of(store, Content(by_position=True))
        assert row[:3] == ["C", "CGG,T,TGG", "AC=1,3,2"]
        assert [call["GT"] for call in row[3:]] == ["0/3", "3|0", "1/2", "2/2", "./."]
        assert [call["AD"] for call in row[3:]] == ["9,0,0,8", "9,0,0,8", "9,8,8,.", "9,.,8,.", "20,0,0,4"]


def test_likelihoods_of_a_combination_are_those_of_its_record() -> None:
    sample = "1/2:50:30:1,9,8:900,400,300,500,0,350"
    with store_of([[line(POS, BASE, f"{SNV},{BOTH}", sample)]]) as (store, _snapshot, _paths):
        (row,) = rows_of(store, Content(by_position=True))
        assert (row[1], row[3]["GT"], row[3]["LAA"]) == ("T,TGG", "1/2", "1,2")
        # 0/0, 0/1, 1/1, 0/2, 1/2, 2/2: at most those of the record, and these where the atoms say as much
        likelihoods = list(map(int, row[3]["LPL"].split(",")))
        assert [likelihoods[index] for index in (0, 2, 4, 5)] == [900, 300, 0, 350]
        assert all(ours <= theirs for ours, theirs in zip(likelihoods, (900, 400, 300, 500, 0, 350), strict=True))


def test_a_tie_does_not_depend_on_the_records_before(tmp_path: Path) -> None:
    """The number of a record, in two bits, keeps two records of a position apart."""
    before = [line(pos, GENOME[pos - 1], "<NON_REF>", "0/0:50:30", format="GT:GQ:DP") for pos in range(1, 8)]
    lines = [record(BASE, BOTH, "0/1"), record(BASE, "ATTT", "0/1")]
    for count in range(8):
        with store_of([before[:count] + lines]) as (store, _snapshot, _paths):
            (row,) = rows_of(store, Content(by_position=True))
            assert (row[1], row[3]["GT"]) == ("ATTT,TGG", "1/2")


@st.composite
def tied_lines(draw: st.DrawFn) -> list[str]:
    """Draw records at one position and the next: atoms alone and together, phased in sets, in any ploidy."""
    ploidy = draw(st.sampled_from([2, 2, 2, 1]))
    lines, taken = [], set()
    deletion = BASE + NEXT
    alleles = [(BASE, "T"), (BASE, "G"), (BASE, "CGG"), (BASE, "TGG"), (BASE, "GTA"), (deletion, BASE), (deletion, "T")]
    alleles += [
        (deletion, "TG"),
        (BASE, "T,CGG"),
        (BASE, "T,TGG"),
        (BASE, "TGG,GTA"),
        (deletion, "C,TA"),
        (BASE, "T,*"),
    ]
    for ref, alt in draw(st.lists(st.sampled_from(alleles), max_size=4, unique=True)):
        parts = {alt[0] + ref[1:] if len(alt) < 3 else alt for alt in alt.split(",")}
        if parts & taken:
            continue
        taken |= parts
        last = alt.count(",") + 1
        separator = draw(st.sampled_from(["/", "|"]))
        genotype = separator.join(str(draw(st.integers(0, last))) for _ in range(ploidy))
        depths = ",".join(str(draw(st.sampled_from([0, 7, 12]))) for _ in range(last + 1))
        count = (last + 1) * (last + 2) // 2 if ploidy == 2 else last + 1
        likelihoods = ",".join(str(draw(st.sampled_from([0, 5, 30, 300]))) for _ in range(count))
        phase_set = draw(st.sampled_from([".", "3", "9"]))
        gq = draw(st.sampled_from([50, 50, 3]))
        sample = f"{genotype}:{gq}:30:{depths}:{likelihoods}:{phase_set}"
        lines.append(line(POS, ref, alt, sample, format="GT:GQ:DP:AD:PL:PS"))
    return lines


def carriers(path: Path) -> tuple[Counter[Any], Counter[Any], dict[Any, set[str]]]:
    """Return AC of each atom that bcftools makes of a file, the copies of each carrier, and the phased carriers."""
    split = path.with_name("split.bcf")
    pysam.bcftools.norm("-m", "-any", "--atomize", "-Ob", "-o", str(split), str(path), catch_stdout=False)
    tagged = path.with_name("tagged.bcf")
    done = subprocess.run(["bcftools", "+fill-tags", str(split), "-Ob", "-o", str(tagged), "--", "-t", "AC"])
    assert done.returncode == 0
    counts: Counter[Any] = Counter()
    copies: Counter[Any] = Counter()
    phased: dict[Any, set[str]] = {}
    for row in pysam.VariantFile(str(tagged)):
        if row.alts is None or row.alts[0] == "*":
            continue
        allele = (row.pos, row.ref, row.alts[0])
        counts[allele] += row.info["AC"][0]
        for name, call in row.samples.items():
            copies[name, allele] += call["GT"].count(1)
            if call.phased and call["GT"].count(1) == 1 and len(call["GT"]) == 2:
                phased.setdefault((name, allele), set()).add("|".join(map(str, call["GT"])))
    return +counts, +copies, phased


OTHER_COPIES = [
    line(POS, BASE, "TGG", "0/1:50:30:0,0:5,5,0:.", format="GT:GQ:DP:AD:PL:PS"),
    line(POS, BASE, "G", "0|1:50:30:0,0:0,0,0:.", format="GT:GQ:DP:AD:PL:PS"),
]


@settings(max_examples=60, deadline=None)
@example([OTHER_COPIES], "joint")  # joint copies that the GT of the record does not have
@given(st.lists(tied_lines(), min_size=1, max_size=4), st.sampled_from(["called", "raw", "joint"]))
def test_both_forms_have_the_same_carriers(participants: list[list[str]], mode: str) -> None:
    with store_of(participants, batches=2) as (store, _snapshot, _paths):
        folder = store.path.parent
        by_allele = carriers(exported(store, folder, Content(mode=mode), name="a.bcf"))
        by_site = carriers(exported(store, folder, Content(mode=mode, by_position=True), name="s.bcf"))
        assert by_site[:2] == by_allele[:2]
        # a phase of the site is the phase of the allele
        for place, phase in by_site[2].items():
            assert phase == by_allele[2].get(place, phase)
