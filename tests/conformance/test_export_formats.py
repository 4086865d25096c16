"""Exports as compressed VCF, pgen and zarr have the genotypes of the BCF; other formats and names are refused."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pysam
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store, open_store
from baekman.export.write import Content
from support.dense_cohort import GENOME
from support.exports import exported, genotype_counts, lines_of
from support.store_tools import baekman, gvcf_text, line, write_reference


def test_the_header_contains_nothing_of_the_machine(small: Path, tmp_path: Path) -> None:
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
    in_zarr = group["call_genotype"][:].tolist()
    assert [[[a for a in call if a != -2] for call in row] for row in in_zarr] == genotypes


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
