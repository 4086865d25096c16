"""Every format of the export, opened in its own tools: the same genotypes and counts as the store's own BCF."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pysam.bcftools
import pytest
from baekman import open_cohort
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.settings import Areas
from baekman.cohort.store import Store, create_store
from baekman.errors import InputRefused
from baekman.export.pgen import variant_id
from baekman.export.selection import Only
from baekman.export.write import Content
from baekman.genome.regions import Region
from support.exports import exported
from support.store_tools import baekman, block, gvcf_text, line, write_reference

LENGTHS = {"chr1": 40_000, "chrX": 4000, "chrY": 1000, "chrM": 1000, "chrUn_1": 500}
PAR = (Region("chrX", 1, 1000), Region("chrX", 3501, 4000))
SEXES = {"10": "male", "9": "female", "P3": "female", "P4": "male"}
FORMS = [Content(mode=mode, by_position=sites) for mode in ("called", "raw", "joint") for sites in (False, True)]
LIKELIHOODS = {"0/1": "300,0,300", "0|1": "300,0,300", "1/1": "600,60,0", "0/0": "0,90,900", "1": "500,0", "0": "0,900"}


def genome() -> dict[str, str]:
    chosen = random.Random(7)
    return {name: "".join(chosen.choice("ACGT") for _ in range(length)) for name, length in LENGTHS.items()}


class Carriers:
    """Records of a participant."""

    def __init__(self, bases: dict[str, str]) -> None:
        self.bases = bases
        self.lines: list[str] = []

    def add(self, contig: str, pos: int, genotype: str, *, alt: str = "", size: int = 1, gq: int = 99) -> None:
        """Add a record: a mismatch unless ``alt`` is given; ``size``: the length of REF."""
        ref = self.bases[contig][pos - 1 : pos - 1 + size]
        depths = "0,20" if "0" not in genotype else "10,10"
        sample = f"{genotype}:{gq}:20:{depths}:{LIKELIHOODS[genotype]}"
        alt = alt or {"A": "C", "C": "T", "G": "T", "T": "A"}[ref[0]]
        self.lines.append(line(pos, ref, alt.replace("^", ref[0]), sample, contig=contig))


def records(number: int, sex: str, bases: dict[str, str]) -> list[str]:
    """Return a gVCF's records: each kind of allele and ploidy."""
    carrier = Carriers(bases)
    male = sex == "male"
    carrier.lines.append(block(1, 499, bases["chr1"][0], contig="chr1"))
    carrier.add("chr1", 500, ["0/1", "0|1", "1/1", "0/0"][number])
    carrier.add("chr1", 600, "0/1", alt="^" + "ACCA" * 70 + "GT"[number % 2])  # alike in their first 200 letters
    carrier.add("chr1", 700, "0/1", gq=[99, 3, 99, 3][number])
    if number == 1:
        carrier.add("chr1", 800, "0/1", size=2, alt=next(base for base in "ACGT" if base not in bases["chr1"][799:801]))
    elif number == 2:
        carrier.add("chr1", 800, "0/1")
    if number < 2:
        carrier.add("chr1", 32_700, "0/1", size=300, alt="^")  # over 2^15
    if male:
        carrier.lines.append(block(32_766, 32_770, bases["chr1"][32_765], contig="chr1"))
    carrier.add("chr1", 33_100, "0/1")
    carrier.add("chrX", 500, "0/1" if male else "1/1")
    carrier.add("chrX", 2000, "1" if male else ["0/1", "0/1", "0/0", ""][number])
    carrier.add("chrX", 3600, "0/1")
    if male:
        carrier.add("chrY", 300, "1" if number else "0")
    carrier.add("chrM", 300, "1" if number < 2 else "0")
    if number == 3:
        carrier.add("chrUn_1", 7, "1/1")
    return carrier.lines


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("tools")
    bases = genome()
    reference = write_reference(folder / "ref.fa", bases)
    store = create_store(folder / "cohort", reference=reference, areas=Areas(par=PAR))
    members = []
    for number, (name, sex) in enumerate(SEXES.items()):
        path = folder / f"{name}.g.vcf"
        path.write_text(gvcf_text(records(number, sex, bases), contigs=LENGTHS, sample=name))
        members.append(Member(participant_id=name, gvcf=str(path), sex=sex))
    add_batch(store, batch="b1", members=members[:2])
    add_batch(store, batch="b2", members=members[2:])
    return store


def form_name(content: Content) -> str:
    return f"{content.mode}{'-sites' if content.by_position else ''}"


