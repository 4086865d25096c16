"""gVCFs from simulated reads, for each caller: records, blocks, ploidy and header."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cyvcf2
import numpy as np
import pyarrow as pa
import pysam
import pytest
from baekman.call import callers, calling
from baekman.call.callers import Job, bcftools
from baekman.call.calling import CallOptions, call_shard, gather
from baekman.call.completeness import Completeness, note_path, read_note
from baekman.call.records import gvcf_record
from baekman.call.reference_blocks import EVIDENCE_LIMIT, Evidence, blocks, homozygous_reference_gq
from baekman.genome.ploidy import Piece
from baekman.genome.regions import Region
from baekman.genome.targets import Targets
from hypothesis import given
from hypothesis import strategies as st

LENGTH, READ = 2_000, 100
HET, HOM, DELETION, WEAK, ERROR = 500, 700, 880, 1_200, 1_400  # 1-based
CONTIGS = ("1", "X", "Y")
OTHER = {"A": "C", "C": "A", "G": "T", "T": "G"}
WHOLE = Region("1", 1, LENGTH)


def sequence() -> str:
    return "".join(np.random.default_rng(7).choice(list("ACGT"), LENGTH))


def read_of(haplotype: dict[int, str], start: int, reference: str) -> tuple[str, str]:
    """Return bases and CIGAR of a read at 0-based ``start``; ``haplotype``: 1-based position -> base, "-" for none."""
    bases = [haplotype.get(pos + 1, reference[pos]) for pos in range(start, start + READ)]
    operations = [("D" if base == "-" else "M") for base in bases]
    cigar = "".join(f"{len(list(run))}{kind}" for kind, run in itertools.groupby(operations))
    return "".join(base for base in bases if base != "-"), cigar


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write ref.fa, and reads.cram of a participant: 40 x on 1 (400-1700), X and Y as 1; one depth-4 stretch."""
    folder = tmp_path_factory.mktemp("genome")
    reference = sequence()
    (folder / "ref.fa").write_text("".join(f">{name}\n{reference}\n" for name in CONTIGS))
    pysam.faidx(str(folder / "ref.fa"))
    deleted = {DELETION + offset: "-" for offset in (1, 2, 3)}
    hom = {HOM: OTHER[reference[HOM - 1]]}
    first = hom | {HET: OTHER[reference[HET - 1]]} | deleted
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": name, "LN": LENGTH} for name in CONTIGS],
        "RG": [{"ID": "P1", "SM": "P1"}],
    }
    rng = np.random.default_rng(11)
    reads = []
    for tid in range(len(CONTIGS)):
        for number, start in enumerate(itertools.chain(range(400, 1_000, 5), range(1_300, 1_600, 5))):
            for copy in range(2):
                haplotype = first if copy == 0 else hom
                if start == 1_350 and copy == 0:  # one sequencing error in 40 reads
                    haplotype = haplotype | {ERROR: OTHER[reference[ERROR - 1]]}
                reads.append((tid, start, haplotype, f"{tid}.{number}.{copy}"))
        for number in range(4):  # four reads, one of which shows an ALT
            haplotype = {WEAK: OTHER[reference[WEAK - 1]]} if number == 0 else {}
            reads.append((tid, 1_140 + number, haplotype, f"{tid}.weak.{number}"))
    path = folder / "reads.bam"
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for tid, start, haplotype, name in sorted(reads, key=lambda read: read[:2]):
            segment = pysam.AlignedSegment(bam.header)
            bases, cigar = read_of(haplotype, start, reference)
            segment.query_name, segment.query_sequence, segment.cigarstring = name, bases, cigar
            segment.reference_id, segment.reference_start, segment.mapping_quality = tid, start, 60
            segment.flag = 16 * int(rng.integers(2))
            segment.query_qualities = pysam.qualitystring_to_array("I" * len(bases))
            segment.set_tag("RG", "P1")
            bam.write(segment)
    pysam.view("-C", "-T", str(folder / "ref.fa"), "-o", str(folder / "reads.cram"), str(path), catch_stdout=False)
    pysam.index(str(folder / "reads.cram"))
    return folder


