"""The small test genome: the same bytes every time, with everything planted in it, as baekman reads it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import make_test_genome
import numpy as np
import pysam
import pysam.bcftools
import pytest
from baekman.genome.shards import check_tiling, read_shards
from baekman.intake.delivery import read_delivery
from support import PROJECT
from support.registrations import read_rows
from test_genome.population import PEOPLE, haplotype, make_population
from test_genome.reference import AUTOSOME, LENGTHS, MT, X, Y, make_reference
from test_genome.registration import resident_registration_number
from test_genome.specimens import SPECIMENS

SCRIPTS = PROJECT / "scripts"
DEPTH = 0.2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fifth of the genome at a fifth of the depth."""
    output = tmp_path_factory.mktemp("small") / "genome"
    make_test_genome.make(output, scale=0.2, depth=DEPTH)
    return output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened, delimiter="\t", quoting=csv.QUOTE_NONE))


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def manifests(genome: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    for folder in sorted((genome / "deliveries").iterdir()):
        for row in rows(folder / "manifest.tsv"):
            yield folder / row["file"], row


def test_the_same_seed_gives_the_same_bytes_wherever_it_is_written(small: Path, tmp_path: Path) -> None:
    again = tmp_path / "a" / "longer path" / "genome"
    command = [sys.executable, str(SCRIPTS / "make_test_genome.py"), "--scale", "0.2", "--depth", str(DEPTH)]
    done = subprocess.run([*command, "--output", str(again)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{again}\n"
    files = sorted(path.relative_to(small) for path in small.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [path for path in files if (small / path).read_bytes() != (again / path).read_bytes()] == []


def test_an_output_that_exists_is_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "make_test_genome.py"), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"make_test_genome.py: error: {tmp_path} exists already: remove it or choose another folder"
    )


def test_depth_insert_size_and_duplicates_are_as_ordered(small: Path) -> None:
    bam = next((small / "deliveries" / "first" / "aligned").glob("*.bam"))
    reference = make_reference(make_test_genome.SEED, scale=0.2)
    covered = {line.split("\t")[0]: line.split("\t") for line in pysam.samtools.coverage(str(bam)).splitlines()}
    depth = float(covered[AUTOSOME][6]) * len(reference.contigs[AUTOSOME])
    depth /= int((reference.contigs[AUTOSOME] != ord("N")).sum())
    assert depth == pytest.approx(30 * DEPTH, rel=0.03)
    with pysam.AlignmentFile(str(bam)) as reads:
        flags = [(read.is_duplicate, read.is_proper_pair, abs(read.template_length)) for read in reads]
    assert 0.04 < np.mean([duplicate for duplicate, _, _ in flags]) < 0.1
    inserts = np.array([length for _, proper, length in flags if proper])
    assert np.median(inserts) == pytest.approx(400, abs=10)
    assert inserts.std() == pytest.approx(60, abs=8)


def test_errors_are_as_likely_as_base_qualities_say(small: Path) -> None:
    """Against the haplotype-free parts only roughly, as variants count as errors: Q11 must lie near 8 %."""
    bam = next((small / "deliveries" / "first" / "aligned").glob("*.bam"))
    seen, wrong = Counter[int](), Counter[int]()
    with pysam.FastaFile(str(small / "reference.fa")) as fasta, pysam.AlignmentFile(str(bam)) as reads:
        sequence = fasta.fetch(AUTOSOME).upper()
        for read in reads.fetch(until_eof=True):
            if read.reference_name != AUTOSOME or read.cigarstring != "150M":
                continue
            there = sequence[read.reference_start : read.reference_end]
            for base, quality, true in zip(read.query_sequence, read.query_qualities, there, strict=True):
                seen[quality] += 1
                wrong[quality] += base != true
    assert set(seen) == {2, 11, 25, 37}
    assert wrong[11] / seen[11] == pytest.approx(10**-1.1, rel=0.25)
    assert wrong[37] / seen[37] < 0.01
    assert (seen[37]) / sum(seen.values()) > 0.9


def test_only_the_planted_checksum_is_wrong_and_only_the_planted_file_ends_early(small: Path) -> None:
    wrong, short = [], []
    for path, row in manifests(small):
        content = path.read_bytes()
        assert len(content) == int(row["size"])
        if hashlib.sha256(content).hexdigest() != row["sha256"]:
            wrong.append((row["specimen_id"], row["kind"]))
        if path.suffix == ".gz":
            try:
                gzip.decompress(content)
            except (EOFError, zlib.error):
                short.append((row["specimen_id"], row["kind"]))
    by_damage = {one.damage: one.label for one in SPECIMENS if one.damage}
    assert wrong == [(by_damage["checksum"], "fastq_2")]
    assert short == [(by_damage["truncated"], "fastq_2")]


def test_mates_have_equal_names_and_no_name_twice(small: Path) -> None:
    files = {
        (row["specimen_id"], row["read_group"], row["kind"]): path
        for path, row in manifests(small)
        if row["kind"].startswith("fastq")
    }
    label = next(one.label for one in SPECIMENS if one.lanes == 2)
    lanes = sorted({group for specimen, group, _ in files if specimen == label})
    assert len(lanes) == 2
    names: list[str] = []
    for lane in lanes:
        first, second = (
            [line.split()[0] for line in lines(files[label, lane, f"fastq_{mate}"])[::4]] for mate in (1, 2)
        )
        assert first == second
        names += first
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("reason", ["contamination", "identity_mismatch", "sex_discordant", ""])
def test_reads_come_from_whom_they_should(small: Path, reason: str) -> None:
    """The share of each person, by words of the reads that only one of two persons' haplotypes have."""
    specimen = next(one for one in SPECIMENS if one.reason == reason and one.entry == "fastq")
    others = [key for key, _ in specimen.mixture if key != specimen.person]
    other = others[0] if others else next(one.key for one in PEOPLE if one.key != specimen.person)
    expected = sum(share for key, share in specimen.mixture if key == other)
    reference = make_reference(make_test_genome.SEED, scale=0.2)
    population = make_population(make_test_genome.SEED, reference)
    own_words, other_words = (
        {
            sequence[at : at + 25]
            for column in (0, 1)
            for sequence in [haplotype(reference, population, key, AUTOSOME, column).tobytes().decode()]
            for at in range(len(sequence) - 25)
        }
        for key in (specimen.person, other)
    )
    only_own, only_other = own_words - other_words, other_words - own_words
    counts = [0, 0]
    for path, row in manifests(small):
        if row["specimen_id"] == specimen.label and row["kind"] == "fastq_1":
            for read in lines(path)[1::4]:
                for strand in (read, read[::-1].translate(str.maketrans("ACGT", "TGCA"))):
                    words = [strand[at : at + 25] for at in range(0, 126)]
                    counts[0] += any(word in only_own for word in words)
                    counts[1] += any(word in only_other for word in words)
    assert counts[1] / sum(counts) == pytest.approx(expected, abs=0.05)


def test_registration_deliveries_and_shards_are_read_by_baekman(small: Path) -> None:
    registered = {row.barcode: row for row in read_rows([small / "registration.tsv"])}
    assert set(registered) == {one.label for one in SPECIMENS if one.registered}
    assert all(row.array_genotypes and row.array_genotypes.is_file() for row in registered.values())
    for folder in sorted((small / "deliveries").iterdir()):
        delivery = read_delivery(folder)
        assert set(delivery.specimens) == {one.label for one in SPECIMENS if one.delivery == folder.name}
        for label in set(delivery.specimens) & set(registered):
            assert registered[label].institution == delivery.institution
    with pysam.FastaFile(str(small / "reference.fa")) as fasta:
        lengths = dict(zip(fasta.references, fasta.lengths, strict=True))
    check_tiling(read_shards(small / "shards.tsv"), lengths, file="shards.tsv")


def test_each_planted_fault_is_there_once_and_good_specimens_enter_everywhere(small: Path) -> None:
    expected = rows(small / "expected.tsv")
    faults = Counter((row["delivery"], row["verdict"], row["reason"]) for row in expected if row["reason"])
    assert faults == {
        ("first", "reject", "checksum_wrong"): 1,
        ("first", "reject", "truncated"): 1,
        ("first", "reject", "low_coverage"): 1,
        ("first", "reject", "contamination"): 1,
        ("first", "reject", "identity_mismatch"): 1,
        ("first", "hold", "sex_discordant"): 1,
        ("first", "reject", "not_registered"): 1,
        ("first", "reject", "no_consent"): 1,
        ("second", "hold", "contamination"): 1,
    }
    shares = {one.delivery: one.mixture[1][1] for one in SPECIMENS if one.reason == "contamination"}
    assert shares == {"first": 0.1, "second": 0.02}
    good = [row for row in expected if not row["reason"]]
    assert Counter(row["delivery"] for row in good) == {"first": 7, "second": 4}
    assert {row["entry"] for row in good} == {"fastq", "bam", "cram", "gvcf"}
    accepted = {row["participant"] for row in good}
    people = {row["participant"]: row for row in rows(small / "truth" / "people.tsv")}
    trios = [row for row in people.values() if {row["participant"], row["mother"], row["father"]} <= accepted]
    assert sorted(row["sex"] for row in trios) == ["female", "male"]


def test_sex_is_registered_as_it_is_but_for_the_planted_one(small: Path) -> None:
    true = {row["participant"]: row["sex"] for row in rows(small / "truth" / "people.tsv")}
    registered = {row["specimen_id"]: row["registered_sex"] for row in rows(small / "registration.tsv")}
    expected = rows(small / "expected.tsv")
    differing = [
        row["reason"]
        for row in expected
        if row["participant"] and true[row["participant"]] != registered[row["specimen_id"]]
    ]
    assert differing == ["sex_discordant"]
    swapped = next(one for one in SPECIMENS if one.reason == "identity_mismatch")
    assert {true[key] for key, _ in swapped.mixture} == {true[swapped.person]}


def test_population_sites_have_frequencies_and_an_index(small: Path) -> None:
    with pysam.VariantFile(str(small / "contamination_sites.vcf.gz")) as sites:
        found = list(sites.fetch(AUTOSOME))
    assert len(found) > 100
    with pysam.FastaFile(str(small / "reference.fa")) as fasta:
        for site in found:
            assert 0.05 <= site.info["AF"][0] <= 0.95
            assert len(site.ref) == len(site.alts[0]) == 1
            assert fasta.fetch(AUTOSOME, site.start, site.stop).upper() == site.ref


def test_aligned_files_name_the_specimen_and_nothing_of_this_machine(small: Path) -> None:
    for path in (small / "deliveries" / "first" / "aligned").iterdir():
        content = gzip.decompress(path.read_bytes()) if path.suffix != ".cram" else b""
        if path.suffix != ".gz":
            with pysam.AlignmentFile(str(path), check_sq=False) as reads:
                content += str(reads.header).encode()
                assert {group["SM"] for group in reads.header.to_dict()["RG"]} == {path.stem}
        assert str(small).encode() not in content
        assert b"/tmp" not in content and b"pytest" not in content


def test_the_delivered_gvcf_covers_the_genome_with_evidence_and_haploid_calls(small: Path) -> None:
    gvcf = next((small / "deliveries" / "first" / "aligned").glob("*.g.vcf.gz"))
    par = [line.split("\t") for line in (small / "par.bed").read_text().splitlines()]
    covered, ploidies = Counter[str](), {contig: Counter[int]() for contig in LENGTHS}
    with pysam.VariantFile(str(gvcf)) as records:
        assert list(records.header.samples) == [gvcf.name.removesuffix(".g.vcf.gz")]
        for record in records:
            genotype = record.samples[0]["GT"]
            assert "MIN_DP" in record.info or "PL" in record.format or set(genotype) == {None}
            covered[record.contig] += record.stop - record.start
            in_par = any(
                record.contig == contig and int(start) < record.pos <= int(end) for contig, start, end, _ in par
            )
            if not in_par:
                ploidies[record.contig][len(genotype)] += 1
    with pysam.FastaFile(str(small / "reference.fa")) as fasta:
        bases = {name: len(fasta.fetch(name).replace("N", "")) for name in fasta.references}
    assert all(covered[name] > 0.9 * bases[name] for name in LENGTHS)
    assert {name: set(found) for name, found in ploidies.items()} == {AUTOSOME: {2}, X: {1}, Y: {1}, MT: {1}}


def test_resident_registration_numbers_have_the_shape_but_not_the_check_digit() -> None:
    for number in range(40):
        for sex in ("female", "male"):
            text = resident_registration_number(1950 + number, sex, number)
            assert len(text) == 14 and text[6] == "-" and text.replace("-", "").isdigit()
            digits = [int(digit) for digit in text if digit != "-"]
            weighted = sum(a * b for a, b in zip(digits[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True))
            assert digits[12] != (11 - weighted % 11) % 10