def sites_of(path: Path) -> list[list[str]]:
    """Return contig, POS, REF, ALT, AC, AN of each record, as bcftools counts them again."""
    tagged = path.with_name("tagged.bcf")
    subprocess.run(["bcftools", "+fill-tags", str(path), "-Ob", "-o", str(tagged), "--", "-t", "AC,AN"], check=True)
    text = pysam.bcftools.query("-f", "%CHROM\t%POS\t%REF\t%ALT\t%AC\t%AN\n", str(tagged))
    return [row.split("\t") for row in text.splitlines()]


@pytest.mark.parametrize("content", FORMS, ids=form_name)
@pytest.mark.parametrize("name", ["x.bcf", "x.vcf.gz"])
def test_bcftools_counts_what_info_says(cohort: Store, tmp_path: Path, content: Content, name: str) -> None:
    path = exported(cohort, tmp_path, content, name=name, form=name.split(".")[1])
    text = pysam.bcftools.query("-f", "%CHROM\t%POS\t%REF\t%ALT\t%AC\t%AN\n", str(path))
    assert sites_of(path) == [row.split("\t") for row in text.splitlines()]
    assert {row.split("\t")[0] for row in text.splitlines()} == set(LENGTHS)


def test_bcftools_finds_regions_by_the_index(cohort: Store, tmp_path: Path) -> None:
    for name in ("x.bcf", "x.vcf.gz"):
        path = exported(cohort, tmp_path, Content(), name=name, form=name.split(".")[1])
        for region, expected in {
            "chr1:500-500": [500],
            "chr1:501-599": [],
            "chr1:32769-32769": [32_700],
            "chrUn_1": [7],
            "chr1:33100": [33_100],
        }.items():
            positions = pysam.bcftools.query("-f", "%POS\n", "-r", region, str(path)).split()
            assert list(map(int, positions)) == expected, (name, region)


def plink_counts(prefix: Path) -> list[list[str]]:
    """Return ID, copies of each ALT and the number of alleles by plink2."""
    plink = ["plink2", "--pfile", str(prefix), "--allow-extra-chr", "--freq", "counts", "cols=altfreq,nobs"]
    subprocess.run([*plink, "--out", str(prefix)], check=True, capture_output=True)
    rows = prefix.with_suffix(".acount").read_text().splitlines()
    assert rows[0].split("\t") == ["#ID", "ALT_CTS", "OBS_CT"]
    return [row.split("\t") for row in rows[1:]]


@pytest.mark.parametrize("content", FORMS, ids=form_name)
def test_plink2_counts_each_chromosome_as_the_cohort_does(cohort: Store, tmp_path: Path, content: Content) -> None:
    """In the PARs of X all are diploid, outside males are haploid; Y is of males; MT is haploid."""
    expected = sites_of(exported(cohort, tmp_path, content))
    exported(cohort, tmp_path, content, name="x.pgen", form="pgen")
    ids = [variant_id(contig, pos, ref, alt) for contig, pos, ref, alt, _, _ in expected]
    assert len(set(ids)) == len(ids)
    assert plink_counts(tmp_path / "x") == [[name, *site[4:]] for name, site in zip(ids, expected, strict=True)]
    rows = [row.split("\t") for row in (tmp_path / "x.pvar").read_text().splitlines() if not row.startswith("##")][1:]
    codes = {"chrX:500": "PAR1", "chrX:2000": "chrX", "chrX:3600": "PAR2"}
    assert [row[0] for row in rows] == [codes.get(f"{site[0]}:{site[1]}", site[0]) for site in expected]
    assert (tmp_path / "x.psam").read_text().split() == ["#IID", "SEX", "10", "1", "9", "2", "P3", "2", "P4", "1"]


def plink_genotypes(*source: str | Path, output: Path) -> dict[tuple[str, str], list[int]]:
    """Return heterozygotes, homozygotes and haploid carriers of each ALT by contig and position, by plink2."""
    columns = "cols=chrom,pos,refalt1,homalt1,hapalt1"
    options = ["--allow-extra-chr", "--geno-counts", columns, "--out", output]
    subprocess.run(["plink2", *map(str, (*source, *options))], check=True, capture_output=True)
    rows = [row.split("\t") for row in output.with_suffix(".gcount").read_text().splitlines()]
    assert rows[0][:2] == ["#CHROM", "POS"] and rows[0][-3:] == ["HET_REF_ALT1_CT", "HOM_ALT1_CT", "HAP_ALT1_CT"]
    return {(row[0], row[1]): [int(count) for count in row[-3:]] for row in rows[1:]}


