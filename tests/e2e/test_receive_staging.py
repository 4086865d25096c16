"""Staged files: the bases and calls of the delivered ones, and no name of anybody."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

import crypt4gh.keys
import crypt4gh.lib
import pysam
import pytest
from baekman.intake import specimen as intake_specimen
from baekman.intake import staging
from baekman.intake.orders.order import OpenOrder
from baekman.intake.receive import receive
from baekman.intake.staged_specimen import ExaminedSpecimen
from baekman.registry.importing import import_registrations
from baekman.registry.records import open_registry
from baekman.tools import programs
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from crypt4gh.keys.c4gh import generate
from support.delivery_builder import (
    INSTITUTION,
    DeliveryBuilder,
    codes,
    fastq,
    fastq_records,
    gvcf_text,
    make_workspace,
    registration,
    simple_delivery,
    write_alignment,
    write_fastq,
    write_gvcf,
)


def test_reads_keep_their_bases_and_lose_their_names(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    receipt = receive(delivery, workspace=Workspace(tmp_path / "W"))
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert (row.entry, row.lane, row.sex, row.array_genotypes) == ("fastq", "L1", "female", "")
    for mate, file in ((1, row.file_1), (2, row.file_2)):
        delivered = fastq_records(delivery / f"A-1_LANE1_R{mate}.fastq.gz")
        staged = fastq_records(tmp_path / "W" / file)
        assert [(seq, plus, qual) for _, seq, plus, qual in staged] == [
            (seq, "+", qual) for _, seq, _, qual in delivered
        ]
        assert [name for name, *_ in staged] == [f"@L1.{number}" for number in range(1, len(delivered) + 1)]


def test_names_are_kept_without_comment_when_the_configuration_says_so(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)], more="rename_reads: false\n")
    receipt = receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=Workspace(tmp_path / "W"))
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert fastq_records(tmp_path / "W" / row.file_2)[0][0] == "@A005:7:FLOW:1:1101:0:99"


@pytest.mark.parametrize("suffix", ["bam", "cram"])
def test_an_alignment_is_staged_as_the_pairs_of_its_lanes(tmp_path: Path, reference: Path, suffix: str) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    path = builder.folder / f"a.{suffix}"
    write_alignment(path, reference, sample="A-1", seed=3, groups=("X.1", "UNUSED", "X.2"))
    builder.add("A-1", path.name, suffix)
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", [])]
    rows = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert [(row.entry, row.lane) for row in rows] == [("fastq", "L1"), ("fastq", "L2"), ("fastq", "L3")]
    with pysam.AlignmentFile(str(path), reference_filename=str(reference)) as opened:
        reads = list(opened.fetch(until_eof=True))
    for lane, group in enumerate(("X.1", "UNUSED", "X.2"), start=1):
        row = rows[lane - 1]
        for is_first, file in ((True, row.file_1), (False, row.file_2)):
            expected = sorted(
                (read.get_forward_sequence() or "")
                for read in reads
                if read.get_tag("RG") == group and read.is_read1 is is_first
            )
            staged = fastq_records(tmp_path / "W" / file)
            assert sorted(sequence for _, sequence, _, _ in staged) == expected
            assert [name for name, *_ in staged] == [f"@L{lane}.{n}" for n in range(1, len(expected) + 1)]


def test_an_accepted_alignment_has_a_rebuilt_header_and_numbered_names(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)], more="aligned_input: accept\n")
    builder = DeliveryBuilder(tmp_path / "in", reference)
    path = builder.folder / "a.bam"
    write_alignment(path, reference, sample="A-1", seed=3, groups=("X.1", "X.2"), header={"CO": ["ward7"]})
    builder.add("A-1", path.name, "bam")
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", [])]
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert row.entry == "cram"
    with pysam.AlignmentFile(str(tmp_path / "W" / row.file_1), reference_filename=str(reference)) as opened:
        header = opened.header.to_dict()
        staged = list(opened.fetch(until_eof=True))
    p = row.participant_id
    assert set(header) == {"HD", "SQ", "RG"}
    assert header["RG"] == [
        {"ID": lane, "SM": p, "PL": "ILLUMINA", "LB": p, "PU": f"{p}.{lane}"} for lane in ("L1", "L2")
    ]
    with pysam.AlignmentFile(str(path)) as opened:
        delivered = list(opened.fetch(until_eof=True))
    key = lambda read: (read.reference_start, read.query_sequence, read.flag)  # noqa: E731
    assert sorted(map(key, staged)) == sorted(map(key, delivered))
    assert all(not read.has_tag("CO") for read in staged)
    # mates keep one name, and no two pairs have the same
    names: dict[str, int] = {}
    for read in staged:
        names[str(read.query_name)] = names.get(str(read.query_name), 0) + 1
    assert set(names.values()) == {2} and all(name.startswith("L1.") for name in names)
    lanes = {"X.1": "L1", "X.2": "L2"}
    assert {(key(read), read.get_tag("RG")) for read in staged} == {
        (key(read), lanes[str(read.get_tag("RG"))]) for read in delivered
    }


def test_a_gvcf_keeps_its_calls_and_nothing_of_its_header(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    meta = ["##source=/data/hospital/ward7/call.sh", '##FILTER=<ID=ofward7,Description="x">']
    delivered = gvcf_text(reference, sample="A-1", meta=meta)
    delivered = re.sub(r"(?m)^(chr1\t100\t.*?)\t\.\t\.\t", r"\1\t.\tLowQual;ofward7\t", delivered)
    write_gvcf(builder.folder / "a.g.vcf.gz", delivered)
    builder.add("A-1", "a.g.vcf.gz", "gvcf")
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    text = gzip.decompress((tmp_path / "W" / row.file_1).read_bytes()).decode()
    assert "ward7" not in text and "hospital" not in text
    with pysam.VariantFile(str(tmp_path / "W" / row.file_1)) as staged:
        assert list(staged.header.samples) == [row.participant_id]
        records = [(r.pos, r.id, r.stop, r.samples[0]["GT"], r.samples[0]["PL"]) for r in staged.fetch("chr1")]
        assert [list(r.filter) for r in staged.fetch("chr1")] == [[], ["LowQual", "filter1"], []]
    assert records == [
        (1, None, 99, (0, 0), (0, 60, 900)),
        (100, None, 100, (0, 1), (400, 0, 420, 500, 510, 900)),
        (101, None, 2000, (0, 0), (0, 60, 900)),
    ]


def test_another_reference_is_a_note_when_reads_are_aligned_again(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)], more="reference_name: ours\n")
    builder = DeliveryBuilder(tmp_path / "in", reference)  # says that its reference is `tiny`
    write_alignment(builder.folder / "a.bam", reference, sample="A-1", seed=1, header={"SQ": [{"SN": "1", "LN": 9000}]})
    builder.add("A-1", "a.bam", "bam")
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", ["reference_differs"])]


def test_reads_without_their_mate_are_skipped_and_reported(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    whole = tmp_path / "whole.bam"
    write_alignment(whole, reference, sample="A-1", seed=1)
    with pysam.AlignmentFile(str(whole)) as reads:
        kept = [read for read in reads if not (read.is_read2 and read.query_name.endswith((":3", ":7")))]
        with pysam.AlignmentFile(str(builder.folder / "a.bam"), "wb", header=reads.header) as out:
            for read in kept:
                out.write(read)
    builder.add("A-1", "a.bam", "bam")
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", ["reads_without_mate"])]
    (note,) = receipt.verdicts[0].reasons
    assert (note.metric, note.observed) == ("reads", 2)
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert [len(fastq_records(tmp_path / "W" / file)) for file in row.files] == [8, 8]


def test_lanes_of_a_second_file_never_replace_those_of_the_first(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    for number, file in enumerate(("a.bam", "b.bam")):
        whole = tmp_path / file
        write_alignment(whole, reference, sample="A-1", seed=number, groups=("X", "EMPTY", "Y"), name=f"run{number}")
        with pysam.AlignmentFile(str(whole)) as reads:
            kept = [read for read in reads if read.get_tag("RG") != "EMPTY"]
            with pysam.AlignmentFile(str(builder.folder / file), "wb", header=reads.header) as out:
                for read in kept:
                    out.write(read)
        builder.add("A-1", file, "bam")
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    rows = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert [row.lane for row in rows] == ["L1", "L3", "L4", "L6"]
    reads = {sequence for row in rows for _, sequence, *_ in fastq_records(tmp_path / "W" / row.file_1)}
    assert len(reads) == 40


ARRAY = (
    "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=3000>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tSAMPLE\n"
    "chr1\t100\trs1\tA\tC\t.\t.\t.\tGT\t0/1\n"
)


def test_array_genotypes_come_along_under_the_participants_id(tmp_path: Path, reference: Path) -> None:
    (tmp_path / "array.vcf").write_text(ARRAY.replace("SAMPLE", "A-1"))
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1, array_genotypes="array.vcf")])
    receipt = receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=Workspace(tmp_path / "W"))
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    with pysam.VariantFile(str(tmp_path / "W" / row.array_genotypes)) as staged:
        assert list(staged.header.samples) == [row.participant_id]
        assert [(record.pos, record.samples[0]["GT"]) for record in staged] == [(100, (0, 1))]


def test_array_genotypes_that_were_exchanged_or_removed_hold_their_specimens(tmp_path: Path, reference: Path) -> None:
    rows = []
    for number, genotype in enumerate(("0/1", "1/1", "0/0"), start=1):
        (tmp_path / f"array{number}.vcf").write_text(ARRAY.replace("SAMPLE", f"A-{number}").replace("0/1", genotype))
        rows.append(registration(f"A-{number}", number, array_genotypes=f"array{number}.vcf"))
    rows.append(registration("A-4", 4))
    make_workspace(tmp_path / "W", reference, rows)
    registry = open_registry(tmp_path / "W")
    records = [registry.specimen(INSTITUTION, f"A-{number}") for number in (1, 2, 3, 4)]
    first, second, third, fourth = (registry.array_path(record.specimen_id) for record in records if record)
    kept = first.read_bytes(), second.read_bytes()
    first.write_bytes(kept[1])
    second.write_bytes(kept[0])
    third.unlink()
    fourth.write_bytes(kept[0])  # nobody registered it
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2", "A-3", "A-4")
    receipt = receive(delivery, workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [*[("hold", ["array_genotypes_changed"])] * 3, ("accept", [])]
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert row.array_genotypes == ""
    assert receive(delivery, workspace=Workspace(tmp_path / "W")).status == "same"
    import_registrations(registry, [tmp_path / "W.registration.tsv"])
    assert (first.read_bytes(), second.read_bytes()) == kept
    receipt = receive(delivery, workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", [])] * 4


def test_an_encrypted_delivery_is_received_with_its_key(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(str(tmp_path / "key.sec"), str(tmp_path / "key.pub"), b"", None)
    public = crypt4gh.keys.get_public_key(str(tmp_path / "key.pub"))
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    for path in builder.pair("A-1", seed=4):
        with path.open("rb") as plain, path.with_name(f"{path.name}.c4gh").open("wb") as container:
            crypt4gh.lib.encrypt([(0, os.urandom(32), public)], plain, container)
        path.unlink()
    for row in builder.rows:
        row[1] += ".c4gh"  # sums and size stay those of the plaintext
    delivery = builder.finish()
    monkeypatch.setenv("BAEKMAN_CRYPT4GH_KEY", str(tmp_path / "key.sec"))
    receipt = receive(delivery, workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", [])]
    (row_staged,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    staged = fastq_records(tmp_path / "W" / row_staged.file_1)
    assert [sequence for _, sequence, _, _ in staged] == fastq(4, 1).splitlines()[1::4]


def test_a_file_that_is_changed_after_it_was_examined_is_not_staged(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    folder = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    stage = intake_specimen.stage

    def changed(order: OpenOrder, specimen: ExaminedSpecimen) -> Any:
        for row in specimen.rows:
            if row.barcode == "A-2" and row.kind == "fastq_2":
                write_fastq(folder / row.file, fastq(99, 2))
        return stage(order, specimen)

    monkeypatch.setattr(intake_specimen, "stage", changed)
    receipt = receive(folder, workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", []), ("reject", ["checksum_wrong"])]
    staged = tmp_path / "W" / "deliveries" / receipt.delivery_id / "staged"
    assert [folder.name for folder in staged.iterdir()] == [receipt.verdicts[0].participant_id]


def test_reads_that_a_tool_leaves_out_hold_their_specimen_and_stop_nobody(tmp_path: Path, reference: Path) -> None:
    # samtools fastq takes one pair of a name: the second run of the same names would be lost
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    runs = [tmp_path / "x.bam", tmp_path / "y.bam"]
    for seed, run in enumerate(runs):
        write_alignment(run, reference, sample="A-1", seed=seed)
    with pysam.AlignmentFile(str(builder.folder / "a.bam"), "wb", template=pysam.AlignmentFile(str(runs[0]))) as out:
        for run in runs:
            for read in pysam.AlignmentFile(str(run)):
                out.write(read)
    builder.add("A-1", "a.bam", "bam")
    builder.pair("A-2", seed=2)
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("hold", ["reads_lost"]), ("accept", [])]
    (reason,) = receipt.verdicts[0].reasons
    assert (reason.metric, reason.observed, reason.threshold) == ("reads", 20, 40)
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert (row.participant_id, row.records) == (receipt.verdicts[1].participant_id, 40)
    staged = tmp_path / "W" / "deliveries" / receipt.delivery_id / "staged"
    assert [folder.name for folder in staged.iterdir()] == [row.participant_id]


@pytest.mark.parametrize("aligned_input", ["accept", "realign"])
@pytest.mark.parametrize("suffix", ["bam", "cram"])
def test_secondary_and_supplementary_alignments_are_no_reads_and_single_reads_are_reported(
    tmp_path: Path, reference: Path, suffix: str, aligned_input: str
) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)], more=f"aligned_input: {aligned_input}\n")
    builder = DeliveryBuilder(tmp_path / "in", reference)
    write_alignment(tmp_path / "whole.bam", reference, sample="A-1", seed=3)
    mode = "wc" if suffix == "cram" else "wb"
    with (
        pysam.AlignmentFile(str(tmp_path / "whole.bam")) as whole,
        pysam.AlignmentFile(
            str(builder.folder / f"a.{suffix}"), mode, header=whole.header, reference_filename=str(reference)
        ) as out,
    ):
        for number, read in enumerate(whole):
            if number != 5:  # its mate is a single read
                out.write(read)
            if number in (0, 7):
                read.flag |= 0x100 if number else 0x800
                out.write(read)
            if number == 2:  # a read of no pair
                read.query_name, read.flag = "single", 0
                read.next_reference_id, read.next_reference_start = -1, -1
                out.write(read)
    builder.add("A-1", f"a.{suffix}", suffix)
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    observed = [(reason.code, reason.observed) for reason in receipt.verdicts[0].reasons]
    (row,) = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert (observed, row.records) == (([], 20) if aligned_input == "accept" else ([("reads_without_mate", 2)], 18))


def test_records_that_a_tool_leaves_out_hold_their_specimen(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    write_gvcf(builder.folder / "a.g.vcf.gz", gvcf_text(reference, sample="A-1"))
    builder.add("A-1", "a.g.vcf.gz", "gvcf")
    # bcftools view that ends early with exit code 0
    early = ["--exclude", "POS>100"]
    view = [*programs.command("bcftools"), "view"]
    run = staging.running

    def running(words: list[str], **options: Any) -> Any:
        is_view = [str(word) for word in words][: len(view)] == view
        return run([*words[:-1], *early, words[-1]] if is_view else words, **options)

    monkeypatch.setattr(staging, "running", running)
    receipt = receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("hold", ["records_lost"])]
    (reason,) = receipt.verdicts[0].reasons
    assert (reason.metric, reason.observed, reason.threshold) == ("records", 2, 3)