def called(
    genome: Path,
    output: Path,
    *,
    regions: Sequence[Region],
    caller: str = "bcftools",
    sex: str = "female",
    targets: Targets | None = None,
) -> Path:
    call_shard(
        genome / "reads.cram",
        reference=genome / "ref.fa",
        regions=regions,
        participant_id="PTEST",
        sex=sex,
        options=CallOptions(caller=caller, targets=targets),
        output=output,
    )
    return output


@pytest.fixture(scope="module")
def gvcf(genome: Path) -> Path:
    return called(genome, genome / "calls.g.vcf.gz", regions=[WHOLE])


def records_of(path: Path) -> list[pysam.VariantRecord]:
    with pysam.VariantFile(str(path)) as file:
        return [record.copy() for record in file]


def variants_of(path: Path) -> dict[int, pysam.VariantRecord]:
    return {record.pos: record for record in records_of(path) if record.alts != ("<*>",)}


@pytest.mark.parametrize("caller", ["bcftools", "freebayes"])
def test_each_caller_finds_the_variants_of_the_reads(genome: Path, tmp_path: Path, caller: str) -> None:
    variants = variants_of(called(genome, tmp_path / "g.vcf.gz", caller=caller, regions=[WHOLE]))
    genotypes = {pos: tuple(sorted(record.samples[0]["GT"])) for pos, record in variants.items()}
    sure = {pos for pos, record in variants.items() if list(record.filter) == ["PASS"]}
    assert {pos: genotypes[pos] for pos in sure} == {
        HET: (0, 1),
        HOM: (1, 1),
        DELETION: (0, 1),
    }
    for pos in (HET, HOM, DELETION):
        sample = variants[pos].samples[0]
        assert sample["GQ"] >= 20
        assert min(sample["PL"]) == 0
        assert sample["DP"] > 30
        assert len(sample["AD"]) == 2


def bases_of(path: Path) -> dict[tuple[str, int], tuple[object, ...]]:
    """Return the record or the block's band of GQ at each base, by contig and position."""
    rows: dict[tuple[str, int], tuple[object, ...]] = {}
    for record in records_of(path):
        sample = record.samples[0]
        is_block = record.alts == ("<*>",)
        value = ("block",) if is_block else (record.ref, record.alts, sample["GT"], sample["PL"], sample["DP"])
        for pos in range(record.pos, record.stop + 1 if is_block else record.pos + 1):
            rows[record.contig, pos] = value
    return rows


@pytest.mark.parametrize("caller", ["bcftools", "freebayes"])
def test_within_targets_and_their_padding_calls_are_those_of_the_whole_genome(
    genome: Path, tmp_path: Path, caller: str
) -> None:
    regions = [WHOLE, Region("X", 1, LENGTH), Region("Y", 1, LENGTH)]
    targets = Targets(
        regions=(Region("1", 1, 20), Region("1", HET - 5, HET + 5), Region("1", HOM, 1_250), Region("X", 880, 890)),
        padding=10,
    )
    whole = called(genome, tmp_path / "whole.g.vcf.gz", caller=caller, regions=regions)
    cut = called(genome, tmp_path / "cut.g.vcf.gz", caller=caller, regions=regions, targets=targets)
    kept = {
        (region.contig, pos)
        for region in targets.padded(dict.fromkeys(CONTIGS, LENGTH))
        for pos in range(region.start, region.end + 1)
    }
    assert bases_of(cut) == {place: value for place, value in bases_of(whole).items() if place in kept}
    assert {pos for _, pos in bases_of(cut)} > {HET, HOM, DELETION, HOM - 10, WEAK}
    note = read_note(cut)
    assert note is not None and note.uncalled == ()


