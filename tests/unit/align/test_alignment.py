"""Alignment in one stream: every read comes out once, under the pseudonymous ID, with no path in the header."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from pathlib import Path

import pysam
import pytest
from baekman import pseudonyms
from baekman.align.aligners import Aligner
from baekman.align.alignment import accept, align, align_lane, merge, merge_lanes
from baekman.errors import InputRefused
from baekman.tools.pipes import PipeFailed
from baekman.workspace.specimens import StagedFiles

PARTICIPANT = pseudonyms.new("P")
PAIRS = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a reference with its indexes, and two lanes of error-free pairs; the second repeats ten of the first."""
    place = tmp_path_factory.mktemp("alignment")
    dice = random.Random(20321)
    sequence = "".join(dice.choices("ACGT", k=20_000))
    reference = place / "genome.fa"
    reference.write_text(f">chr1\n{sequence}\n", encoding="ascii")
    pysam.faidx(str(reference))
    Aligner(name="bwa", reference=reference).write_index()
    starts = dice.sample(range(19_000), 2 * PAIRS)
    for lane, chosen in (("L1", starts[:PAIRS]), ("L2", starts[PAIRS : 2 * PAIRS - 10] + starts[:10])):
        write_pairs(place, lane, sequence, chosen)
    return place


def write_pairs(place: Path, lane: str, sequence: str, starts: list[int]) -> None:
    reverse = str.maketrans("ACGT", "TGCA")
    with gzip.open(place / f"{lane}_1.fq.gz", "wt") as first, gzip.open(place / f"{lane}_2.fq.gz", "wt") as second:
        for number, start in enumerate(starts):
            mate = sequence[start + 200 : start + 300].translate(reverse)[::-1]
            first.write(f"@{lane}.{number}\n{sequence[start : start + 100]}\n+\n{'I' * 100}\n")
            second.write(f"@{lane}.{number}\n{mate}\n+\n{'I' * 100}\n")


def lane(folder: Path, name: str) -> StagedFiles:
    return staged("fastq", name, folder / f"{name}_1.fq.gz", folder / f"{name}_2.fq.gz")


def staged(entry: str, name: str, *files: Path) -> StagedFiles:
    paths = [*map(str, files), ""]
    return StagedFiles(
        participant_id=PARTICIPANT,
        specimen_id="S",
        entry=entry,
        lane=name,
        file_1=paths[0],
        file_2=paths[1],
        sex="female",
        array_genotypes="",
    )


def run(folder: Path, output: Path, lanes: list[StagedFiles], aligner: str = "bwa", threads: int = 1) -> Path:
    cram = output / "aligned.cram"
    align(
        lanes,
        aligner=Aligner(name=aligner, reference=folder / "genome.fa", threads=threads),
        output=cram,
        metrics=output / "markdup.txt",
    )
    return cram


def records(folder: Path, cram: Path) -> list[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(cram), reference_filename=str(folder / "genome.fa")) as file:
        return list(file)


@pytest.fixture
def bwa_mem2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bwa-mem2 has bwa's options and output; bwa replaces it where it is not installed."""
    if shutil.which("bwa-mem2") is None:
        program = tmp_path / "bin" / "bwa-mem2"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\nexec bwa "$@"\n', encoding="ascii")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("bwa_mem2")
@pytest.mark.parametrize("aligner", ["bwa", "bwa-mem2", "minimap2"])
def test_two_lanes_become_one_file_with_a_read_group_each(folder: Path, tmp_path: Path, aligner: str) -> None:
    Aligner(name=aligner, reference=folder / "genome.fa").write_index()
    cram = run(folder, tmp_path, [lane(folder, "L1"), lane(folder, "L2")], aligner)
    aligned = records(folder, cram)
    assert len({(read.query_name, read.is_read1) for read in aligned}) == len(aligned) == 4 * PAIRS
    assert all(read.get_tag("RG") == f"{PARTICIPANT}.{read.query_name[:2]}" for read in aligned)
    assert sum(read.is_duplicate for read in aligned) == 20
    assert Path(f"{cram}.crai").is_file() and "DUPLICATE TOTAL: 20" in (tmp_path / "markdup.txt").read_text()
    with pysam.AlignmentFile(str(cram)) as file:
        groups = file.header.to_dict()["RG"]
    assert {group["ID"] for group in groups} == {f"{PARTICIPANT}.L1", f"{PARTICIPANT}.L2"}
    assert {group["SM"] for group in groups} == {PARTICIPANT}


def test_the_header_holds_no_path_and_no_command_line(folder: Path, tmp_path: Path) -> None:
    cram = run(folder, tmp_path, [lane(folder, "L1")])
    with pysam.AlignmentFile(str(cram)) as file:
        text = str(file.header)
    assert "/" not in text and "CL:" not in text and "UR:" not in text
    assert "M5:" in text and "PN:bwa" in text


