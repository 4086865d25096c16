"""Laws 5 and 6: the export says what the gVCFs say, and its AC and AN are a count over it and those of the sites."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cyvcf2
import pysam
import pysam.bcftools
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import read_sites, read_snapshot
from baekman.cohort.store import Store, create_store, open_store
from baekman.cohort.verify.whole import verify
from baekman.export import write as exports
from baekman.export.write import Content, export
from baekman.gvcf.thresholds import Thresholds
from support.state_oracle import alleles_of, answer, read_records
from support.store_tools import baekman, block, gvcf_text, line, reference_from_gvcfs, write_reference

GENOME = "ACGTTTTACACACAGGCATTAGCCCGATATATACGGGTCAATTGGCCAACTGACTTTTTTGCA"
FORMS = [Content(mode=mode, by_position=sites) for mode in ("called", "raw", "joint") for sites in (False, True)]


def form_name(content: Content) -> str:
    return f"{content.mode}{'-sites' if content.by_position else ''}"


@pytest.fixture(scope="session")
def fifty(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of the 50 real gVCFs in three batches."""
    folder = tmp_path_factory.mktemp("fifty")
    gvcfs = sorted((shared_data / "gvcf" / "gatk_1kg50_grch38_chr22").glob("*.g.vcf.gz"))
    reference = reference_from_gvcfs(gvcfs, folder / "ref.fa", contigs=["chr22"])
    store = create_store(folder / "cohort", reference=reference)
    for batch in range(3):
        members = [Member(participant_id=path.name.split(".")[0], gvcf=str(path)) for path in gvcfs[batch::3]]
        add_batch(store, batch=f"b{batch}", members=members)
    return folder / "cohort"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three participants: an SNV and an indel at one position, 1/2, a spanning deletion, haploid, phased, weak."""
    folder = tmp_path_factory.mktemp("small")
    store = create_store(
        folder / "cohort",
        reference=write_reference(folder / "ref.fa", {"c1": GENOME}),
        thresholds=Thresholds(min_gq=20),
    )
    texts = {
        "A": [
            block(1, 2, "A"),
            line(3, "G", "A,C,<NON_REF>", "1/2:50:30:0,14,16,0:500,200,300,250,0,400,600,600,600,600"),
            line(19, "TTA", "T,<NON_REF>", "0/1:40:20:11,9,0:40,0,200,300,300,300"),
            block(22, 40, "G"),
        ],
        "B": [
            block(1, 18, "A", gq=12),
            line(19, "T", "A,<NON_REF>", "1/1:30:10:0,10,0:300,30,0,400,400,400"),
            line(20, "T", "C,<NON_REF>", "0|1:99:30:15,15,0:99,0,99,400,400,400:20", format="GT:GQ:DP:AD:PL:PS"),
            block(21, 40, "A"),
        ],
        "C": [
            line(3, "G", "C,<NON_REF>", "1:60:12:0,12,0:300,0,500"),
            line(4, "T", "<NON_REF>", "0:30:50:28", info="END=19", format="GT:DP:GQ:MIN_DP"),
            line(20, "T", "G,<NON_REF>", "0/1:9:3:2,1,0:9,0,50,99,99,99"),
        ],
    }
    members = []
    for name, lines in texts.items():
        path = folder / f"{name}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={"c1": len(GENOME)}, sample=name))
        members.append(Member(participant_id=name, gvcf=str(path)))
    add_batch(store, batch="b", members=members)
    return folder / "cohort"


def exported(store: Store, folder: Path, content: Content, *, name: str = "x.bcf", form: str = "bcf") -> Path:
    export(store, read_snapshot(store), format=form, output=folder / name, content=content)
    return folder / name


def lines_of(path: Path) -> Iterator[str]:
    yield from pysam.bcftools.view("-H", str(path)).splitlines()


def genotype_counts(path: Path) -> list[tuple[tuple[str, int, str, tuple[str, ...]], list[int], int]]:
    """(contig, pos, ref, alts), copies of each ALT and alleles of every line, counted by cyvcf2."""
    found = []
    for record in cyvcf2.VCF(str(path)):
        ac = [0] * len(record.ALT)
        an = 0
        for *genotype, _phased in record.genotypes:
            for allele in genotype:
                if allele >= 0:
                    an += 1
                    if allele:
                        ac[allele - 1] += 1
        info_ac = record.INFO["AC"]
        info = list(info_ac) if isinstance(info_ac, tuple) else [info_ac]
        assert (info, record.INFO["AN"]) == (ac, an), record.POS
        found.append(((record.CHROM, record.POS, record.REF, tuple(record.ALT)), ac, an))
    return found


@pytest.mark.parametrize("content", FORMS, ids=form_name)
def test_ac_and_an_are_a_count_over_the_export(fifty: Path, tmp_path: Path, content: Content) -> None:
    counts = genotype_counts(exported(open_store(fifty), tmp_path, content))
    assert len(counts) > 500


@pytest.mark.parametrize("mode", ["called", "raw"])
def test_ac_and_an_of_the_export_are_those_of_the_sites(fifty: Path, tmp_path: Path, mode: str) -> None:
    store = open_store(fifty)
    suffix = "" if mode == "called" else "_raw"
    counts = genotype_counts(exported(store, tmp_path, Content(mode=mode)))
    sites = read_sites(store, read_snapshot(store), 0).to_pylist()
    assert counts == [
        ((site["contig"], site["pos"], site["ref"], (site["alt"],)), [site[f"ac{suffix}"]], site[f"an{suffix}"])
        for site in sites
        if site["ac_raw"] > 0
    ]


@pytest.mark.parametrize("raw", [False, True], ids=["called", "raw"])
def test_export_says_what_the_gvcfs_say(shared_data: Path, fifty: Path, tmp_path: Path, raw: bool) -> None:
    store = open_store(fifty)
    path = exported(store, tmp_path, Content(mode="raw" if raw else "called"))
    with pysam.FastaFile(str(fifty.parent / "ref.fa")) as fasta:
        genome = fasta.fetch("chr22")
    compared = 0
    for gvcf in sorted((shared_data / "gvcf" / "gatk_1kg50_grch38_chr22").glob("*.g.vcf.gz"))[::10]:
        participant = gvcf.name.split(".")[0]
        records = read_records(gvcf, genome, "chr22")
        assert alleles_of(records)
        for record in pysam.VariantFile(str(path)):
            state, copies = answer(records, (record.pos, record.ref, record.alts[0]), raw=raw)
            genotype = record.samples[participant]["GT"]
            shown = None if None in genotype else sum(genotype)
            assert shown == copies, (participant, record.pos, state)
            compared += 1
    assert compared > 2000


@pytest.mark.parametrize("content", FORMS, ids=form_name)
def test_bcftools_accepts_the_export(fifty: Path, tmp_path: Path, content: Content) -> None:
    path = exported(open_store(fifty), tmp_path, content)
    for command in (
        ["bcftools", "stats", path],
        ["bcftools", "norm", "-c", "e", "-f", fifty.parent / "ref.fa", "-Ou", "-o", "/dev/null", path],
        ["bcftools", "+fill-tags", path, "-Ou", "-o", "/dev/null", "--", "-t", "all"],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "rror" not in done.stderr


def test_normalising_the_export_again_changes_no_allele(fifty: Path, tmp_path: Path) -> None:
    path = exported(open_store(fifty), tmp_path, Content(mode="raw"))
    again = pysam.bcftools.norm("-f", str(fifty.parent / "ref.fa"), "-m", "-", str(path))
    kept = [line.split("\t")[:5] for line in again.splitlines() if not line.startswith("#")]
    assert kept == [line.split("\t")[:5] for line in lines_of(path)]


def test_an_allele_beside_an_ambiguous_base_is_valid(tmp_path: Path) -> None:
    """GRCh38 has some, on which an insertion behind slides; a VCF may have none, and callers write N there."""
    bases = "ACGTACGGTCAAMAAAAAGTCCATGCATTGACCATGACGT"
    reference = write_reference(tmp_path / "ref.fa", {"c1": bases})
    store = create_store(tmp_path / "cohort", reference=reference)
    lines = [line(13, "N", "T", "0/1:40:22:11,11:45,0,42"), line(18, "A", "AA", "0/1:40:22:11,11:45,0,42")]
    (tmp_path / "a.g.vcf").write_text(gvcf_text(lines, contigs={"c1": len(bases)}))
    add_batch(store, batch="b", members=[Member(participant_id="P1", gvcf=str(tmp_path / "a.g.vcf"))])
    assert verify(store) == []
    path = exported(store, tmp_path, Content(by_position=True))
    assert [(record.pos, record.ref, record.alts) for record in pysam.VariantFile(str(path))] == [
        (13, "N", ("NA", "T"))
    ]


def test_one_allele_per_line(small: Path, tmp_path: Path) -> None:
    path = exported(open_store(small), tmp_path, Content())
    assert [line.split("\t") for line in lines_of(path)][:2] == [
        text.split()
        for text in [
            "c1 3 . G A 250 LowCallRate AC=1;AN=3;AF=0.333333 GT:GQ:DP:AD:PL"
            " 0/1:50:30:0,14:250,0,300 ./.:12:30:.:. 0:60:12:0,.:.",
            "c1 3 . G C 500 LowCallRate AC=2;AN=3;AF=0.666667 GT:GQ:DP:AD:PL"
            " 0/1:50:30:0,16:200,0,400 ./.:12:30:.:. 1:60:12:0,12:300,0",
        ]
    ]


def test_one_site_per_line_has_true_genotypes_and_spanning_deletions(small: Path, tmp_path: Path) -> None:
    path = exported(open_store(small), tmp_path, Content(mode="raw", by_position=True))
    found = {
        (record.pos, record.ref, record.alts): [
            "|/"[not call.phased].join("." if allele is None else str(allele) for allele in call["GT"])
            for call in record.samples.values()
        ]
        for record in pysam.VariantFile(str(path))
    }
    assert found == {
        (3, "G", ("A", "C")): ["1/2", "0/0", "2"],
        (19, "TTA", ("ATA", "T")): ["0/2", "1/1", "0"],
        (20, "T", ("C", "G", "*")): ["0/3", "0|1", "0/2"],
    }


def test_one_site_per_line_leaves_open_what_a_weak_record_says(tmp_path: Path) -> None:
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c1": GENOME}))
    texts = {
        "A": [line(47, "C", "T", "0/1:50:30:15,15:300,0,300"), line(47, "CA", "C", "0/1:3:30:26,4:3,0,300")],
        "B": [line(47, "C", "T", "0/0:50:30:30,0:0,15,300"), line(47, "CA", "C", "0/1:50:30:26,4:30,0,300")],
        "C": [line(47, "CA", "C", "0/0:3:30:30,0:0,3,300")],
    }
    members = []
    for name, lines in texts.items():
        (tmp_path / f"{name}.g.vcf").write_text(gvcf_text(lines, contigs={"c1": len(GENOME)}, sample=name))
        members.append(Member(participant_id=name, gvcf=str(tmp_path / f"{name}.g.vcf")))
    add_batch(store, batch="b", members=members)

    def shown(content: Content) -> dict[tuple[str, ...], list[str]]:
        exported(store, tmp_path, content, name="x.vcf", form="vcf")
        rows = [row.split("\t") for row in (tmp_path / "x.vcf").read_text().splitlines() if row.startswith("c1")]
        return {(*row[3:5], row[7].split(";AF")[0]): [call.split(":")[0] for call in row[9:]] for row in rows}

    assert shown(Content()) == {
        ("C", "T", "AC=1;AN=4"): ["0/1", "0/0", "./."],
        ("CA", "C", "AC=1;AN=2"): ["./.", "0/1", "./."],
    }
    assert shown(Content(by_position=True)) == {("CA", "TA,C", "AC=1,1;AN=3"): ["./1", "0/2", "./."]}


def test_likelihoods_of_several_alleles_are_local(small: Path, tmp_path: Path) -> None:
    path = exported(open_store(small), tmp_path, Content(mode="raw", by_position=True))
    record = next(iter(pysam.VariantFile(str(path))))
    a, b, c = (record.samples[name] for name in "ABC")
    assert "PL" not in record.format
    assert (a["LAA"], c["LAA"], b["LAA"]) == ((1, 2), (2,), (None,))
    assert c["LPL"] == (300, 0)
    # 00 01 11 02 12 22: each at least what the downcoded likelihoods of both alleles say, 1/2 and the
    # homozygotes exactly as in the gVCF
    assert [a["LPL"][index] for index in (2, 4, 5)] == [300, 0, 400]


def test_joint_export_shows_weak_reference_at_rare_alleles(fifty: Path, tmp_path: Path) -> None:
    store = open_store(fifty)
    called = genotype_counts(exported(store, tmp_path, Content()))
    joint = genotype_counts(exported(store, tmp_path, Content(mode="joint"), name="joint.bcf"))
    raw = genotype_counts(exported(store, tmp_path, Content(mode="raw"), name="raw.bcf"))
    assert sum(an for _, _, an in called) < sum(an for _, _, an in joint)
    shared = {key: an for key, _, an in joint}
    assert all(shared[key] <= an + 4 for key, _, an in raw if key in shared)


def test_workers_batches_and_chunks_do_not_show_in_the_bytes(fifty: Path, tmp_path: Path) -> None:
    store = open_store(fifty)
    one = exported(store, tmp_path, Content()).read_bytes()
    baekman("export", "--cohort", fifty, "--format", "bcf", "--workers", "2", "--output", tmp_path / "two.bcf")
    assert (tmp_path / "two.bcf").read_bytes() == one


def test_a_killed_export_goes_on_with_its_pieces(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(small)
    whole = exported(store, tmp_path, Content(), name="whole.bcf").read_bytes()

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(exports, "join_pieces", killed)
        exported(store, tmp_path, Content())
    assert not (tmp_path / "x.bcf").exists()
    with monkeypatch.context() as patch:
        patch.setattr(exports, "write_piece", killed)
        assert exported(store, tmp_path, Content()).read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {f"{n}.bcf{s}" for n in ("whole", "x") for s in ("", ".csi")}


def test_region_takes_the_lines_with_their_pos_in_it(small: Path, tmp_path: Path) -> None:
    baekman("export", "--cohort", small, "--format", "vcf", "--raw", "--region", "c1:4-19", "-o", tmp_path / "r.vcf")
    lines = (tmp_path / "r.vcf").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines if not line.startswith("#")] == ["19", "19"]


def test_header_tells_nothing_of_the_machine(small: Path, tmp_path: Path) -> None:
    path = exported(open_store(small), tmp_path, Content(), name="x.vcf", form="vcf")
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert header[-1].split("\t")[9:] == ["A", "B", "C"]
    assert not any(str(tmp_path.parent) in line or "Command" in line or "ate=" in line for line in header)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.vcf"]


@pytest.mark.parametrize(("name", "index"), [("x.bcf", "x.bcf.csi"), ("x.vcf.gz", "x.vcf.gz.tbi")])
def test_compressed_exports_have_an_index(small: Path, tmp_path: Path, name: str, index: str) -> None:
    path = exported(open_store(small), tmp_path, Content(mode="raw"), name=name, form=name.split(".")[1])
    assert (tmp_path / index).exists()
    assert len(pysam.bcftools.view("-H", "-r", "c1:20-20", "--regions-overlap", "0", str(path)).splitlines()) == 2


def test_pgen_has_the_same_counts(fifty: Path, tmp_path: Path) -> None:
    store = open_store(fifty)
    bcf = genotype_counts(exported(store, tmp_path, Content()))
    exported(store, tmp_path, Content(), name="x.pgen", form="pgen")
    assert {path.name for path in tmp_path.iterdir()} == {"x.bcf", "x.bcf.csi", "x.pgen", "x.pvar", "x.psam"}
    out = tmp_path / "count"
    subprocess.run(
        ["plink2", "--pfile", str(tmp_path / "x"), "--freq", "counts", "--allow-extra-chr", "--out", str(out)],
        check=True,
        capture_output=True,
    )
    rows = [line.split() for line in out.with_suffix(".acount").read_text().splitlines()[1:]]
    assert [([int(row[4])], int(row[5])) for row in rows] == [(ac, an) for _, ac, an in bcf]


def test_pgen_of_a_site_with_more_alleles_than_plink2_reads_is_refused(tmp_path: Path) -> None:
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c1": "ACGT" * 10}))
    alts = ["C" + "".join(bases) for bases in itertools.product("AGT", repeat=5)] + [
        "C" + "AG" * n for n in range(3, 9)
    ]
    alts += ["C" + "AT" * n for n in range(3, 19)]
    members = []
    for number in range(0, 256, 2):
        path = tmp_path / f"{number}.g.vcf"
        path.write_text(
            gvcf_text([line(2, "C", ",".join(alts[number : number + 2]), "1/2:50", format="GT:GQ")], contigs={"c1": 40})
        )
        members.append(Member(participant_id=f"P{number}", gvcf=str(path)))
    add_batch(store, batch="b1", members=members)
    output = ("--sites", "--output", tmp_path / "out" / "x.pgen")
    (tmp_path / "out").mkdir()
    done = baekman("export", "--cohort", store.path, "--format", "pgen", *output, check=False)
    assert (done.returncode, done.stderr) == (
        3,
        "refused: --format: pgen: expected sites of at most 255 alleles: plink2 reads no more, found a site of 257; "
        "leave out --sites, or take --format bcf\n",
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_pgen_of_nothing_is_refused(small: Path, tmp_path: Path) -> None:
    """plink2 makes no file without variants."""
    output = ("--format", "pgen", "--output", tmp_path / "x.pgen")
    done = baekman("export", "--cohort", small, *output, "--snapshot", "0", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "refused: --format: pgen: expected at least one allele to write: plink2 makes no empty file, "
        "found no carrier of any allele there; choose another region, or --format bcf\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_zarr_has_the_same_genotypes(small: Path, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    store = open_store(small)
    path = exported(store, tmp_path, Content(mode="raw"), name="x.vcz", form="zarr")
    group = zarr.open_group(str(path), mode="r")
    assert group["sample_id"][:].tolist() == ["A", "B", "C"]
    genotypes = [
        [[-1 if allele is None else allele for allele in call["GT"]] for call in record.samples.values()]
        for record in pysam.VariantFile(str(exported(store, tmp_path, Content(mode="raw"))))
    ]
    found = group["call_genotype"][:].tolist()
    assert [[[a for a in call if a != -2] for call in row] for row in found] == genotypes


def test_carriers_are_those_of_bcftools_merge(tmp_path: Path) -> None:
    """Where nobody has blocks, ``bcftools merge`` and ``norm -m-`` know as much as the store does."""
    samples = {
        "A": [line(3, "G", "A", "0/1:50:30:15,15:50,0,500"), line(9, "C", "T", "1/1:60:30:0,30:500,60,0")],
        "B": [line(3, "G", "A,C", "1/2:50:30:0,15,15:99,99,99,99,0,99")],
        "C": [line(3, "G", "C", "1/1:50:30:0,30:500,50,0"), line(20, "TA", "T", "0/1:50:30:15,15:50,0,500")],
    }
    paths = []
    for name, lines in samples.items():
        text = tmp_path / f"{name}.vcf"
        text.write_text(gvcf_text(lines, contigs={"c1": len(GENOME)}, sample=name))
        paths.append(tmp_path / f"{name}.vcf.gz")
        subprocess.run(["bcftools", "view", "-Oz", "-o", str(paths[-1]), str(text)], check=True)
        subprocess.run(["bcftools", "index", str(paths[-1])], check=True)
    store = create_store(tmp_path / "cohort", reference=write_reference(tmp_path / "ref.fa", {"c1": GENOME}))
    members = [Member(participant_id=path.name[0], gvcf=str(path)) for path in paths]
    add_batch(store, batch="b", members=members)

    def carriers(text: str) -> dict[tuple[str, ...], list[list[str]]]:
        found = {}
        for row in text.splitlines():
            fields = row.split("\t")
            found[tuple(fields[1:5])] = [sorted(call.split(":")[0].replace("|", "/").split("/")) for call in fields[9:]]
        return found

    merged = subprocess.run(["bcftools", "merge", "-m", "both", *map(str, paths)], capture_output=True, check=True)
    normal = subprocess.run(["bcftools", "norm", "-m-"], input=merged.stdout, capture_output=True, check=True)
    theirs = "\n".join(row for row in normal.stdout.decode().splitlines() if not row.startswith("#"))
    ours = "\n".join(lines_of(exported(store, tmp_path, Content())))
    assert carriers(ours) == carriers(theirs)


def test_an_export_of_no_known_form_is_refused(small: Path, tmp_path: Path) -> None:
    cases = {
        ("xls", "x.bcf"): "refused: --format: expected one of vcf, bcf, pgen, zarr, found 'xls'\n",
        ("bcf", "x.vcf"): "refused: --output: expected a name that ends in .bcf for --format bcf, found 'x.vcf'\n",
    }
    for (form, name), message in cases.items():
        done = baekman("export", "--cohort", small, "--format", form, "--output", tmp_path / name, check=False)
        assert (done.returncode, done.stderr) == (3, message)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_cohort_makes_an_empty_export(tmp_path: Path) -> None:
    write_reference(tmp_path / "ref.fa", {"c1": GENOME})
    store = create_store(tmp_path / "cohort", reference=tmp_path / "ref.fa")
    assert list(lines_of(exported(store, tmp_path, Content()))) == []