@pytest.mark.parametrize("ploidy", [1, 2])
def test_records_that_are_left_out_before_they_are_parsed_are_those_that_their_reads_exclude(
    tmp_path: Path, ploidy: int
) -> None:
    likelihoods = {1: ["0,39", "0,40", "0,255", "9,0", "0,40,39", "0,41,40", "5,44", "5,45"]}
    likelihoods[2] = ["0,39,90", "0,40,90", "0,90,39", "0,90,40", "9,0,90", "5,45,90", "5,44,90", "0,60,60,60,60,39"]
    likelihoods[2] += ["0,60,60,60,60,40"]
    genotype = {1: "0", 2: "0/0"}[ploidy]
    lines = ["##fileformat=VCFv4.2", f"##contig=<ID=1,length={LENGTH}>"]
    for name, number, kind in (
        ("GT", "1", "String"),
        ("PL", "G", "Integer"),
        ("DP", "1", "Integer"),
        ("AD", "R", "Integer"),
    ):
        lines.append(f'##FORMAT=<ID={name},Number={number},Type={kind},Description="x">')
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tP1")
    for number, pl in enumerate(likelihoods[ploidy]):
        alts = "C,G" if pl.count(",") > ploidy else "C"
        depths = ",".join(["3"] * (alts.count(",") + 2))
        lines.append(f"1\t{10 + number}\t.\tA\t{alts}\t5\t.\t.\tGT:PL:DP:AD\t{genotype}:{pl}:9:{depths}")
    path = tmp_path / "records.vcf"
    path.write_text("\n".join(lines) + "\n")
    kept = tmp_path / "kept.vcf"
    piece = Piece(WHOLE, ploidy)
    job = Job(cram=tmp_path, reference=tmp_path, piece=piece, folder=tmp_path)
    with path.open("rb") as lines:
        kept.write_bytes(subprocess.run(bcftools(job)[-1], stdin=lines, stdout=subprocess.PIPE, check=True).stdout)
    with_all = [gvcf_record(variant, piece, ()) for variant in cyvcf2.VCF(str(path))]
    of_kept = [gvcf_record(variant, piece, ()) for variant in cyvcf2.VCF(str(kept))]
    assert of_kept == [record for record in with_all if record is not None]
    assert None in with_all


@pytest.mark.parametrize("caller", ["bcftools", "freebayes"])
def test_a_weak_alt_keeps_its_likelihoods(genome: Path, tmp_path: Path, caller: str) -> None:
    weak = variants_of(called(genome, tmp_path / "g.vcf.gz", caller=caller, regions=[WHOLE]))[WEAK]
    sample = weak.samples[0]
    assert weak.alts == (OTHER[weak.ref],)
    assert sample["GQ"] < 20
    assert sample["AD"] == (3, 1)
    assert len(sample["PL"]) == 3
    assert max(sample["PL"][:2]) < EVIDENCE_LIMIT


def test_a_sequencing_error_among_many_reads_is_evidence_of_a_block_only(gvcf: Path) -> None:
    assert ERROR not in variants_of(gvcf)
    block = next(r for r in records_of(gvcf) if r.pos <= ERROR <= r.stop)
    assert block.samples[0]["GQ"] >= EVIDENCE_LIMIT


def test_every_covered_base_has_one_record_or_block_and_no_other_base_has_any(gvcf: Path, genome: Path) -> None:
    depths: Counter[int] = Counter()
    for record in records_of(gvcf):
        depths.update(range(record.pos, record.stop + 1))
    covered = {
        int(line.split("\t")[1]) for line in pysam.depth("-J", "-r", "1", str(genome / "reads.cram")).splitlines()
    }
    assert set(depths) == covered
    assert set(depths.values()) == {1}


