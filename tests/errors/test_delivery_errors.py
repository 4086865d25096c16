"""A malformed delivery is refused with every fault at once; no message quotes a confidential value."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.files.untrusted import FileFault, open_inside
from baekman.intake.delivery import folder_problems, read_delivery
from baekman.intake.receive import receive
from baekman.registry.listing import is_known
from baekman.watch import is_whole
from baekman.workspace.paths import Workspace
from support.delivery_builder import INSTITUTION, DeliveryBuilder, make_workspace, registration, write_reference

SHEET = "delivery: D-2026-01\ninstitution: Hospital One\nplatform: ILLUMINA\nreference: testgenome\n"
HEADER = "specimen_id\tfile\tkind\tread_group\tsha256\tsize\n"
SUM = "a" * 64
GOOD = f"SECRET-1\treads_1.fastq.gz\tfastq_1\tL1\t{SUM}\t10\n"


def faults(folder: Path, sheet: str | bytes = SHEET, manifest: str | bytes = HEADER + GOOD) -> list[str]:
    """Return the lines with which the delivery is refused."""
    for name, content in (("delivery.yaml", sheet), ("manifest.tsv", manifest)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputRefused) as refused:
        read_delivery(folder)
    lines = [str(problem) for problem in refused.value.problems]
    assert not any("SECRET" in line for line in lines)
    return lines


def test_a_sound_delivery_is_read(tmp_path: Path) -> None:
    (tmp_path / "delivery.yaml").write_text(SHEET.replace("D-2026-01", "20260101"))
    (tmp_path / "manifest.tsv").write_bytes((HEADER + GOOD).replace("\n", "\r\n").encode())
    delivery = read_delivery(tmp_path)
    assert (delivery.name, delivery.institution, delivery.platform) == (
        "20260101",
        "Hospital One",
        "ILLUMINA",
    )
    assert [(row.row, row.kind, row.read_group, row.sha256, row.size) for row in delivery.rows] == [
        (2, "fastq_1", "L1", SUM, 10)
    ]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_manifest_may_have_the_form_that_a_spreadsheet_gives_it(tmp_path: Path, mark: str) -> None:
    lines = [
        'size\tfile\t"specimen_id"\tnote\tsha256\tkind',
        f'10 \t"run, 7 ""a""/reads.bam"\t B 1 \t\t{SUM}\tbam',
        "",
        f"11\t./a//b/./c.bam\tB2\t\t{SUM}\tbam ",
        f"12\ta\\d.bam\tB3\t\t{SUM}\tbam",
        "",
    ]
    (tmp_path / "delivery.yaml").write_bytes((mark + SHEET).replace("\n", "\r\n").encode())
    (tmp_path / "manifest.tsv").write_bytes((mark + "\r\n".join(lines)).encode())
    assert [(row.row, row.barcode, row.file, row.size) for row in read_delivery(tmp_path).rows] == [
        (2, "B 1", 'run, 7 "a"/reads.bam', 10),
        (4, "B2", "a/b/c.bam", 11),
        (5, "B3", "a/d.bam", 12),
    ]


def test_a_manifest_may_have_the_line_ends_of_an_old_mac(tmp_path: Path) -> None:
    (tmp_path / "delivery.yaml").write_text(SHEET)
    (tmp_path / "manifest.tsv").write_bytes((HEADER + GOOD).replace("\n", "\r").encode())
    assert [(row.row, row.barcode, row.size) for row in read_delivery(tmp_path).rows] == [(2, "SECRET-1", 10)]


@pytest.mark.parametrize("path", ["../a", "./../a", "a\\..\\..\\b", "/etc/a", "\\\\server\\a"])
def test_no_spelling_of_a_path_leaves_the_delivery(tmp_path: Path, path: str) -> None:
    (tmp_path / "delivery.yaml").write_text(SHEET)
    (tmp_path / "manifest.tsv").write_text(HEADER + GOOD.replace("reads_1.fastq.gz", path))
    (row,) = read_delivery(tmp_path).rows
    with pytest.raises(FileFault) as fault:
        open_inside(tmp_path, row.file)
    assert fault.value.code == "path_unsafe"


def test_the_message_on_an_empty_folder_names_both_files(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        read_delivery(tmp_path)
    assert [str(problem) for problem in refused.value.problems] == [
        "delivery.yaml: expected a plain file in the delivery's folder, found no such file",
        "manifest.tsv: expected a plain file in the delivery's folder, found no such file",
    ]


def test_a_fifo_as_manifest_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "delivery.yaml").write_text(SHEET)
    os.mkfifo(tmp_path / "manifest.tsv")
    with pytest.raises(InputRefused) as refused:
        read_delivery(tmp_path)
    assert [str(problem) for problem in refused.value.problems] == [
        "manifest.tsv: expected a plain file in the delivery's folder, found a folder, FIFO, socket or device"
    ]


def test_a_link_as_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "delivery.yaml").write_text(SHEET)
    (tmp_path / "manifest.tsv").symlink_to("/etc/passwd")
    with pytest.raises(InputRefused) as refused:
        read_delivery(tmp_path)
    assert [str(problem) for problem in refused.value.problems] == [
        "manifest.tsv: expected a plain file in the delivery's folder, found a symbolic link"
    ]


@pytest.mark.parametrize("key", ["delivery", "institution", "platform", "reference"])
def test_each_missing_key_is_named(tmp_path: Path, key: str) -> None:
    sheet = "".join(line + "\n" for line in SHEET.splitlines() if not line.startswith(key))
    assert faults(tmp_path, sheet) == [f"delivery.yaml: expected the key {key}, found none"]


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        (
            SHEET.replace("Hospital One", "SECRET/../x"),
            "delivery.yaml: institution: expected a text of 1 to 200 characters without control characters, "
            "/ or \\, found 11 characters of another form",
        ),
        (
            SHEET.replace("Hospital One", '"SECRET\\nx"'),
            "delivery.yaml: institution: expected a text of 1 to 200 characters without control characters, "
            "/ or \\, found 8 characters with a control character",
        ),
        (
            SHEET.replace("Hospital One", "SECRET\u202ex"),
            "delivery.yaml: institution: expected a text of 1 to 200 characters without control characters, "
            "/ or \\, found 8 characters with an invisible character",
        ),
        (
            SHEET.replace("Hospital One", "[SECRET]"),
            "delivery.yaml: institution: expected a text, found a list",
        ),
        (
            "SECRET: [",
            "delivery.yaml: line 1, column 10: expected `key: value` lines of YAML, found something else",
        ),
        ("SECRET", "delivery.yaml: expected `key: value` lines of YAML, found 6 characters of another form"),
        ("[" * 50_000, "delivery.yaml: expected `key: value` lines of YAML, found something else"),
        (
            "a: &a [x, x]\nb: *a\n",
            "delivery.yaml: line 2, column 4: expected `key: value` lines of YAML, found an alias",
        ),
        (
            SHEET + "institution: SECRET\n",
            "delivery.yaml: line 5, column 1: expected `key: value` lines of YAML, found a key a second time",
        ),
        *(
            (
                f"{SHEET}x: {value}\n",
                f"delivery.yaml: line 5, column 4: expected `key: value` lines of YAML, found {kind}",
            )
            for value, kind in (
                ("!!int SECRET", "a tag"),
                ("!!timestamp SECRET", "a tag"),
                ("!!bool SECRET", "a tag"),
                ('"\\ud800"', "half of a character"),
            )
        ),
        ("x" * 70_000, "delivery.yaml: expected at most 65536 bytes, found more"),
        (
            b"delivery: \xff\xfe\n",
            "delivery.yaml: line 1: expected UTF-8 text, found other bytes; "
            "save it as UTF-8 (not UTF-16, EUC-KR or CP949)",
        ),
        (
            SHEET.encode("utf-16"),
            "delivery.yaml: expected UTF-8 text, found UTF-16; save it as UTF-8 (not UTF-16, EUC-KR or CP949)",
        ),
        (b"a: b\nc: \0\n", "delivery.yaml: line 2: expected text, found a NUL byte"),
    ],
)
def test_a_malformed_sheet(tmp_path: Path, sheet: str | bytes, message: str) -> None:
    assert faults(tmp_path, sheet) == [message]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        (
            GOOD.replace("SECRET-1", "#N/A"),
            [
                "manifest.tsv: line 2, column specimen_id: expected a value as it was assigned, found the error "
                "cell of a spreadsheet; format the column as text in the spreadsheet and enter the value again"
            ],
        ),
        (
            GOOD.replace("SECRET-1", '"SECRET'),
            [
                'manifest.tsv: line 2: expected a field in quotes that ends in the same line, with "" for a quote '
                "inside, found a lone quote"
            ],
        ),
        (
            f"SECRET-1\ta\tfastq\tL1\t{SUM}\t10\n",
            ["manifest.tsv: line 2, column kind: expected one of fastq_1 fastq_2 bam cram gvcf, found 'fastq'"],
        ),
        (
            "SECRET-1\ta\tbam\tL1\tSECRET\t1e3\n",
            [
                "manifest.tsv: line 2, column sha256: expected 64 hexadecimal digits, "
                "found 6 characters of another form",
                "manifest.tsv: line 2, column size: expected a whole number of bytes, found '1e3'",
            ],
        ),
        (
            f"B-1\ta\tSECRET\tL1\t{SUM}\t850101-2345678\n",
            [
                "manifest.tsv: line 2, column kind: expected one of fastq_1 fastq_2 bam cram gvcf, "
                "found 6 characters of another form",
                "manifest.tsv: line 2, column size: expected a whole number of bytes, "
                "found 14 characters of another form",
            ],
        ),
        (
            f"\ta\tbam\tL1\t{SUM}\t10\n",
            ["manifest.tsv: line 2, column specimen_id: expected a value, found an empty field"],
        ),
        (
            "SECRET-1\ta\tbam\tL1\t\t10\n",
            ["manifest.tsv: line 2, column sha256: expected a checksum (sha256 or md5), found an empty field"],
        ),
        (
            f"SECRET-1\ta\tbam\t{SUM}\t10\n",
            ["manifest.tsv: line 2: expected 6 tab-separated fields, as in the header, found 5"],
        ),
        (
            f"SECRET-1\tSEC\tRET\tbam\tL1\t{SUM}\t10\n",
            ["manifest.tsv: line 2: expected 6 tab-separated fields, as in the header, found 7"],
        ),
        (
            f"SECRET\x1b[31m\ta\tbam\tL1\t{SUM}\t10\n",
            [
                "manifest.tsv: line 2, column specimen_id: expected a text of 1 to 200 characters without "
                "control characters, found 11 characters with a control character"
            ],
        ),
        (
            f"SECRET-1\t{'x' * 10_000_000}\tbam\tL1\t{SUM}\t10\n",
            ["manifest.tsv: line 2, column file: expected at most 4096 characters, found more"],
        ),
        (
            GOOD + GOOD.replace("reads_1", "again_1"),
            [
                "manifest.tsv: line 3, column read_group: expected one fastq_1 per specimen and read group, "
                "found a second one (the first is in line 2); give every lane its own read_group"
            ],
        ),
        ("", ["manifest.tsv: expected one line per delivered file, found only the header"]),
        ("SECRET\0\n", ["manifest.tsv: line 2: expected text, found a NUL byte"]),
    ],
)
def test_a_malformed_row(tmp_path: Path, row: str, messages: list[str]) -> None:
    assert faults(tmp_path, manifest=HEADER + row) == messages


def test_missing_columns_are_all_named(tmp_path: Path) -> None:
    action = "the manifest is tab separated, with the columns specimen_id file kind read_group sha256 md5 size"
    assert faults(tmp_path, manifest="specimen_id,file,kind\nSECRET,a,bam\n") == [
        f"manifest.tsv: line 1: expected the column {name}, found one column, which is another; {action}"
        for name in ("specimen_id", "file", "kind", "size", "sha256 (or md5)")
    ]


def test_faults_of_both_files_are_reported_at_once(tmp_path: Path) -> None:
    lines = faults(tmp_path, SHEET.replace("platform", "plattform"), HEADER + "a\tb\n")
    assert lines == [
        "delivery.yaml: expected the key platform, found none",
        "manifest.tsv: line 2: expected 6 tab-separated fields, as in the header, found 2",
    ]


def test_the_number_of_reported_faults_is_limited(tmp_path: Path) -> None:
    lines = faults(tmp_path, manifest=HEADER + "a\tb\n" * 100_000)
    assert len(lines) == 201
    assert lines[-1] == "manifest.tsv: expected a manifest, found more faults than are listed here"


def test_an_institution_that_registered_nobody_is_refused_as_a_whole(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "reference")
    registry = make_workspace(tmp_path / "W", reference, [registration("A", 1)])
    builder = DeliveryBuilder(tmp_path / "d", reference, institution="Hanbit  Hospital")
    builder.pair("A", seed=1)
    workspace = Workspace(tmp_path / "W")
    with pytest.raises(InputRefused, match="found one that has registered nobody"):
        receive(builder.finish(), workspace=workspace)
    assert not list((tmp_path / "W" / "deliveries").glob("D*"))
    builder.institution = unicodedata.normalize("NFD", INSTITUTION)
    assert is_known(registry, INSTITUTION)
    assert [verdict.verdict for verdict in receive(builder.finish(), workspace=workspace).verdicts] == ["accept"]
    builder.pair("가", seed=2)
    (builder.folder / "가_LANE1_R1.fastq.gz").rename(
        builder.folder / unicodedata.normalize("NFD", "가_LANE1_R1.fastq.gz")
    )
    delivery = read_delivery(builder.finish())
    assert all(is_whole(delivery, row) for row in delivery.rows)


def test_a_folder_that_may_not_be_read_is_a_problem_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "D" / "SECRET-1" / "reads").mkdir(parents=True)
    assert folder_problems(tmp_path / "D") == []
    scandir = os.scandir

    def closed(path: Path) -> object:
        if Path(path).name == "reads":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)  # the superuser may read every folder
    assert [str(problem) for problem in folder_problems(tmp_path / "D")] == [
        "a delivery: expected folders that may be read, found a folder that may not; "
        "give the user who runs this access to it, then run the same command again"
    ]