def test_lanes_that_are_aligned_alone_and_merged_have_the_records_of_one_stream(folder: Path, tmp_path: Path) -> None:
    lanes = [lane(folder, "L1"), lane(folder, "L2")]
    whole = run(folder, tmp_path, lanes)
    aligner = Aligner(name="bwa", reference=folder / "genome.fa", threads=2)
    alone = [tmp_path / f"{each.lane}.bam" for each in lanes]
    counts = [align_lane(each, aligner=aligner, output=bam) for each, bam in zip(lanes, alone, strict=True)]
    merged, metrics = tmp_path / "merged.cram", tmp_path / "merged.txt"
    merge_lanes(alone, aligner=aligner, output=merged, metrics=metrics)
    assert counts == [2 * PAIRS] * 2
    views = [pysam.view("-h", "--no-PG", "-T", str(folder / "genome.fa"), str(cram)) for cram in (whole, merged)]
    assert views[0] == views[1]
    assert [line for line in metrics.read_text().splitlines() if ":" in line and "COMMAND" not in line] == [
        line for line in (tmp_path / "markdup.txt").read_text().splitlines() if ":" in line and "COMMAND" not in line
    ]
    assert Path(f"{merged}.crai").is_file()


def test_the_number_of_threads_changes_no_record(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    lanes = [lane(folder, "L1"), lane(folder, "L2")]
    single, double = run(folder, tmp_path, lanes), run(folder, tmp_path / "two", lanes, threads=2)
    assert [str(record) for record in records(folder, single)] == [str(record) for record in records(folder, double)]


def test_a_delivered_alignment_is_aligned_again_and_loses_no_read(folder: Path, tmp_path: Path) -> None:
    cram = run(folder, tmp_path, [lane(folder, "L1")])
    halved = tmp_path / "halved.bam"
    with (
        pysam.AlignmentFile(str(cram), reference_filename=str(folder / "genome.fa")) as source,
        pysam.AlignmentFile(str(halved), "wb", template=source) as sink,
    ):
        # every third pair loses a mate, as at the border of a region that was cut out
        kept = [read for read in source if read.is_read1 or int(read.query_name[3:]) % 3]
        for read in kept:
            sink.write(read)
    (tmp_path / "again").mkdir()
    aligned = records(folder, run(folder, tmp_path / "again", [staged("bam", "L1", halved)]))
    assert sorted((read.query_name, read.reference_start) for read in aligned) == sorted(
        (read.query_name, read.reference_start) for read in kept
    )


def test_an_accepted_alignment_keeps_its_records(folder: Path, tmp_path: Path) -> None:
    cram = run(folder, tmp_path, [lane(folder, "L1")])
    taken = tmp_path / "taken.cram"
    accept(cram, reference=folder / "genome.fa", output=taken, metrics=tmp_path / "taken.txt")
    assert [str(read) for read in records(folder, taken)] == [str(read) for read in records(folder, cram)]
    with pysam.AlignmentFile(str(taken)) as file:
        assert "/" not in str(file.header)


def test_a_failure_in_the_stream_leaves_nothing_and_names_the_tool(folder: Path, tmp_path: Path) -> None:
    missing = staged("fastq", "L1", tmp_path / "absent_1.fq.gz", folder / "L1_2.fq.gz")
    with pytest.raises(PipeFailed, match=r"^bwa ended with exit code 1$"):
        run(folder, tmp_path, [missing])
    assert not list(tmp_path.glob("*.cram*")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("has_tags", [True, False])
def test_a_lane_that_comes_later_is_merged_as_if_both_had_come_together(
    folder: Path, tmp_path: Path, has_tags: bool
) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    for place in (first, second):
        place.mkdir()
    parts = [run(folder, first, [lane(folder, "L1")]), run(folder, second, [lane(folder, "L2")])]
    if not has_tags:  # of a delivered alignment that was accepted
        options = ["-b", "-x", "ms", "-x", "MC", "-T", str(folder / "genome.fa"), "-o", str(tmp_path / "x.bam")]
        pysam.view(*options, str(parts[0]), catch_stdout=False)
        parts[0] = tmp_path / "x.bam"
    merged, metrics = tmp_path / "merged.cram", tmp_path / "merged.txt"
    merge(parts, reference=folder / "genome.fa", output=merged, metrics=metrics, threads=2)
    (tmp_path / "both").mkdir()
    together = records(folder, run(folder, tmp_path / "both", [lane(folder, "L1"), lane(folder, "L2")]))
    both = records(folder, merged)
    key = lambda read: (read.query_name, read.is_read1)  # noqa: E731
    assert [read.to_dict() for read in sorted(both, key=key)] == [read.to_dict() for read in sorted(together, key=key)]
    assert sum(read.is_duplicate for read in both) == 20 and "DUPLICATE TOTAL: 20" in metrics.read_text()
    with pysam.AlignmentFile(str(merged)) as file:
        groups = {group["ID"] for group in file.header.to_dict()["RG"]}
        text = str(file.header)
    assert groups == {f"{PARTICIPANT}.L1", f"{PARTICIPANT}.L2"} and Path(f"{merged}.crai").is_file()
    assert "/" not in text and "CL:" not in text and "UR:" not in text


def test_alignments_to_other_contigs_are_not_merged(folder: Path, tmp_path: Path) -> None:
    cram = run(folder, tmp_path, [lane(folder, "L1")])
    other = tmp_path / "other.bam"
    with pysam.AlignmentFile(str(other), "wb", reference_names=["chr1"], reference_lengths=[7]):
        pass
    with pytest.raises(InputRefused, match="expected the contigs of the earlier alignment"):
        merge([cram, other], reference=folder / "genome.fa", output=tmp_path / "x.cram", metrics=tmp_path / "x.txt")
    assert not (tmp_path / "x.cram").exists()