def test_block_evidence_follows_from_depth(gvcf: Path) -> None:
    for record in records_of(gvcf):
        sample = record.samples[0]
        if record.alts == ("<*>",) and not record.pos <= ERROR <= record.stop:
            assert sample["GQ"] == min(99, 3 * sample["MIN_DP"])
            assert sample["DP"] == sample["MIN_DP"]


def test_no_record_is_longer_than_its_reference_allele(gvcf: Path) -> None:
    for record in records_of(gvcf):
        if record.alts == ("<*>",):
            assert len(record.ref) == 1
        else:
            assert record.stop - record.pos + 1 == len(record.ref)


def test_the_header_names_the_participant_and_no_path_date_or_command(gvcf: Path, genome: Path) -> None:
    with pysam.BGZFile(str(gvcf)) as file:
        header = [line.decode() for line in file if line.startswith(b"#")]
    assert header[-1].split("\t")[9:] == ["PTEST"]
    kinds = {line.split("=")[0] for line in header[:-1]}
    assert kinds == {"##fileformat", "##FILTER", "##ALT", "##INFO", "##FORMAT", "##contig"}
    assert str(genome) not in "".join(header)


def test_the_same_reads_give_the_same_bytes(genome: Path, gvcf: Path, tmp_path: Path) -> None:
    assert called(genome, tmp_path / "again.g.vcf.gz", regions=[WHOLE]).read_bytes() == gvcf.read_bytes()


@pytest.mark.parametrize("caller", ["bcftools", "freebayes"])
def test_males_are_haploid_on_x(genome: Path, tmp_path: Path, caller: str) -> None:
    path = called(genome, tmp_path / "x.g.vcf.gz", caller=caller, sex="male", regions=[Region("X", 1, LENGTH)])
    records = records_of(path)
    assert {len(record.samples[0]["GT"]) for record in records} == {1}
    assert {len(record.samples[0]["PL"]) for record in records if "PL" in record.samples[0]} == {2}
    assert variants_of(path)[HOM].samples[0]["GT"] == (1,)


def test_the_y_of_a_female_has_no_record(genome: Path, tmp_path: Path) -> None:
    path = called(genome, tmp_path / "y.g.vcf.gz", sex="female", regions=[Region("Y", 1, LENGTH)])
    assert records_of(path) == []
    assert (tmp_path / "y.g.vcf.gz.tbi").is_file()


def test_gathered_shards_equal_a_single_call(genome: Path, gvcf: Path, tmp_path: Path) -> None:
    cut = [Region("1", 1, 600), Region("1", 601, LENGTH)]
    parts = [called(genome, tmp_path / f"{n}.g.vcf.gz", regions=[region]) for n, region in enumerate(cut)]
    empty = called(genome, tmp_path / "y.g.vcf.gz", regions=[Region("Y", 1, LENGTH)])
    gather([*parts, empty], output=tmp_path / "calls.g.vcf.gz")
    assert (tmp_path / "calls.g.vcf.gz.tbi").is_file()

    def bases(path: Path) -> dict[int, tuple[object, ...]]:
        values: dict[int, tuple[object, ...]] = {}
        for record in records_of(path):
            sample = record.samples[0]
            values |= dict.fromkeys(range(record.pos, record.stop + 1), (sample["GT"], record.alts, sample.get("PL")))
        return values

    assert bases(tmp_path / "calls.g.vcf.gz") == bases(gvcf)


FOREIGN = """\
##fileformat=VCFv4.2
##ALT=<ID=NON_REF,Description="x">
##FORMAT=<ID=GT,Number=1,Type=String,Description="x">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="x">
##INFO=<ID=END,Number=1,Type=Integer,Description="x">
##GATKCommandLine=<ID=HaplotypeCaller,CommandLine="-I /secret/hospital/reads.cram",Date="today">
##reference=file:///secret/ref.fa
##contig=<ID=1,length=2000>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tlabel
1\t401\t.\tA\t<NON_REF>\t.\t.\tEND=600\tGT:GQ\t0/0:40
"""
FAKE = """#!/bin/sh
for word in "$@"; do
  case "$previous" in -O) out="$word";; esac
  case "$word" in --output_gvcf=*) out="${word#*=}";; esac
  previous="$word"
done
echo "$@" > "$0.arguments"
for word in "$@"; do case "$word" in *region.bed) cp "${word#*=}" "$0.regions";; esac; done
cat > "$out" <<'END'
%sEND
"""


