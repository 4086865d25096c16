"""Laws 5 and 6: the export agrees with the gVCFs; its AC and AN are counts over it, and those of the sites."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import read_sites, read_snapshot
from baekman.cohort.store import create_store, open_store
from baekman.cohort.verify.whole import verify
from baekman.export import write as exports
from baekman.export.write import Content
from support.dense_cohort import GENOME
from support.exports import exported, genotype_counts, lines_of
from support.state_oracle import alleles_of, answer, read_records
from support.store_tools import baekman, gvcf_text, line, write_reference

FORMS = [Content(mode=mode, by_position=sites) for mode in ("called", "raw", "joint") for sites in (False, True)]


def form_name(content: Content) -> str:
    """Return the name of a form in the ID of a test."""
    return f"{content.mode}{'-sites' if content.by_position else ''}"


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
def test_the_export_agrees_with_the_gvcfs(shared_data: Path, fifty: Path, tmp_path: Path, raw: bool) -> None:
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


def test_an_allele_next_to_an_ambiguous_base_is_valid(tmp_path: Path) -> None:
    """GRCh38 has some, over which an insertion slides; a VCF may have none, and callers write N there."""
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
    genotypes = {
        (record.pos, record.ref, record.alts): [
            "|/"[not call.phased].join("." if allele is None else str(allele) for allele in call["GT"])
            for call in record.samples.values()
        ]
        for record in pysam.VariantFile(str(path))
    }
    assert genotypes == {
        (3, "G", ("A", "C")): ["1/2", "0/0", "2"],
        (19, "TTA", ("ATA", "T")): ["0/2", "1/1", "0"],
        (20, "T", ("C", "G", "*")): ["0/3", "0|1", "0/2"],
    }


def test_one_site_per_line_has_no_genotype_of_a_weak_record(tmp_path: Path) -> None:
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


def test_the_bytes_do_not_depend_on_workers_batches_and_chunks(fifty: Path, tmp_path: Path) -> None:
    store = open_store(fifty)
    by_one_worker = exported(store, tmp_path, Content()).read_bytes()
    baekman("export", "--cohort", fifty, "--format", "bcf", "--workers", "2", "--output", tmp_path / "two.bcf")
    assert (tmp_path / "two.bcf").read_bytes() == by_one_worker


def test_a_killed_export_goes_on_with_its_pieces(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(small)
    whole = exported(store, tmp_path, Content(), name="whole.bcf").read_bytes()

    def killed(*_arguments: object, **_options: object) -> None:
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


def test_carriers_are_those_of_bcftools_merge(tmp_path: Path) -> None:
    """Compare with ``bcftools merge`` and ``norm -m-``, which know as much as the store if there are no blocks."""
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
        genotypes = {}
        for row in text.splitlines():
            fields = row.split("\t")
            genotypes[tuple(fields[1:5])] = [
                sorted(call.split(":")[0].replace("|", "/").split("/")) for call in fields[9:]
            ]
        return genotypes

    merged = subprocess.run(["bcftools", "merge", "-m", "both", *map(str, paths)], capture_output=True, check=True)
    normal = subprocess.run(["bcftools", "norm", "-m-"], input=merged.stdout, capture_output=True, check=True)
    theirs = "\n".join(row for row in normal.stdout.decode().splitlines() if not row.startswith("#"))
    ours = "\n".join(lines_of(exported(store, tmp_path, Content())))
    assert carriers(ours) == carriers(theirs)
