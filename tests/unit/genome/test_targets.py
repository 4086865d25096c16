"""Target regions: their BED file, and what is cut to them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pysam
import pytest
from baekman.config.loading import complete
from baekman.errors import InputRefused
from baekman.genome.reference import prepare, prepare_targets, workspace_targets
from baekman.genome.regions import Region
from baekman.genome.targets import SHOWN_PROBLEMS, Overlaps, Targets, read_targets, targets_hash
from baekman.qc.metrics import Coverage, coverage_of_mosdepth
from baekman.qc.participant import Evidence
from baekman.qc.pileup import read_sites
from support.store_tools import write_reference

LENGTHS = {"chr2": 1000, "chr10": 500, "HLA-A*01:01": 300}
ALIASES = {"10": "chr10"}


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "targets.bed"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path) -> list[str]:
    with pytest.raises(InputRefused) as refusal:
        read_targets(path, lengths=LENGTHS, aliases=ALIASES)
    return [str(problem) for problem in refusal.value.problems]


def test_regions_are_sorted_by_the_reference_and_merged_and_know_aliases(tmp_path: Path) -> None:
    text = (
        "browser position chr2:1-10\ntrack name=exome\n#comment\n10\t100\t200\texon\t0\t+\r\nchr2\t10\t20\n\n"
        "chr2\t0\t11\nchr2\t20\t30\nHLA-A*01:01\t299\t300\nchr10 150 160\nchr10\t499\t500\n"
    )
    expected = (
        Region("chr2", 1, 30),
        Region("chr10", 101, 200),
        Region("chr10", 500, 500),
        Region("HLA-A*01:01", 300, 300),
    )
    for content in (text.encode(), gzip.compress(b"\xef\xbb\xbf" + text.encode())):
        targets = read_targets(write(tmp_path, content), lengths=LENGTHS, aliases=ALIASES, padding=5)
        assert targets.regions == expected
        assert targets.bases == 30 + 100 + 1 + 1
    assert targets.padded(LENGTHS) == [
        Region("chr2", 1, 35),
        Region("chr10", 96, 205),
        Region("chr10", 495, 500),
        Region("HLA-A*01:01", 295, 300),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2\t1\t5", "a contig of the reference, or of cohort.contig_aliases, found '2'; use a BED file for this"),
        ("chr2\t5\t5", "a start below the end, found 5 and 5; correct the line: BED is 0-based and half-open"),
        ("chr2\t9\t5", "a start below the end, found 9 and 5"),
        ("chr2\t0\t1001", "an end of at most 1000, the number of bases of chr2, found 1001"),
        ("chr2\t-1\t5", "found a start or end that is no number"),
        ("chr2\t1.5\t5", "found a start or end that is no number"),
        ("chr2\t٣\t5", "found a start or end that is no number"),
        ("chr2:1-5", "found 1 columns"),
    ],
)
def test_a_line_that_is_no_region_is_refused_with_its_number(tmp_path: Path, line: str, expected: str) -> None:
    (problem,) = refused(write(tmp_path, f"chr2\t1\t5\n{line}\nchr2\t7\t9\n"))
    assert problem.startswith("targets.bed: line 2: expected ") and expected in problem


def test_a_file_that_is_no_bed_is_refused_in_few_words(tmp_path: Path) -> None:
    assert "found no region; correct target_regions" in refused(write(tmp_path, "#nothing\n"))[0]
    assert "found no file that can be read as text" in refused(write(tmp_path, b"\x1f\x8b\x08broken"))[0]
    assert "found no file that can be read as text" in refused(write(tmp_path, b"\xff\xfe\x00"))[0]
    (header,) = refused(write(tmp_path, "@HD\tVN:1.6\n@SQ\tSN:chr2\tLN:1000\nchr2\t1\t5\t+\tx\n"))
    assert "the header of an interval list (Picard, 1-based)" in header
    many = refused(write(tmp_path, "chrUn\t1\t5\n" * 100))
    assert len(many) == SHOWN_PROBLEMS + 1 and "80 more lines" in many[-1]


def test_a_file_that_is_absent_is_refused_by_the_configuration(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "ref.fa", {"c1": "ACGT"})
    with pytest.raises(InputRefused, match=r"target_regions: expected a file that exists"):
        complete({"reference": str(reference), "target_regions": str(tmp_path / "none.bed")}, source="config.yaml")


def test_overlaps_are_the_parts_within_regions() -> None:
    overlaps = Overlaps([Region("a", 50, 60), Region("a", 10, 20), Region("b", 1, 5)])
    assert overlaps.within(Region("a", 20, 55)) == [Region("a", 20, 20), Region("a", 50, 55)]
    assert overlaps.within(Region("a", 21, 49)) == []
    assert overlaps.within(Region("a", 1, 100)) == [Region("a", 10, 20), Region("a", 50, 60)]
    assert overlaps.within(Region("c", 1, 100)) == []


def test_depth_regions_are_the_known_bases_within_targets(tmp_path: Path) -> None:
    source = write_reference(tmp_path / "ref.fa", {"chr1": "ACGT" * 50 + "N" * 100 + "ACGT" * 50, "chrM": "ACGT" * 25})
    reference = tmp_path / "reference" / "ref.fa"
    prepare(source, output=reference)
    bed = write(tmp_path, "chrM\t0\t50\nchr1\t150\t350\n1\t10\t20\n")
    output = reference.with_name("targets.bed")
    prepare_targets(bed, reference=reference, aliases={"1": "chr1"}, output=output)
    assert output.read_text() == "chr1\t10\t20\nchr1\t150\t350\nchrM\t0\t50\n"
    depth = reference.with_name("target_depth_regions.bed").read_text()
    assert depth == "chr1\t10\t20\tautosome\nchr1\t150\t200\tautosome\nchr1\t300\t350\tautosome\n"
    targets = workspace_targets(output, reference=reference, padding=7)
    assert targets is not None
    description = {"regions": 3, "bases": 260, "padding": 7, "sha256": targets_hash(targets.regions)}
    assert targets.description() == description


def test_sites_of_contamination_lie_within_targets(tmp_path: Path) -> None:
    lines = "".join(f"chr1\t{pos}\t.\tA\tG\t.\t.\tAF=0.3\n" for pos in range(10, 100, 10))
    path = tmp_path / "sites.vcf"
    header = (
        '##fileformat=VCFv4.2\n##contig=<ID=chr1,length=1000>\n##INFO=<ID=AF,Number=A,Type=Float,Description="x">\n'
    )
    path.write_text(f"{header}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{lines}")
    sites = read_sites(path, regions=[Region("chr1", 20, 30), Region("chr1", 55, 60)])
    assert sites.position.tolist() == [20, 30, 60]
    assert len(read_sites(path, regions=[Region("chr1", 21, 29)])) == 0


def write_reads(folder: Path, reference: Path) -> Path:
    """Write a BAM with reads of 50 bases at every third base of chr1 and every sixth of chrX."""
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": c, "LN": 6000} for c in ("chr1", "chrX", "chrY")]}
    path = folder / "reads.bam"
    with pysam.FastaFile(str(reference)) as fasta, pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for tid, step in ((0, 3), (1, 6)):
            for start in range(0, 5900, step):
                read = pysam.AlignedSegment(bam.header)
                bases = fasta.fetch(fasta.references[tid], start, start + 50)
                read.query_name, read.query_sequence, read.cigarstring = f"{tid}.{start}", bases, "50M"
                read.reference_id, read.reference_start, read.mapping_quality = tid, start, 60
                read.query_qualities = pysam.qualitystring_to_array("I" * 50)
                bam.write(read)
    pysam.index(str(path))
    return path


@pytest.mark.skipif(shutil.which("mosdepth") is None, reason="mosdepth is not installed")
def test_depth_and_breadth_within_targets_are_those_that_samtools_counts(tmp_path: Path) -> None:
    bases = "ACGGTTCA" * 750
    source = write_reference(tmp_path / "ref.fa", {"chr1": bases, "chrX": bases, "chrY": bases})
    reference, reads = tmp_path / "reference" / "ref.fa", write_reads(tmp_path, source)
    prepare(source, output=reference)
    bed = write(tmp_path, "chr1\t0\t40\nchr1\t5800\t6000\nchr1\t3000\t3500\nchrX\t500\t1600\nchrY\t1\t500\n")
    targets = reference.with_name("targets.bed")
    prepare_targets(bed, reference=reference, aliases={}, output=targets)
    depth_regions = reference.with_name("target_depth_regions.bed")
    options = ["--no-per-base", "--thresholds", "1,5,10,15,20,30", "--by", str(depth_regions)]
    subprocess.run(["mosdepth", *options, str(tmp_path / "m"), str(reads)], check=True)
    files = {"regions": tmp_path / "m.regions.bed.gz", "thresholds": tmp_path / "m.thresholds.bed.gz"}
    coverage = coverage_of_mosdepth(**files)

    depths = pysam.depth("-a", "-b", str(depth_regions), str(reads)).splitlines()
    of_autosome = [int(line.split("\t")[2]) for line in depths if line.startswith("chr1\t")]
    assert coverage["autosome"] == Coverage(
        bases=740,
        depth_sum=pytest.approx(sum(of_autosome), abs=5),  # mosdepth rounds means to two digits
        at_least={level: sum(depth >= level for depth in of_autosome) for level in (1, 5, 10, 15, 20, 30)},
    )
    # 499 bases of Y are too few
    evidence = Evidence(
        depth=files["regions"],
        depth_thresholds=files["thresholds"],
        targets=workspace_targets(targets, reference=reference, padding=0),
    )
    assert set(evidence.coverage) == {"autosome", "X"}


def test_targets_are_described_by_their_bases() -> None:
    assert Targets(regions=(Region("a", 1, 10), Region("a", 21, 30))).bases == 20