@pytest.mark.parametrize(
    ("caller", "tool", "expected"),
    [
        ("gatk", "gatk", "HaplotypeCaller -ERC GVCF * -L * --sample-ploidy 1"),
        ("deepvariant", "run_deepvariant", "--model_type=WGS * --regions= * --haploid_contigs=X"),
    ],
)
def test_callers_with_own_blocks_get_region_and_ploidy_and_their_headers_are_cleaned(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caller: str, tool: str, expected: str
) -> None:
    fake = tmp_path / tool
    fake.write_text(FAKE % FOREIGN)
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    path = called(genome, tmp_path / "g.vcf.gz", caller=caller, sex="male", regions=[Region("X", 1, LENGTH)])
    arguments, regions = Path(f"{fake}.arguments").read_text(), Path(f"{fake}.regions")
    at = 0
    for words in expected.split(" * "):
        at = arguments.index(words, at)
    assert regions.read_text() == f"X\t0\t{LENGTH}\n"
    with pysam.BGZFile(str(path)) as file:
        text = b"\n".join(file).decode()
    assert "secret" not in text
    assert "label" not in text
    assert "\tPTEST\n" in text
    assert text.endswith("1\t401\t.\tA\t<NON_REF>\t.\t.\tEND=600\tGT:GQ\t0/0:40")


@st.composite
def likelihoods(draw: st.DrawFn) -> list[int]:
    alleles = draw(st.integers(2, 5))
    values = draw(
        st.lists(st.integers(0, 255), min_size=alleles * (alleles + 1) // 2, max_size=alleles * (alleles + 1) // 2)
    )
    return [value - min(values) for value in values]


@given(st.lists(likelihoods(), max_size=5), st.sampled_from([1, 2]))
def test_reference_gq_is_the_distance_to_the_best_other_genotype(rows: list[list[int]], ploidy: int) -> None:
    def slowly(values: list[int]) -> int:
        pairs = [(a, b) for b in range(5) for a in range(b + 1)][: len(values)]
        others = [v for (a, b), v in zip(pairs, values, strict=True) if b > 0 and (ploidy == 2 or a == b)]
        return max(0, min(99, min(others) - values[0]))

    text = pa.chunked_array([[",".join(map(str, row)) for row in rows]], pa.string())
    assert homozygous_reference_gq(text, ploidy=ploidy).tolist() == [slowly(row) for row in rows]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), max_size=30),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), max_size=3),
)
def test_blocks_hold_each_free_covered_base_once(bases: list[tuple[int, int]], taken: list[tuple[int, int]]) -> None:
    bands = (0, 10, 20, 30)
    start = 5
    evidence = Evidence(
        start, np.array([depth for depth, _ in bases], np.int32), np.array([gq for _, gq in bases], np.int32)
    )
    spans = [(first, first + length) for first, length in taken]
    made = blocks(evidence, taken=spans, bands=bands)
    free = {
        pos: (depth, gq)
        for pos, (depth, gq) in enumerate(bases, start=start)
        if depth and not any(first <= pos <= last for first, last in spans)
    }
    stretches = [range(first, last + 1) for first, last in zip(made.start, made.end, strict=True)]
    assert [pos for stretch in stretches for pos in stretch] == sorted(free)
    for stretch, min_dp, least in zip(stretches, made.min_dp, made.gq, strict=True):
        inside = [free[pos] for pos in stretch]
        assert (min_dp, least) == (min(depth for depth, _ in inside), min(gq for _, gq in inside))
        assert len({sum(gq >= border for border in bands) for _, gq in inside}) == 1