def test_plink2_has_the_zygosities_of_the_sites_also_from_the_vcf(cohort: Store, tmp_path: Path) -> None:
    """Males are haploid on X outside the PARs and on Y, and diploid in the PARs; in a VCF by `--split-par`."""
    ours = baekman(
        "query", "--cohort", cohort.path, "--sql", "SELECT contig, pos, alt, het, hom, hemi, ac_raw FROM sites"
    )
    rows = [row.split("\t") for row in ours.stdout.splitlines()[1:]]
    once = {place for place in {(r[0], r[1]) for r in rows} if sum((r[0], r[1]) == place for r in rows) == 1}
    expected = {(r[0], r[1]): [int(n) for n in r[3:6]] for r in rows if (r[0], r[1]) in once and r[6] != "0"}
    assert {("chrX", "500"), ("chrX", "2000"), ("chrX", "3600"), ("chrY", "300"), ("chrM", "300")} <= {*expected}
    assert expected["chrX", "500"] == [2, 2, 0] and expected["chrX", "2000"][2] == 2
    exported(cohort, tmp_path, Content(), name="x.pgen", form="pgen")
    exported(cohort, tmp_path, Content(), name="x.vcf.gz", form="vcf")
    vcf = ["--vcf", tmp_path / "x.vcf.gz", "--update-sex", tmp_path / "x.psam", "--split-par", 1000, 3501]
    for source in (["--pfile", tmp_path / "x"], vcf):
        found = plink_genotypes(*source, output=tmp_path / "g")
        names = {"X": "chrX", "PAR1": "chrX", "PAR2": "chrX", "Y": "chrY", "MT": "chrM", "chrMT": "chrM", "1": "chr1"}
        counted = {(names.get(contig, contig), pos): counts for (contig, pos), counts in found.items()}
        assert {place: counted[place] for place in expected} == expected


def selected_lines(path: Path) -> list[str]:
    return pysam.bcftools.query("-f", "%CHROM %POS %REF %ALT %AC %AN[ %SAMPLE=%GT:%GQ:%DP]\n", str(path)).splitlines()


@pytest.mark.parametrize("mode", ["called", "raw", "joint"])
def test_a_selection_is_what_bcftools_selects_of_everything(cohort: Store, tmp_path: Path, mode: str) -> None:
    """Participants, overlapping lines of BED and the fewest copies: `bcftools view -S -T -c` of the full export."""
    bed, ids = tmp_path / "r.bed", tmp_path / "ids.txt"
    bed.write_text("chrX\t1999\t2000\nchr1\t499\t700\nchr1\t600\t33099\nchrX\t0\t1000\n")
    whole = exported(cohort, tmp_path, Content(mode=mode), name="whole.bcf")
    for people in (["10", "P4"], ["9"], ["10", "9", "P3", "P4"]):
        ids.write_text("\n".join(people) + "\n")
        for least in (1, 2):
            output = tmp_path / "part.bcf"
            open_cohort(cohort.path).export(
                output, format="bcf", mode=mode, participants=people, regions=bed, min_ac=least
            )
            some = tmp_path / "some.bcf"
            selection = ["-S", str(ids), "-T", str(bed), "--targets-overlap", "0"]
            pysam.bcftools.view(*selection, "-Ob", "-o", str(some), str(whole), catch_stdout=False)
            frequent = tmp_path / "frequent.bcf"
            pysam.bcftools.view("-c", str(least), "-Ob", "-o", str(frequent), str(some), catch_stdout=False)
            assert selected_lines(output) == selected_lines(frequent) != []
        open_cohort(cohort.path).export(output, format="bcf", mode=mode, participants=people, regions=bed)
        assert {*selected_lines(frequent)} <= {*selected_lines(output)} <= {*selected_lines(some)}


def test_a_selection_by_position_has_the_alleles_of_one_by_allele(cohort: Store, tmp_path: Path) -> None:
    selection: Only = {"participants": ["10", "9"], "min_ac": 2}
    for name, by_position in (("a.bcf", False), ("p.bcf", True)):
        open_cohort(cohort.path).export(tmp_path / name, format="bcf", by_position=by_position, **selection)
    split = tmp_path / "split.bcf"
    pysam.bcftools.norm("-m", "-any", "--atomize", "-Ob", "-o", str(split), str(tmp_path / "p.bcf"), catch_stdout=False)

    def alleles(path: Path) -> list[str]:
        return sorted(pysam.bcftools.query("-f", "%CHROM %POS %REF %ALT %AC\n", str(path)).splitlines())

    assert alleles(split) == alleles(tmp_path / "a.bcf") != []


