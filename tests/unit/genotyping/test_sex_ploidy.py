"""Joint genotypes have the participants' own ploidy, by sex and PARs; the caller's genotypes stay as they are."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pysam
import pytest
from baekman.cohort import dense_genotypes, rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.settings import Areas
from baekman.cohort.snapshot import read_sites, read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.cohort.verify.whole import verify
from baekman.export.write import Content, export
from baekman.freezes.freeze import freeze
from baekman.genome.regions import Region
from baekman.tables.files import table_path
from baekman.tables.make import make_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from support.store_tools import block, gvcf_text, line, write_reference

BASES = "CCGTCCGTCCGTCCGTCCGTCCGT"
CONTIGS = ("chr1", "chrX", "chrY")
PAR = (Region("chrX", 1, 8), Region("chrY", 1, 8))
IN_PAR, OUTSIDE = 5, 13  # places of a C
PLACES = [(contig, pos) for contig in CONTIGS for pos in (IN_PAR, OUTSIDE)]


@dataclass(frozen=True)
class Evidence:
    """The evidence of a gVCF at a place: a record of C>A with or without likelihoods, a block, or nothing."""

    kind: str  # row, block, nothing
    genotype: str = ""
    gq: int = 0
    pl: tuple[int, ...] = ()

    @property
    def ploidy(self) -> int:
        return len(self.genotype.split("/"))

    def text(self, contig: str, pos: int) -> list[str]:
        if self.kind == "nothing":
            return []
        if self.kind == "block":
            sample = f"{self.genotype}:30:{self.gq}:30"
            info = f"END={pos}"
            return [line(pos, "C", "<NON_REF>", sample, contig=contig, info=info, format="GT:DP:GQ:MIN_DP")]
        sample = f"{self.genotype}:{self.gq}:30:23,7" + (f":{','.join(map(str, self.pl))}" if self.pl else "")
        return [line(pos, "C", "A", sample, contig=contig, format="GT:GQ:DP:AD" + ":PL" * bool(self.pl))]


@st.composite
def evidence_at(draw: st.DrawFn) -> Evidence:
    kind = draw(st.sampled_from(["row", "row", "row", "block", "block", "nothing"]))
    ploidy = draw(st.sampled_from([2, 2, 2, 1]))
    if kind == "nothing":
        return Evidence(kind)
    if kind == "block":
        return Evidence(kind, "/".join("0" * ploidy), draw(st.sampled_from([0, 3, 9, 20, 50])))
    genotype = draw(st.sampled_from(["0/0", "0/1", "1/1", "1/1", "./."] if ploidy == 2 else ["0", "1", "."]))
    likelihoods = st.lists(st.integers(0, 60), min_size=ploidy + 1, max_size=ploidy + 1).map(tuple)
    return Evidence(kind, genotype, draw(st.sampled_from([5, 20, 40])), draw(st.one_of(st.just(()), likelihoods)))


@st.composite
def people(draw: st.DrawFn) -> list[tuple[str, list[Evidence]]]:
    """Draw participants, each with a sex and the evidence at every place."""
    sex = st.sampled_from(["male", "male", "female", "unknown"])
    evidence = st.lists(evidence_at(), min_size=len(PLACES), max_size=len(PLACES))
    return draw(st.lists(st.tuples(sex, evidence), min_size=1, max_size=5))


def own_ploidy(sex: str, contig: str, pos: int, evidence: Evidence, *, known: bool) -> int:
    if known and sex == "male" and contig in ("chrX", "chrY") and pos == OUTSIDE:
        return 1
    return evidence.ploidy


def posterior(pl: Sequence[int], frequency: float) -> list[float]:
    """Return the posterior of 0…n copies: likelihood times the Hardy-Weinberg prior."""
    n = len(pl) - 1
    prior = [1 - frequency, frequency]
    if n == 2:
        prior = [(1 - frequency) ** 2, 2 * frequency * (1 - frequency), frequency**2]
    weights = [10 ** (-value / 10) * share for value, share in zip(pl, prior, strict=True)]
    return [weight / sum(weights) for weight in weights]


def joint(evidence: Evidence, ploidy: int, frequency: float) -> tuple[set[int | None], set[int | None]]:
    """Return the possible copies and qualities of a joint genotype of this ploidy: several only by rounding."""
    if evidence.kind == "nothing" or (evidence.kind == "block" and evidence.gq == 0):
        return {None}, {None}
    if evidence.kind == "row" and len(set(evidence.pl)) < 2:  # equal likelihoods are no evidence
        if "." in evidence.genotype:
            return {None}, {evidence.gq}
        copies = evidence.genotype.count("1")
        if ploidy < evidence.ploidy and copies == 1:
            return {None}, {None}
        return {copies // (2 if ploidy < evidence.ploidy else 1)}, {evidence.gq}
    pl: Sequence[int] = evidence.pl or [0, evidence.gq, 2 * evidence.gq][: ploidy + 1]
    if len(pl) > ploidy + 1:
        pl = [pl[0], pl[2]]
    chances = posterior(pl, frequency)
    best = {k for k, chance in enumerate(chances) if max(chances) - chance < 1e-9}
    exact = [-10 * log10(1 - chances[k]) if chances[k] < 1 else 99.0 for k in best]
    return set(best), {min(99, floor(value + step)) for value in exact for step in (-1e-6, 1e-6)}


@contextmanager
def store_of(
    everyone: list[tuple[str, list[Evidence]]], *, par: Sequence[Region] = PAR, batches: int = 1
) -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [
            [text for place, evidence in zip(PLACES, saying, strict=True) for text in evidence.text(*place)]
            for _, saying in everyone
        ]
        yield made(folder, lines, [sex for sex, _ in everyone], par=par, batches=batches)


def made(
    folder: Path, lines: list[list[str]], sexes: list[str], *, par: Sequence[Region] = PAR, batches: int = 1
) -> Store:
    """Return a store of participants P0, P1, … in ``batches`` batches."""
    reference = write_reference(folder / "ref.fa", dict.fromkeys(CONTIGS, BASES))
    store = create_store(folder / "cohort", reference=reference, areas=Areas(par=par))
    members = []
    for number, (texts, sex) in enumerate(zip(lines, sexes, strict=True)):
        path = folder / f"P{number}.g.vcf"
        path.write_text(gvcf_text(texts, contigs=dict.fromkeys(CONTIGS, len(BASES)), sample=f"P{number}"))
        members.append(Member(participant_id=f"P{number}", gvcf=str(path), sex=sex))
    for batch in range(batches):
        if members[batch::batches]:
            add_batch(store, batch=f"b{batch}", members=members[batch::batches])
    return store


def exported(store: Store, *, mode: str = "joint", by_position: bool = False, form: str = "bcf") -> Path:
    folder = Path(tempfile.mkdtemp(dir=store.path.parent))
    output = folder / {"bcf": "x.bcf", "vcf": "x.vcf", "pgen": "x.pgen", "zarr": "x.vcz"}[form]
    content = Content(mode=mode, by_position=by_position)
    export(store, read_snapshot(store), format=form, output=output, content=content)
    return output


def frequencies(store: Store) -> dict[tuple[str, int], float]:
    snapshot = read_snapshot(store)
    return {
        (site["contig"], site["pos"]): site["af_joint"]
        for shard in range(len(store.shards))
        for site in read_sites(store, snapshot, shard).to_pylist()
    }


def check(store: Store, everyone: list[tuple[str, list[Evidence]]], *, known: bool) -> None:
    """Dense matrix, both forms of the export and the tables against the plain computation."""
    prior = frequencies(store)
    expected: dict[tuple[str, int, str], tuple[set[int | None], set[int | None], int, Evidence]] = {}
    for number, (sex, saying) in enumerate(everyone):
        for (contig, pos), evidence in zip(PLACES, saying, strict=True):
            if (contig, pos) in prior:
                ploidy = own_ploidy(sex, contig, pos, evidence, known=known)
                found = joint(evidence, ploidy, prior[contig, pos])
                expected[contig, pos, f"P{number}"] = (*found, ploidy, evidence)
    snapshot = read_snapshot(store)
    for number, shard in enumerate(store.shards):
        sites = read_sites(store, snapshot, number)
        if not sites.num_rows:
            continue
        evidence = dense_genotypes.read_evidence(store, snapshot, number, alleles=sites)
        shown = dense_genotypes.genotypes(evidence, mode=dense_genotypes.JOINT)
        for (row, column), value in np.ndenumerate(shown.copies):
            key = (shard.contig, sites["pos"][row].as_py(), f"P{column}")
            copies, _, ploidy, evidence = expected[key]
            assert (None if value < 0 else int(value)) in copies, key
            if value >= 0:
                assert shown.ploidy[row, column] == ploidy, key
    for by_position in (False, True):
        for record in pysam.VariantFile(str(exported(store, by_position=by_position))):
            genotypes = [call["GT"] for call in record.samples.values()]
            alleles = [allele for genotype in genotypes for allele in genotype if allele is not None]
            assert (record.info["AC"], record.info["AN"]) == ((sum(alleles),), len(alleles))
            assert sum(alleles)
            for name, call in record.samples.items():
                copies, gq, ploidy, evidence = expected[record.chrom, record.pos, name]
                genotype = call["GT"]
                assert (None if None in genotype else sum(genotype)) in copies, (record.chrom, record.pos, name)
                assert call["GQ"] in gq, (record.chrom, record.pos, name)
                if evidence.kind != "nothing":
                    assert len(genotype) == ploidy
                if len(set(evidence.pl)) > 1:  # equal likelihoods are no evidence, and the store does not keep them
                    halved = (evidence.pl[0], evidence.pl[2]) if ploidy < evidence.ploidy else evidence.pl
                    assert call["PL"] == halved
    make_tables(store, output=store.path.parent / "tables")
    for number in range(len(everyone)):
        for row in pq.read_table(table_path(store.path.parent / "tables", f"P{number}")).to_pylist():
            copies, gq, ploidy, evidence = expected[row["contig"], row["pos"], f"P{number}"]
            assert (row["joint_ploidy"], row["ploidy"]) == (ploidy, evidence.ploidy)
            if copies == {None} and "." in evidence.genotype:
                copies = {0}  # of a row that names the allele, and says no genotype
            assert row["joint_copies"] in copies
            assert row["joint_gq"] in gq


@settings(max_examples=25, deadline=None)
@given(everyone=people(), batches=st.integers(1, 2))
def test_joint_genotypes_have_the_participants_own_ploidy(
    everyone: list[tuple[str, list[Evidence]]], batches: int
) -> None:
    with store_of(everyone, batches=batches) as store:
        check(store, everyone, known=True)
        assert verify(store) == []


@settings(max_examples=10, deadline=None)
@given(everyone=people())
def test_nothing_changes_where_the_pars_are_not_known(everyone: list[tuple[str, list[Evidence]]]) -> None:
    with store_of(everyone, par=()) as store:
        check(store, everyone, known=False)


@settings(max_examples=10, deadline=None)
@given(everyone=people(), mode=st.sampled_from(["called", "raw"]), by_position=st.booleans())
def test_called_and_raw_genotypes_are_those_of_the_caller(
    everyone: list[tuple[str, list[Evidence]]], mode: str, by_position: bool
) -> None:
    with store_of(everyone) as store, store_of(everyone, par=()) as plain:
        lines = [
            pysam.bcftools.query("-f", "%CHROM %POS %AC %AN[ %GT:%GQ:%DP:%PL]\n", str(path))
            for path in (exported(each, mode=mode, by_position=by_position) for each in (store, plain))
        ]
        assert lines[0] == lines[1]


@settings(max_examples=10, deadline=None)
@given(everyone=people())
def test_results_do_not_depend_on_batches(everyone: list[tuple[str, list[Evidence]]]) -> None:
    with store_of(everyone) as whole, store_of(everyone, batches=3) as many:
        assert exported(whole).read_bytes() == exported(many).read_bytes()
        freezes = [store.path.parent / "freeze" for store in (whole, many)]
        for store, output in zip((whole, many), freezes, strict=True):
            freeze(store, output=output)
        files = [
            # sites and tables; participants.parquet names batches
            {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*/*.parquet")}
            for output in freezes
        ]
        assert files[0] == files[1]


def shown(path: Path) -> dict[tuple[str, int, str, str], list[str]]:
    """GT and GQ of everybody, by contig, position, REF and ALTs."""
    calls_at = {}
    for row in pysam.bcftools.query("-f", "%CHROM %POS %REF %ALT[ %GT:%GQ]\n", str(path)).splitlines():
        contig, pos, ref, alt, *calls = row.split()
        calls_at[contig, int(pos), ref, alt] = calls
    return calls_at


def test_several_alleles_and_deletions_of_a_male_called_diploid(tmp_path: Path) -> None:
    """One copy has one of the alleles; a heterozygous deletion without likelihoods may be on it or not."""
    carrier = line(14, "C", "A,G", "1/1:99:30:0,30,0:600,60,0,600,60,600", contig="chrX")
    lines = [
        [line(14, "C", "A,G", "1/2:99:30:0,10,20:600,200,180,300,0,250", contig="chrX")],
        [line(13, "CCG", "C", "1/1:99:30:0,30:600,90,0", contig="chrX"), block(16, 20, "T", contig="chrX")],
        [line(13, "CCG", "C", "0/1:99:30:15,15:200,0,210", contig="chrX"), block(16, 20, "T", contig="chrX")],
        [line(14, "C", "A,G", "1/2:99:30:0,10,20", contig="chrX", format="GT:GQ:DP:AD")],
        [carrier],
    ]
    store = made(tmp_path, lines, ["male"] * 4 + ["female"])
    assert verify(store) == []
    calls_of = {key[3]: calls for key, calls in shown(exported(store)).items() if key[1] == 14}
    genotypes = {alt: [call.split(":")[0] for call in calls] for alt, calls in calls_of.items()}
    # of the first: 180 phred for two copies of A and 250 for none, of G 250 and 180
    assert genotypes == {"A": ["1", "0", "0", ".", "1/1"]}
    (key, calls) = next((key, calls) for key, calls in shown(exported(store, by_position=True)).items() if key[1] == 14)
    assert key[3].endswith("*")
    star = str(len(key[3].split(",")))
    assert [call.split(":")[0] for call in calls] == ["1", star, star, ".", "1/1"]


@pytest.mark.parametrize("by_position", [False, True])
@pytest.mark.parametrize("form", ["vcf", "bcf", "pgen", "zarr"])
def test_every_form_of_the_export_has_haploid_males(tmp_path: Path, form: str, by_position: bool) -> None:
    texts = [line(OUTSIDE, "C", "A", "1/1:99:30:0,30:600,90,0", contig="chrX")]
    store = made(tmp_path, [texts, texts, [block(OUTSIDE, 20, "C", contig="chrX")]], ["male", "female", "male"])
    output = exported(store, by_position=by_position, form=form)
    if form in ("vcf", "bcf"):
        ((_, calls),) = shown(output).items()
        assert [call.split(":")[0] for call in calls] == ["1", "1/1", "0"]
        done = subprocess.run(
            ["bcftools", "+fill-tags", str(output), "-Ou", "-o", "/dev/null", "--", "-t", "all"], capture_output=True
        )
        assert (done.returncode, b"rror" in done.stderr) == (0, False), done.stderr
    elif form == "zarr":
        import zarr

        genotypes: Any = zarr.open(str(output), mode="r")["call_genotype"]
        assert np.asarray(genotypes[0]).tolist() == [[1, -2], [1, 1], [0, -2]]
    else:
        done = subprocess.run(
            ["plink2", "--pfile", str(output.with_suffix("")), "--export", "vcf", "--out", str(tmp_path / "back")],
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout
        (row,) = (row for row in (tmp_path / "back.vcf").read_text().splitlines() if row[0] != "#")
        assert row.split("\t")[9:] == ["1", "1/1", "0"]


def test_pars_of_the_cohort_s_store_decide(tmp_path: Path) -> None:
    texts = [line(OUTSIDE, "C", "A", "0/1:99:30:15,15:400,0,380", contig="chrX")]
    store = made(tmp_path, [texts], ["male"], par=[Region("X", 13, 13)])
    ((_, calls),) = shown(exported(store)).items()
    assert calls[0].startswith("0/1")
    description = json.loads((store.path / "store.json").read_text())
    assert description["par_regions"] == [{"contig": "X", "start": 13, "end": 13}]


def test_hardy_weinberg_on_x_leaves_males_out(tmp_path: Path) -> None:
    """AC, AN and the frequencies of called genotypes count all participants with the callers' ploidy."""
    het, hom = (line(OUTSIDE, "C", "A", f"{call}:99:30:15,15:{pl}", contig="chrX") for call, pl in
                (("0/1", "400,0,380"), ("1/1", "600,90,0")))  # fmt: skip
    texts = [[het], [het], [hom], [block(9, 20, "C", contig="chrX")], [block(3, 20, "G", contig="chrX")]]
    weak = [
        line(OUTSIDE, "C", "A", "1/1:5:30:15,15:5,1,0", contig="chrX"),
        line(OUTSIDE, "C", "CT", "0/1:99:30:15,15:400,0,380", contig="chrX"),
    ]
    (tmp_path / "all").mkdir()
    (tmp_path / "women").mkdir()
    sexes = ["female"] * 5 + ["male"] * 6
    everyone = made(tmp_path / "all", [*texts, *texts, weak], sexes, batches=2)
    women = made(tmp_path / "women", texts, sexes[:5])
    sites = []
    for store in (everyone, women):
        shard = next(number for number, shard in enumerate(store.shards) if shard.contig == "chrX")
        rows = read_sites(store, read_snapshot(store), shard).to_pylist()
        sites.append(next(row for row in rows if row["alt"] == "A"))
    for name in ("hwe_p", "excess_het", "inbreeding"):
        assert sites[0][name] == sites[1][name]
    assert [(site["ac"], site["an"]) for site in sites] == [(8, 20), (4, 10)]
    assert (sites[0]["het"], sites[0]["het_one"], sites[0]["hom"], sites[0]["hom_one"]) == (4, 2, 2, 1)
    assert sites[0]["uncalled_one"] == 1
    assert verify(everyone) == []