# as freebayes that ends early with exit code 0, and as a caller with blocks of its own
FREEBAYES = """#!{python}
import subprocess, sys
subprocess.run(["{freebayes}", *sys.argv[1:]], check=True)
path = sys.argv[sys.argv.index("-v") + 1]
lines = open(path).readlines()
kept = [line for line in lines if line.startswith("#") or int(line.split("\\t")[1]) < {end}]
open(path, "w").write("".join(kept) + "1\\t9")
"""
GATK = """#!{python}
import sys
lines = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">',
         '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="g">', '##ALT=<ID=NON_REF,Description="any">',
         '##INFO=<ID=END,Number=1,Type=Integer,Description="e">', "##contig=<ID=1,length=2000>"]
lines.append("\\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "P1"]))
for start, end in {blocks}:
    values = ["1", str(start), ".", "N", "<NON_REF>", ".", ".", "END=%d" % end, "GT:GQ", "0/0:50"]
    lines.append("\\t".join(values))
open(sys.argv[sys.argv.index("-O") + 1], "w").write("".join(line + "\\n" for line in lines))
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Write a program; it comes first on PATH."""
    folder.mkdir()
    program = folder / name
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("caller", ["bcftools", "freebayes"])
def test_a_caller_that_comes_to_the_end_leaves_nothing_uncalled(genome: Path, tmp_path: Path, caller: str) -> None:
    # without a read before 400, between 1,143 + 100 and 1,300, and after 1,700
    output = called(genome, tmp_path / "calls.g.vcf.gz", regions=[WHOLE, Region("X", 1, 1_200)], caller=caller)
    assert read_note(output) == Completeness(records=len(records_of(output)), expected=len(records_of(output)))


@pytest.mark.parametrize(("end", "uncalled"), [(2_001, ()), (HOM + 1, ("1:701-2000",)), (1, ("1:1-2000",))])
def test_freebayes_that_ends_early_is_noticed(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int, uncalled: tuple[str, ...]
) -> None:
    text = FREEBAYES.format(python=sys.executable, freebayes=shutil.which("freebayes"), end=end)
    install(tmp_path / "bin", monkeypatch, "freebayes", text)
    note = read_note(called(genome, tmp_path / "calls.g.vcf.gz", regions=[WHOLE], caller="freebayes"))
    assert note is not None and note.uncalled == uncalled


