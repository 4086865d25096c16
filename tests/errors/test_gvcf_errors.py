"""A bad gVCF is refused whole: exit 3, one line with the place and the fault, and nothing is added."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pysam
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.schema import SCHEMA_VERSION
from baekman.cohort.snapshot import numbers
from baekman.cohort.store import Store, create_store, open_store
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.files.digests import sealed_text
from baekman.gvcf.thresholds import Thresholds
from support.store_tools import (
    BASES,
    baekman,
    block,
    genome_of,
    gvcf_text,
    header_lines,
    implied_bases,
    line,
    read_gvcf,
    reference_from_gvcfs,
    write_list,
    write_reference,
)

CONTIGS = {"c1": len(BASES), "c2": len(BASES)}
FIRST = header_lines(CONTIGS) + 1  # the line of the first record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return create_store(
        tmp_path / "cohort",
        reference=write_reference(tmp_path / "ref.fa", {"c1": BASES, "c2": BASES}),
        thresholds=Thresholds(max_contradicting=1),
    )


def refusal(store: Store, path: Path) -> str:
    """Return the refusal of a file by ``cohort add``; the store must not change."""
    with pytest.raises(InputRefused) as refused:
        add_batch(store, batch="b1", members=[Member(participant_id="P1", gvcf=str(path))])
    assert numbers(store) == []
    assert list((store.path / "batches").iterdir()) == []
    return str(refused.value)


GOOD = line(10, "C", "T", "0/1:40:22:11,11:45,0,42")
RECORDS = {
    "out of order": (
        [GOOD, line(9, "A", "T", "0/1:40:22:11,11:45,0,42")],
        f"line {FIRST + 1} (record 2): expected records in the order of POS, found a record before the one above it",
    ),
    "a contig that comes again": (
        [GOOD, line(10, "C", "T", "0/1:40:22:11,11:45,0,42", contig="c2"), GOOD],
        f"line {FIRST + 2} (record 3): expected each contig's records in one piece, "
        "found c1, which was left before; sort the records by contig",
    ),
    "the same record again": (
        [line(10, "C", "T", "0/1:40:22:11,11:45,0,42"), line(10, "C", "T", "0/1:40:22:11,11:45,0,42")],
        f"line {FIRST + 1} (record 2): expected each record once, found the same as a record above it",
    ),
    "the same record again, after another of its position": (
        [
            line(10, "C", "T", "0/1:40:22:11,11:45,0,42"),
            line(10, "C", "G", "0/0:40:22:22,0:0,60,99"),
            line(10, "C", "T", "0/1:40:22:11,11:45,0,42"),
        ],
        f"line {FIRST + 2} (record 3): expected each record once, found the same as a record above it",
    ),
    "the same record again, after an empty line": (
        [GOOD, "", GOOD],
        f"line {FIRST + 2} (record 2): expected each record once, found the same as a record above it",
    ),
    "POS with decimals": (
        [line(10, "C", "T", "0/1:40:22:11,11:45,0,42").replace("\t10\t", "\t10.5\t")],
        f"line {FIRST} (record 1): expected POS of 1 or more, found no such number",
    ),
    "END with decimals": (
        [line(20, "C", "<NON_REF>", "0/0:40", format="GT:GQ", info="END=20.7")],
        f"line {FIRST} (record 1): expected END at POS or after it, found END before POS",
    ),
    "ALT of letters that are no bases": (
        [line(10, "C", "DEL", "0/1:40:22:11,11:45,0,42")],
        f"line {FIRST} (record 1): expected ALT alleles of bases, symbolic alleles or breakends, found something else",
    ),
    "REF of letters that are no bases": (
        [line(10, "CE", "C", "0/1:40:22:11,11:45,0,42")],
        f"line {FIRST} (record 1): expected REF of bases, found something else",
    ),
    "POS past the contig's end": (
        [line(301, "A", "T", "0/1:40:22:11,11:45,0,42")],
        f"line {FIRST} (record 1): expected a record within its contig, found one that goes past the contig's end",
    ),
    "REF past the contig's end": (
        [line(299, "ACG", "A", "0/1:40:22:11,11:45,0,42")],
        f"line {FIRST} (record 1): expected a record within its contig, found one that goes past the contig's end",
    ),
    "END past the contig's end": (
        [block(290, 301, "C")],
        f"line {FIRST} (record 1): expected a record within its contig, found one that goes past the contig's end",
    ),
    "END before POS": (
        [GOOD, block(20, 19, "C")],
        f"line {FIRST + 1} (record 2): expected END at POS or after it, found END before POS",
    ),
    "END that is no number": (
        [line(20, "C", "<NON_REF>", "0/0:40", format="GT:GQ", info="END=x")],
        f"line {FIRST} (record 1): expected END at POS or after it, found END before POS",
    ),
    "unknown contig": (
        [line(10, "C", "T", "0/1:40:22:11,11:45,0,42", contig="c9")],
        f"line {FIRST} (record 1): expected a contig of the store's reference, found c9, which the reference lacks; "
        'in the configuration, give its name in the reference (cohort.contig_aliases: {"c9": NAME IN THE REFERENCE}) '
        'or leave it out (cohort.ignore_contigs: ["c9"])',
    ),
    "wrong REF base": (
        [GOOD, line(11, "G", "T", "0/1:40:22:11,11:45,0,42")],
        f"line {FIRST + 1} (record 2): expected REF as in the store's reference, found another base",
    ),
    "wrong REF base of a block": (
        [block(10, 20, "G")],
        f"line {FIRST} (record 1): expected REF as in the store's reference, found another base",
    ),
    "GT beyond ALT": (
        [line(10, "C", "T", "0/2:40:22:11,11:45,0,42")],
        f"line {FIRST} (record 1): expected GT that names alleles of the record, found an allele that it does not have",
    ),
    "GT that is a decimal": (
        [line(10, "C", "T", "0.0/1:40:22:11,11:45,0,42")],
        f"line {FIRST} (record 1): expected GT that names alleles of the record, found an allele that it does not have",
    ),
    "more fields than FORMAT names": (
        [line(10, "C", "T", "0/1:40:22:11,11:45,0,42:7")],
        f"line {FIRST} (record 1): expected no more fields of the sample than FORMAT names, found more",
    ),
    "GT that is no number": (
        [line(10, "C", "T", "a/1:40:22:11,11:45,0,42")],
        f"line {FIRST} (record 1): expected GT that names alleles of the record, found an allele that it does not have",
    ),
    "too few columns": (
        [GOOD.rsplit("\t", 1)[0]],
        f"line {FIRST} (record 1): expected ten columns: one sample, found 9 columns; "
        "if the file was cut, send it again",
    ),
    "too many columns": (
        [GOOD + "\t0/0"],
        f"line {FIRST} (record 1): expected ten columns: one sample, found 11 columns",
    ),
    "spaces instead of tabs": (
        [GOOD.replace("\t", " ")],
        f"line {FIRST} (record 1): expected columns separated by tabs, found columns separated by spaces",
    ),
    "POS that is no number": (
        [GOOD.replace("\t10\t", "\tten\t")],
        f"line {FIRST} (record 1): expected POS of 1 or more, found no such number",
    ),
    "POS 0": (
        [GOOD.replace("\t10\t", "\t0\t")],
        f"line {FIRST} (record 1): expected POS of 1 or more, found no such number",
    ),
    "empty REF": (
        [GOOD.replace("\tC\t", "\t\t")],
        f"line {FIRST} (record 1): expected REF of bases, found something else",
    ),
    "REF that is no sequence": (
        [GOOD.replace("\tC\t", "\tC1\t")],
        f"line {FIRST} (record 1): expected REF of bases, found something else",
    ),
    "ALT that is no sequence": (
        [GOOD.replace("\tT\t", "\tT?\t")],
        f"line {FIRST} (record 1): expected ALT alleles of bases, symbolic alleles or breakends, found something else",
    ),
    "empty ALT": (
        [GOOD.replace("\tT\t", "\tT,\t")],
        f"line {FIRST} (record 1): expected ALT alleles of bases, symbolic alleles or breakends, found something else",
    ),
    "too many fields that contradict": (
        [line(10, "C", "T", "0/1:40:22:11:45,0"), line(11, "A", "T", "0/1:40:22:11,11:45,0")],
        "all records: expected at most 1 fields that contradict their header, found 3; "
        "call the participant again, or set cohort.max_contradicting in the configuration to 3 or more "
        "and run the same command again",
    ),
    "more fields than a FORMAT can have": (
        [line(10, "C", "T", ":".join(["0/1"] + ["1"] * 70), format=":".join(["GT"] + [f"X{n}" for n in range(70)]))],
        f"line {FIRST} (record 1): expected a FORMAT of at most 64 fields, found more",
    ),
    "more alleles than a record can have": (
        [GOOD, line(11, "A", ",".join(["T"] * 4096), "0/1", format="GT")],
        f"line {FIRST + 1} (record 2): expected at most 4095 ALT alleles, found more",
    ),
    "more values of FILTER than can be kept": (
        [line(1 + n, BASES[n], "N", "0/1", format="GT", filter=f"f{n}") for n in range(251)],
        f"line {FIRST + 250} (record 251): expected at most 250 different values of FILTER, found more",
    ),
}


@pytest.mark.parametrize("problem", RECORDS)
def test_a_bad_record_is_refused_with_its_line(store: Store, tmp_path: Path, problem: str) -> None:
    lines, message = RECORDS[problem]
    path = tmp_path / "x.g.vcf"
    path.write_text(gvcf_text(lines, contigs=CONTIGS))
    assert refusal(store, path) == f"gVCF of P1: {message}"


def whole(lines: list[str]) -> str:
    return gvcf_text(lines, contigs=CONTIGS)


def compressed(folder: Path) -> bytes:
    """Return a BGZF file of several blocks."""
    plain = folder / "many.g.vcf"
    plain.write_text(whole([line(1, "A", "T", "0/1", format="GT", info=f"X={n * n * 7919}") for n in range(5000)]))
    pysam.tabix_compress(str(plain), str(folder / "many.gz"))
    return (folder / "many.gz").read_bytes()


SENT_AGAIN = "expected a whole gVCF, found a truncated or unreadable one; send it again"


def test_files_that_are_no_whole_gvcf(store: Store, tmp_path: Path) -> None:
    bgzf = compressed(tmp_path)
    plain_gzip = gzip.compress(whole([GOOD] * 1).encode())
    column_line = f"line {FIRST - 1}"
    cases: dict[str, tuple[bytes, str]] = {
        "BGZF without its end": (bgzf[:-28], f"end of the file: {SENT_AGAIN}"),
        "BGZF cut in a block": (bgzf[: len(bgzf) // 2], f"end of the file: {SENT_AGAIN}"),
        "gzip cut": (
            plain_gzip[:-12],
            "after line 0: expected readable compressed data, found a broken block; send it again",
        ),
        "gzip header only": (plain_gzip[:12], f"end of the file: {SENT_AGAIN}"),
        "gzip of garbage": (plain_gzip[:10] + b"\xff" * 50, f"end of the file: {SENT_AGAIN}"),
        "empty": (b"", "header: expected a #CHROM line, found none"),
        "empty gzip": (gzip.compress(b""), "header: expected a #CHROM line, found none"),
        "text of another kind": (b"hello\n", "header: expected a #CHROM line, found none"),
        "header only of meta lines": (
            whole([]).split("#CHROM")[0].encode(),
            "header: expected a #CHROM line, found none",
        ),
        "no fileformat": (
            whole([GOOD]).split("\n", 1)[1].encode(),
            "line 1: expected ##fileformat=VCF, found something else",
        ),
        "two samples": (
            whole([GOOD]).replace("\tS1\n", "\tS1\tS2\n").encode(),
            f"{column_line}: expected a #CHROM line with exactly one sample, its columns separated by tabs, "
            "found 2 samples",
        ),
        "no sample": (
            whole([]).replace("\tFORMAT\tS1\n", "\n").encode(),
            f"{column_line}: expected a #CHROM line with exactly one sample, its columns separated by tabs, "
            "found 0 samples",
        ),
        "a #CHROM line of spaces": (
            whole([GOOD])
            .replace("\tFORMAT\tS1\n", " FORMAT S1\n")
            .replace("#CHROM\tPOS\tID", "#CHROM POS ID")
            .encode(),
            f"{column_line}: expected a #CHROM line with exactly one sample, its columns separated by tabs, "
            "found 0 samples",
        ),
        "cut in the last column": (
            whole([GOOD])[:-4].encode(),
            f"line {FIRST}: expected a newline at the end of the last line, found none, as in a file that was cut; "
            "send it again; if it is whole, add the newline",
        ),
        "a contig of another length": (
            whole([GOOD]).replace(f"<ID=c2,length={len(BASES)}>", f"<ID=c2,length={len(BASES) + 2}>").encode(),
            f"header, contig c2: expected {len(BASES)} bases, as in the store's reference, found {len(BASES) + 2}; "
            "call the participant again on the reference of the cohort",
        ),
        "BCF cut": (
            b"BCF\x02\x02\x10\x00\x00\x00abc",
            ": expected a readable BCF, found one that bcftools cannot read",
        ),
    }
    for case, (content, message) in cases.items():
        path = tmp_path / "x.g.vcf.gz"
        path.write_bytes(content)
        expected = f"gVCF of P1: {message}" if not message.startswith(":") else f"gVCF of P1{message}"
        assert refusal(store, path) == expected, case


def test_a_file_that_may_not_be_read_or_is_gone(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.g.vcf"
    path.write_text(whole([GOOD]))
    for error, found in ((PermissionError, "one that this user may not read"), (FileNotFoundError, "none")):

        def failing(_: Path, error: type[OSError] = error) -> str:
            raise error("/where/it/lies")

        monkeypatch.setattr("baekman.gvcf.reader.sha256_of", failing)
        assert refusal(store, path) == f"gVCF of P1: expected a file that can be read, found {found}"


def test_a_broken_block_in_the_middle_is_refused(store: Store, tmp_path: Path) -> None:
    content = bytearray(compressed(tmp_path))
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path = tmp_path / "x.g.vcf.gz"
    path.write_bytes(content)
    assert refusal(store, path).endswith("expected readable compressed data, found a broken block; send it again")


def test_one_bad_file_adds_nobody_and_its_mended_form_is_added(store: Store, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.g.vcf", tmp_path / "bad.g.vcf"
    good.write_text(whole([GOOD]))
    bad.write_text(whole([GOOD, line(9, "A", "T", "0/1:40:22:11,11:45,0,42")]))
    members = [Member(participant_id="P1", gvcf=str(good)), Member(participant_id="P2", gvcf=str(bad))]
    with pytest.raises(InputRefused):
        add_batch(store, batch="b1", members=members)
    assert numbers(store) == []
    bad.write_text(whole([GOOD]))
    assert add_batch(store, batch="b1", members=members).participants == 2


def test_workers_report_the_same_problem(store: Store, tmp_path: Path) -> None:
    bad = tmp_path / "bad.g.vcf"
    bad.write_text(whole([GOOD, line(9, "A", "T", "0/1:40:22:11,11:45,0,42")]))
    with pytest.raises(InputRefused) as refused:
        add_batch(store, batch="b1", members=[Member(participant_id="P1", gvcf=str(bad))], engine=Engine(workers=2))
    assert [str(reason) for reason in refused.value.problems] == [f"gVCF of P1: {RECORDS['out of order'][1]}"]


@pytest.mark.parametrize("workers", ["1", "2", "9"])
def test_the_command_exits_with_3_and_one_line(store: Store, tmp_path: Path, workers: str) -> None:
    # with several workers no traceback reaches stderr
    bad = tmp_path / "Kim_Minsu_7.g.vcf"
    bad.write_text(whole([line(11, "G", "T", "0/1")]))
    members = write_list(tmp_path / "list.tsv", [("P1", bad)])
    done = baekman(
        "cohort", "add", "--cohort", store.path, "--batch", "b1", "--gvcfs", members, "--workers", workers, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"refused: gVCF of P1: line {FIRST} (record 1): expected REF as in the store's reference, found another base\n"
    )


def test_a_participant_who_is_there_already_is_refused(store: Store, tmp_path: Path) -> None:
    good, other = tmp_path / "good.g.vcf", tmp_path / "other.g.vcf"
    good.write_text(whole([GOOD]))
    other.write_text(whole([block(1, 20, "A")]))
    add_batch(store, batch="b1", members=[Member(participant_id="P1", gvcf=str(good))])
    with pytest.raises(InputRefused) as refused:
        add_batch(store, batch="b2", members=[Member(participant_id="P1", gvcf=str(good))])
    assert str(refused.value) == (
        "list of gVCFs: participant P1: expected participants who are not in the cohort yet, "
        "found one who is in batch b1; to replace their gVCF, use `baekman cohort replace`"
    )
    again = add_batch(store, batch="b1", members=[Member(participant_id="P1", gvcf=str(good))])
    assert again.number == 1
    for members in ([Member(participant_id="P2", gvcf=str(good))], [Member(participant_id="P1", gvcf=str(other))]):
        with pytest.raises(InputRefused) as refused:
            add_batch(store, batch="b1", members=members)
        assert str(refused.value) == (
            "--batch: expected a new name, or the batch's own members, found the name b1 with other members; "
            "a batch is immutable: choose another name"
        )
    assert numbers(store) == [1]
    assert list(store.work.iterdir()) == []


def test_published_bad_and_good_files_end_in_acceptance_or_a_reason(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "bad" / "vcf").rglob("*.vcf"))
    assert len(files) > 100
    refused: list[str] = []
    for path in files:
        genome = genome_of(implied_bases([path]) or {"1": "N" * 1000})
        try:
            read_gvcf(path, genome)
        except InputRefused as problem:
            reason, *_ = problem.problems
            assert reason.file == "gVCF of P1" and reason.expected and reason.found
            refused.append(path.name)
    assert 0 < len(refused) < len(files)


def test_the_long_line_of_a_real_file(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "gvcf" / "gatk_HG00268" / "long_line.g.vcf.gz"
    reference = reference_from_gvcfs([path], tmp_path / "ref.fa")
    store = create_store(tmp_path / "cohort", reference=reference)
    snapshot = add_batch(store, batch="b1", members=[Member(participant_id="P1", gvcf=str(path))])
    assert snapshot.participants == 1


def test_a_store_of_another_schema_is_refused(store: Store) -> None:
    path = store.path / "store.json"
    path.write_text(sealed_text(json.loads(path.read_text()) | {"schema": "0"}))
    with pytest.raises(InputRefused) as refused:
        open_store(store.path)
    assert str(refused.value) == (
        f"store.json: expected schema {SCHEMA_VERSION}, found schema 0; "
        "add the gVCFs to a new store, or use the version of baekman that made this one"
    )