def test_the_frequency_of_joint_genotypes_counts_a_male_s_x_once(tmp_path: Path) -> None:
    def frequency(name: str, sex: str, calls: list[str]) -> float:
        (tmp_path / name).mkdir()
        texts = [line(OUTSIDE, "C", "A", call, contig="chrX") for call in calls]
        store = made(tmp_path / name, [[text] for text in texts], [sex] * len(calls))
        return frequencies(store)["chrX", OUTSIDE]

    diploid = ["1/1:99:30:0,30:600,90,0", "0/0:99:30:20,10:0,90,600", "1/1:99:30:0,30:600,90,0"]
    haploid = ["1:99:30:0,30:600,0", "0:99:30:20,10:0,600", "1:99:30:0,30:600,0"]
    assert frequency("diploid", "male", diploid) == frequency("haploid", "male", haploid)
    assert frequency("female", "female", diploid) != frequency("unknown", "male", haploid[::-1])


def test_males_keep_one_copy_through_withdrawal_and_compaction(tmp_path: Path) -> None:
    hom = line(OUTSIDE, "C", "A", "1/1:99:30:0,30:600,90,0", contig="chrX")
    store = made(tmp_path, [[hom]] * 5, ["male", "female", "male", "female", "male"], batches=2)
    rewrite.withdraw(store, ["P0"])
    assert verify(store) == []
    rewrite.compact(store)
    assert verify(store) == []
    ((_, calls),) = shown(exported(store)).items()
    assert [call.split(":")[0] for call in calls] == ["1/1", "1", "1/1", "1"]