def test_the_pileup_that_ends_early_is_noticed(genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = callers.pileup

    def early(job: callers.Job) -> list[callers.Commands]:
        region = Region(job.piece.region.contig, job.piece.region.start, 1_000)
        return whole(replace(job, piece=replace(job.piece, region=region)))

    monkeypatch.setattr(calling, "pileup", early)
    note = read_note(called(genome, tmp_path / "calls.g.vcf.gz", regions=[WHOLE]))
    # the evidence of other bases is whole up to the next that mpileup should have had
    assert note is not None and note.uncalled == ("1:1033-2000",)


@pytest.mark.parametrize(
    ("blocks", "uncalled"),
    [
        ([(1, 2_000)], ()),
        ([(1, 1_250), (1_290, 1_700)], ()),  # no read lies in the gaps
        ([(1, 1_000)], ("1:1001-2000",)),
        ([(1, 700), (1_000, 2_000)], ("1:701-999",)),
        ([(800, 2_000)], ("1:1-799",)),
        ([], ("1:1-2000",)),
    ],
)
def test_a_caller_with_blocks_of_its_own_that_leaves_reads_out_is_noticed(
    genome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    blocks: list[tuple[int, int]],
    uncalled: tuple[str, ...],
) -> None:
    install(tmp_path / "bin", monkeypatch, "gatk", GATK.format(python=sys.executable, blocks=blocks))
    output = called(genome, tmp_path / "calls.g.vcf.gz", regions=[WHOLE], caller="gatk")
    assert read_note(output) == Completeness(records=len(blocks), expected=len(blocks), uncalled=uncalled)


def test_an_empty_file_of_a_caller_is_noticed(genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for caller, number in (("gatk", "-O"), ("freebayes", "-v")):
        text = f"#!{sys.executable}\nimport sys\nopen(sys.argv[sys.argv.index('{number}') + 1], 'w')\n"
        install(tmp_path / caller, monkeypatch, caller, text)
        note = read_note(called(genome, tmp_path / f"{caller}.g.vcf.gz", regions=[WHOLE], caller=caller))
        assert note is not None and note.uncalled == ("1:1-2000",)


def test_a_gathered_gvcf_has_the_records_and_the_gaps_of_its_pieces(genome: Path, tmp_path: Path) -> None:
    pieces = []
    for number, region in enumerate([Region("1", 1, 900), Region("1", 901, 2_000)]):
        pieces.append(called(genome, tmp_path / f"{number}.g.vcf.gz", regions=[region]))
    gather(pieces, output=tmp_path / "calls.g.vcf.gz")
    records = sum(len(records_of(piece)) for piece in pieces)
    assert read_note(tmp_path / "calls.g.vcf.gz") == Completeness(records=records, expected=records)
    note = note_path(pieces[1])
    note.write_text(json.dumps({"records": 3, "expected": 3, "uncalled": ["1:5-9"]}))
    gather(pieces, output=tmp_path / "calls.g.vcf.gz")
    first = len(records_of(pieces[0]))
    whole = Completeness(records=records, expected=first + 3, uncalled=("1:5-9",))
    assert read_note(tmp_path / "calls.g.vcf.gz") == whole
    note.unlink()  # a delivered gVCF
    gather(pieces, output=tmp_path / "calls.g.vcf.gz")
    assert read_note(tmp_path / "calls.g.vcf.gz") == Completeness(records=records, expected=records)


@pytest.mark.parametrize(
    ("name", "caller"), [("HLA-A*01:01:1-100", "bcftools"), ("HLA-A*01:01:1-100", "freebayes"), ("b|c;d", "bcftools")]
)
def test_a_contig_with_the_signs_of_a_region_in_its_name_is_called(
    genome: Path, gvcf: Path, tmp_path: Path, name: str, caller: str
) -> None:
    if shutil.which(caller) is None and caller == "freebayes":
        pytest.skip("freebayes is not installed")
    (tmp_path / "ref.fa").write_text((genome / "ref.fa").read_text().replace(">1\n", f">{name}\n"))
    pysam.faidx(str(tmp_path / "ref.fa"))
    text = pysam.view("-h", "-T", str(genome / "ref.fa"), str(genome / "reads.cram"), "1")
    renamed = re.sub(r"\tSN:1\t", lambda _: f"\tSN:{name}\t", text)
    renamed = re.sub(r"(?m)^([^@\t]+\t\d+\t)1\t", lambda match: f"{match[1]}{name}\t", renamed)
    (tmp_path / "reads.sam").write_text(renamed)
    pysam.view("-b", "-o", str(tmp_path / "reads.cram"), str(tmp_path / "reads.sam"), catch_stdout=False)
    pysam.index(str(tmp_path / "reads.cram"))
    path = called(tmp_path, tmp_path / "named.g.vcf.gz", caller=caller, regions=[Region(name, 1, LENGTH)])
    plain = gvcf if caller == "bcftools" else called(genome, tmp_path / "p.g.vcf.gz", caller=caller, regions=[WHOLE])

    def lines(file: Path) -> list[list[bytes]]:
        with pysam.BGZFile(str(file)) as text:
            return [line.split(b"\t")[1:] for line in text if not line.startswith(b"#")]

    assert lines(path) == lines(plain) and len(lines(path)) > 10