def test_a_selection_that_cannot_be_is_refused(cohort: Store, tmp_path: Path) -> None:
    def refusal(**only: Any) -> str:
        with pytest.raises(InputRefused) as refused:
            open_cohort(cohort.path).export(tmp_path / "x.bcf", format="bcf", **only)
        assert [*tmp_path.glob("x.bcf*")] == []
        return str(refused.value)

    step = '`baekman query --sql "SELECT participant_id FROM participants"` lists them'
    people = "--participants: expected IDs of participants of snapshot 2, found"
    assert refusal(participants=["P3", "P5", "10", "HOSP"]) == f"{people} 2 of 4 others: number 2, 4; {step}"
    assert refusal(participants=[]) == f"{people} none; {step}"
    bed = tmp_path / "x.bed"
    bed.write_text("chr1\t5\t9\n20\t0\t5\n")
    assert refusal(regions=bed) == (
        "x.bed: line 2: expected a contig of the reference, or of cohort.contig_aliases, found '20'; "
        "use a BED file for this reference, or name the contig in cohort.contig_aliases"
    )
    bed.write_text("# nothing\n")
    assert refusal(regions=bed).endswith("found no region; correct --regions")
    assert refusal(regions=bed, region="chr1") == (
        "--regions: expected --region or --regions, found both; give the region as a line of the BED file"
    )


def test_long_alleles_have_ids_of_their_own() -> None:
    first, second = ("A" * 300 + end for end in "CG")
    assert variant_id("chr1", "5", "A", "C,G") == "chr1:5:A:C:G"
    assert variant_id("chr1", "5", "A", first) == f"chr1:5:A:{'A' * 20}~301~92462997a934"
    assert variant_id("chr1", "5", "A", first) != variant_id("chr1", "5", "A", second)
    assert len(variant_id("chr1", "5", "A", ",".join(f"{first}{number}" for number in range(400)))) < 100


def vcf_rows(text: str) -> Iterator[list[Any]]:
    """Yield the fields of VCF records, with INFO and samples as mappings without missing values."""
    for row in text.splitlines():
        if row.startswith("#"):
            continue
        fields = row.split("\t")
        info = dict(item.split("=") for item in fields[7].split(";"))
        samples = []
        for sample in fields[9:]:
            values = dict(zip(fields[8].split(":"), sample.split(":"), strict=False))
            samples.append({key: value for key, value in values.items() if value.strip(".,")})
        yield [*fields[:7], info, samples]


