"""Metrics from the output of the tools, against counts of the reads themselves."""

from __future__ import annotations

import gzip
import itertools
import json
import statistics
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest
from baekman.genome import callable_bases
from baekman.genome.regions import Region
from baekman.qc import metrics as qc_metrics
from baekman.qc.contamination import Estimate
from baekman.qc.identity import Identity
from baekman.qc.metrics import Coverage, ReadStats, collect, coverage_metrics, coverage_of_mosdepth
from baekman.qc.participant import Evidence
from baekman.tools import programs as tools
from hypothesis import given
from hypothesis import strategies as st
from support.simulated_specimen import population


def write_fasta(path: Path, **contigs: str) -> Path:
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()), encoding="ascii")
    pysam.faidx(str(path))
    return path


@given(st.text("ACGTNnacgt", max_size=60))
def test_non_n_stretches_are_those_that_a_walk_finds(bases: str) -> None:
    known = {at for start, end in callable_bases.non_n(bases.encode()) for at in range(start, end)}
    assert known == {at for at, base in enumerate(bases) if base not in "Nn"}
    stretches = callable_bases.non_n(bases.encode())
    assert all(left[1] < right[0] for left, right in itertools.pairwise(stretches))


@given(
    start=st.integers(0, 30),
    length=st.integers(1, 30),
    pars=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20)), max_size=2),
)
def test_pseudo_autosomal_bases_are_cut_out(start: int, length: int, pars: list[tuple[int, int]]) -> None:
    regions = [Region("chrX", first, first + more) for first, more in pars]
    pieces = callable_bases._cut(start, start + length, "X", regions)
    expected = {
        at: "PAR" if any(region.start <= at + 1 <= region.end for region in regions) else "X"
        for at in range(start, start + length)
    }
    assert {at: kind for low, high, kind in pieces for at in range(low, high)} == expected
    assert sum(high - low for low, high, _ in pieces) == length


def test_coverage_is_judged_on_known_bases_of_autosomes_and_x_and_y(tmp_path: Path) -> None:
    reference = write_fasta(
        tmp_path / "r.fa",
        chr1="NNACGTNNAC",
        chrX="NACGTACGTN",
        chrY="NNNNACGTAC",
        chrM="ACGT",
        chrUn_KI270302v1="ACGT",
    )
    output = tmp_path / "regions.bed"
    callable_bases.write_regions(reference, par=[Region("chrX", 1, 3), Region("Y", 9, 10)], output=output)
    assert output.read_text(encoding="ascii") == (
        "chr1\t2\t6\tautosome\nchr1\t8\t10\tautosome\nchrX\t1\t3\tPAR\nchrX\t3\t9\tX\nchrY\t4\t8\tY\nchrY\t8\t10\tPAR\n"
    )


def test_where_no_contig_is_numbered_all_but_x_y_and_mt_are_autosomes(tmp_path: Path) -> None:
    reference = write_fasta(tmp_path / "r.fa", first="ACGT", second="AC", X="AC", MT="AC")
    assert callable_bases.coverage_regions(reference) == [
        ("first", 0, 4, "autosome"),
        ("second", 0, 2, "autosome"),
        ("X", 0, 2, "X"),
    ]


def write_mosdepth(folder: Path) -> tuple[Path, Path]:
    regions, thresholds = folder / "m.regions.bed.gz", folder / "m.thresholds.bed.gz"
    with gzip.open(regions, "wt") as file:
        file.write("1\t0\t100\tautosome\t30.00\n1\t200\t500\tautosome\t34.00\n")
        file.write("X\t0\t50\tPAR\t33.00\nX\t50\t150\tX\t16.50\nY\t0\t100\tY\t15.51\n")
    with gzip.open(thresholds, "wt") as file:
        file.write("#chrom\tstart\tend\tregion\t15X\t20X\n")
        file.write("1\t0\t100\tautosome\t90\t80\n1\t200\t500\tautosome\t300\t290\n")
        file.write("X\t0\t50\tPAR\t50\t50\nX\t50\t150\tX\t60\t10\nY\t0\t100\tY\t50\t0\n")
    return regions, thresholds


def test_coverage_is_weighted_by_the_length_of_regions(tmp_path: Path) -> None:
    regions, thresholds = write_mosdepth(tmp_path)
    coverage = coverage_of_mosdepth(regions=regions, thresholds=thresholds)
    assert coverage_metrics(coverage) == {
        "mean_autosome_coverage": 33.0,
        "pct_autosomes_15x": 97.5,
        "pct_autosomes_20x": 92.5,
        "x_autosome_ratio": 0.5,
        "y_autosome_ratio": 0.47,
    }


def test_without_autosomes_or_depth_there_are_no_ratios() -> None:
    nothing = Coverage(bases=10, depth_sum=0.0, at_least={20: 0})
    assert coverage_metrics({"X": nothing}) == {
        "mean_autosome_coverage": None,
        "x_autosome_ratio": None,
        "y_autosome_ratio": None,
    }
    assert coverage_metrics({"autosome": nothing, "X": nothing})["x_autosome_ratio"] is None


@given(st.dictionaries(st.integers(0, 50), st.integers(0, 6), max_size=8))
def test_the_median_of_a_histogram_is_that_of_its_values(histogram: dict[int, int]) -> None:
    values = [value for value, count in histogram.items() for _ in range(count)]
    assert qc_metrics.median(histogram) == (statistics.median(values) if values else None)