def vcztools(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, "-m", "vcztools", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("content", FORMS, ids=form_name)
def test_vcztools_prints_the_vcf(cohort: Store, tmp_path: Path, content: Content) -> None:
    exported(cohort, tmp_path, content, name="x.vcf", form="vcf")
    printed = vcztools("view", exported(cohort, tmp_path, content, name="x.vcz", form="zarr"))
    assert list(vcf_rows(printed)) == list(vcf_rows((tmp_path / "x.vcf").read_text()))
    assert printed.splitlines()[-1].startswith("chrUn_1\t7\t")


def test_vcztools_finds_a_deletion_across_2_15(cohort: Store, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    path = exported(cohort, tmp_path, Content(), name="x.vcz", form="zarr")
    assert vcztools("query", "-f", "%POS\n", "-r", "chr1:32768-32999", path).split() == ["32700"]
    assert vcztools("query", "-f", "%POS\n", "-i", "INFO/AN*40>300", path).split()


@pytest.mark.parametrize("sites", [False, True])
def test_arrays_exist_only_where_a_value_does(cohort: Store, tmp_path: Path, sites: bool) -> None:
    zarr = pytest.importorskip("zarr")
    path = exported(cohort, tmp_path, Content(by_position=sites), name="x.vcz", form="zarr")
    group = zarr.open_group(str(path), mode="r")
    assert {name in group for name in ("call_LAA", "call_LPL")} == {sites}
    assert "call_PS" not in group
    assert [name for name, array in group.arrays() if 0 in array.shape] == []
    assert {group[name].dtype for name in ("variant_position", "variant_length", "call_AD")} == {np.dtype("int32")}


@pytest.mark.parametrize("content", FORMS[:2], ids=form_name)
def test_the_zarr_is_that_of_vcf2zarr(cohort: Store, tmp_path: Path, content: Content) -> None:
    zarr, vcf = pytest.importorskip("zarr"), pytest.importorskip("bio2zarr.vcf")
    source = exported(cohort, tmp_path, content, name="x.vcf.gz", form="vcf")
    vcf.convert([str(source)], str(tmp_path / "theirs.vcz"), worker_processes=0)
    theirs = zarr.open_group(str(tmp_path / "theirs.vcz"), mode="r")
    ours = zarr.open_group(str(exported(cohort, tmp_path, content, name="x.vcz", form="zarr")), mode="r")
    shared = {name for name, _ in ours.arrays()} & {name for name, _ in theirs.arrays()}
    assert {"call_genotype", "call_PL", "call_AD", "variant_AC", "variant_filter", "region_index"} <= shared
    assert {name for name, _ in ours.arrays()} <= shared
    diploid = ours["call_genotype"][:, :, 1] != -2
    for name in sorted(shared):
        if name == "region_index":  # theirs overflows with positions of 16 bits
            assert ours[name][:, :4].tolist() == theirs[name][:, :4].tolist()
        elif name == "call_genotype_phased":  # of a haploid genotype cyvcf2 reads no phase
            assert ours[name][:][diploid].tolist() == theirs[name][:][diploid].tolist()
        elif name == "variant_AF":  # six digits in text
            np.testing.assert_allclose(ours[name][:], theirs[name][:], rtol=1e-5)
        else:
            assert ours[name][:].tolist() == theirs[name][:].tolist(), name


@pytest.mark.parametrize("content", FORMS, ids=form_name)
def test_sgkit_counts_what_info_says(cohort: Store, tmp_path: Path, content: Content) -> None:
    """Run this in an environment of its own: sgkit 0.10 needs zarr 2."""
    sgkit = pytest.importorskip("sgkit")
    dataset = sgkit.load_dataset(str(exported(cohort, tmp_path, content, name="x.vcz", form="zarr")))
    counts = sgkit.variant_stats(dataset)
    assert (counts.variant_allele_count.values[:, 1:] == np.maximum(dataset.variant_AC.values, 0)).all()
    assert (counts.variant_allele_total.values == dataset.variant_AN.values).all()


@pytest.mark.parametrize("name", ["x.vcz", "x.vcf.gz", "x.bcf"])
def test_a_region_without_variants_is_read(cohort: Store, tmp_path: Path, name: str) -> None:
    form = {"vcz": "zarr", "gz": "vcf", "bcf": "bcf"}[name.rsplit(".", 1)[1]]
    content = Content(regions=(Region("chr1", 10_000, 11_000),), by_position=True)
    path = exported(cohort, tmp_path, content, name=name, form=form)
    text = vcztools("view", path) if form == "zarr" else pysam.bcftools.view(str(path))
    assert text.splitlines()[-1].split("\t")[9:] == list(SEXES)


def test_a_participant_that_plink2_cannot_name_is_refused(tmp_path: Path) -> None:
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c1": "ACGT" * 10}))
    (tmp_path / "0.g.vcf").write_text(gvcf_text([line(2, "C", "T", "0/1:50", format="GT:GQ")], contigs={"c1": 40}))
    add_batch(store, batch="b1", members=[Member(participant_id="0", gvcf=str(tmp_path / "0.g.vcf"))])
    output = ("--format", "pgen", "--output", tmp_path / "x.pgen")
    done = baekman("export", "--cohort", store.path, *output, check=False)
    assert (done.returncode, done.stderr) == (
        3,
        "refused: --format: pgen: expected participants with an ID other than 0: for plink2 it is a missing ID, "
        "found a participant 0; take --format bcf\n",
    )


def test_plink2_knows_x_by_its_accession(tmp_path: Path) -> None:
    """A male is haploid there, so that 1 of 1 is counted; the variant's ID keeps the name of the contig."""
    contig = "NC_000023.11"
    reference = write_reference(tmp_path / "ref.fa", {contig: "ACGT" * 100})
    store = create_store(tmp_path / "cohort", reference=reference, areas=Areas(par=[Region(contig, 1, 100)]))
    lines = [line(pos, "C", "T", f"{gt}:50", contig=contig, format="GT:GQ") for pos, gt in ((50, "0/1"), (202, "1"))]
    (tmp_path / "P1.g.vcf").write_text(gvcf_text(lines, contigs={contig: 400}))
    members = [Member(participant_id="P1", gvcf=str(tmp_path / "P1.g.vcf"), sex="male")]
    add_batch(store, batch="b1", members=members)
    exported(store, tmp_path, Content(), name="x.pgen", form="pgen")
    assert plink_counts(tmp_path / "x") == [[f"{contig}:50:C:T", "1", "2"], [f"{contig}:202:C:T", "1", "1"]]