def test_samtools_and_mosdepth_agree_with_a_count_of_the_reads(tmp_path: Path) -> None:
    """The oracle counts the reads of the tools' input."""
    rng = np.random.default_rng(10)
    people = population(tmp_path, sites=100)
    bam = people.write_reads(tmp_path / "reads.bam", [(people.person(rng), 1.0)], depth=25, rng=rng, quality=25)
    stats = tmp_path / "stats.txt"
    with stats.open("wb") as out:
        subprocess.run([*tools.command("samtools"), "stats", bam], stdout=out, check=True)
    callable_bases.write_regions(people.fasta, output=tmp_path / "regions.bed")
    subprocess.run(
        [
            *("mosdepth", "--no-per-base", "--by", tmp_path / "regions.bed", "--thresholds", "1,5,10,15,20,30"),
            *(tmp_path / "m", bam),
        ],
        check=True,
    )
    evidence = Evidence(
        cram=bam,
        stats=stats,
        depth=tmp_path / "m.regions.bed.gz",
        depth_thresholds=tmp_path / "m.thresholds.bed.gz",
    )
    metrics = collect(
        participant_id="P0",
        specimen_id="S0",
        registered_sex="female",
        coverage=evidence.coverage,
        stats=evidence.read_stats,
        contamination=Estimate(alpha=None, failure="no_reads"),
        identity=Identity(concordance=None, failure="no_array"),
    )
    qc_metrics.write_metrics(tmp_path / "metrics.json", metrics)
    fields = json.loads((tmp_path / "metrics.json").read_text())
    assert (fields["participant"], fields["specimen"]) == ("P0", "S0")
    assert qc_metrics.read_metrics(tmp_path / "metrics.json") == metrics

    depth = np.zeros(len(people.bases), dtype=int)
    with pysam.AlignmentFile(str(bam)) as file:
        for read in file:
            depth[read.reference_start : read.reference_end] += 1
    assert metrics.values["mean_autosome_coverage"] == pytest.approx(depth.mean(), abs=0.01)
    for level in (1, 5, 10, 15, 20, 30):
        expected = 100 * (depth >= level).mean()
        assert metrics.values[f"pct_autosomes_{level}x"] == pytest.approx(expected, abs=0.01)
    assert metrics.values["yield_bp_q30"] == 0
    assert metrics.values["pct_bases_q30"] == 0.0
    assert metrics.values["pct_reads_mapped"] == 100.0
    assert metrics.values["pct_reads_duplicated"] == 0.0
    assert metrics.values["median_insert_size"] is None
    assert metrics.observed_sex == "not_assessed"
    assert metrics.unassessed == {
        "cross_contamination_rate": "no_reads",
        "identity_concordance": "no_array",
        "observed_sex": "no_x_or_y",
    }


def test_bases_duplicates_and_inserts_come_from_samtools_stats(tmp_path: Path) -> None:
    stats = tmp_path / "stats.txt"
    stats.write_text(
        "# comment\n"
        "SN\traw total sequences:\t200\t# excluding supplementary and secondary reads\n"
        "SN\treads mapped:\t160\n"
        "SN\treads properly paired:\t150\n"
        "SN\treads duplicated:\t40\n"
        "SN\tinsert size average:\t380.5\n"
        "SN\tinsert size standard deviation:\t60.1\n"
        "FFQ\t1\t" + "\t".join(["0"] * 20 + ["10"] + ["0"] * 9 + ["30"] + ["0"] * 6 + ["20"]) + "\n"
        "LFQ\t1\t" + "\t".join(["0"] * 20 + ["30"] + ["0"] * 9 + ["10"]) + "\n"
        "IS\t300\t2\t2\t0\t0\nIS\t400\t1\t1\t0\t0\nIS\t500\t1\t1\t0\t0\n",
        encoding="utf-8",
    )
    assert qc_metrics.read_metrics_of(qc_metrics.read_stats(stats)) == {
        "yield_bp_q30": 60,
        "pct_bases_q30": 60.0,
        "pct_reads_mapped": 80.0,
        "pct_reads_properly_paired": 75.0,
        "pct_reads_duplicated": 25.0,
        "mean_insert_size": 380.5,
        "insert_size_std_deviation": 60.1,
        "median_insert_size": 350.0,
    }


def test_a_gvcf_without_reads_lists_the_unassessed_metrics() -> None:
    metrics = collect(
        participant_id="P0",
        specimen_id="S0",
        registered_sex="male",
        coverage={},
        stats=None,
        contamination=Estimate(alpha=None, failure="no_reads"),
        identity=Identity(concordance=0.997, sites=900, nonreference=0.996, nonreference_sites=500),
    )
    assert metrics.unassessed == {
        "cross_contamination_rate": "no_reads",
        "mean_autosome_coverage": "no_reads",
        "observed_sex": "no_reads",
    }
    assert metrics.values["identity_concordance"] == 0.997


def test_no_nonreference_concordance_where_there_are_too_few_sites() -> None:
    metrics = collect(
        participant_id="P0",
        specimen_id="S0",
        registered_sex="male",
        coverage={},
        stats=ReadStats(
            summary={
                "raw total sequences": 0,
                "reads mapped": 0,
                "reads duplicated": 0,
                "insert size average": 0,
                "insert size standard deviation": 0,
            },
            bases_by_quality={},
            pairs_by_insert_size={},
        ),
        contamination=Estimate(alpha=None, failure="too_few_sites"),
        identity=Identity(concordance=None, failure="too_few_sites", sites=9, nonreference=0.5, nonreference_sites=2),
    )
    assert metrics.values["identity_nonreference_concordance"] is None
    assert metrics.values["pct_reads_duplicated"] is None
    assert metrics.unassessed["identity_concordance"] == "too_few_sites"
    assert metrics.unassessed["mean_autosome_coverage"] == "no_autosome"
