"""The leak scan finds a planted canary in every format and every form, and nothing in clean files."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import sqlite3
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pysam
import pytest
from baekman.cli import app
from baekman.cohort.schema import CALLS, REFERENCE
from baekman.cohort.work_file import WorkFile
from baekman.privacy import file_scan, leakscan
from baekman.privacy.leak_patterns import Identifier, base64_cores, matcher_of
from baekman.registry.confidential import read_identifiers
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

CANARY = "CANARY-Gildong7391"
NAME = "홍길순"
RESIDENT_NUMBER = "840229-2234567"
MATCHER = matcher_of(
    [
        Identifier(value=CANARY, place="line 1"),
        Identifier(value=NAME, place="line 2"),
        Identifier(value=RESIDENT_NUMBER, place="line 3"),
    ]
)


def encodings_found(path: Path) -> set[str]:
    return {leak.encoding for leak in leakscan.scan([path], matcher=MATCHER).leaks}


# -- one canary per format


def alignment(path: Path, mode: str, *, header: str = "x", name: str = "r1", tag: str = "x") -> None:
    reference = path.with_suffix(".fa")
    reference.write_text(">c\n" + "ACGT" * 100 + "\n")
    pysam.faidx(str(reference))
    text = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "c", "LN": 400}], "CO": [header]}
    with pysam.AlignmentFile(str(path), mode, header=text, reference_filename=str(reference)) as output:
        for number in range(50):
            read = pysam.AlignedSegment(output.header)
            read.query_name = name if number == 40 else f"r{number}"
            read.query_sequence = "ACGT" * 10
            read.flag, read.reference_id, read.reference_start, read.mapping_quality = 0, 0, number * 4, 60
            read.cigarstring = "40M"
            read.query_qualities = pysam.qualitystring_to_array("I" * 40)
            read.set_tag("XX", tag if number == 45 else "y")
            output.write(read)
    reference.unlink()
    Path(f"{reference}.fai").unlink()


def variants(path: Path, mode: str) -> None:
    header = pysam.VariantHeader()
    header.contigs.add("c", length=1000)
    header.add_sample(CANARY)
    with pysam.VariantFile(str(path), mode, header=header) as output:
        output.write(output.new_record(contig="c", start=9, alleles=("A", "C")))


def parquet(path: Path, column: pa.Array, **metadata: str) -> None:
    table = pa.table({"value": column}).replace_schema_metadata(metadata or None)
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a TEXT, b BLOB)")
        # longer than a page: the value lies in pieces
        connection.execute("INSERT INTO t VALUES (?, ?)", ("x" * 4060 + CANARY + "y" * 9000, b"z"))
    connection.close()


def zipped(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)


def tarred(path: Path, name: str, data: bytes) -> None:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def bgzipped(path: Path) -> None:
    with pysam.BGZFile(str(path), "w") as output:
        output.write(b"x" * (65280 - 5) + CANARY.encode())  # across two blocks


def named_gzip(path: Path) -> None:
    with path.open("wb") as raw, gzip.GzipFile(f"{CANARY}.fastq", "wb", fileobj=raw) as output:
        output.write(b"nothing")


def report(path: Path) -> None:
    """Figures in gzip and base64, as MultiQC keeps them."""
    blob = base64.b64encode(gzip.compress(json.dumps({"plot": os.urandom(99).hex() + CANARY}).encode()))
    path.write_bytes(b"<html><script>data = '" + blob + b"'</script></html>")


PLANTED: dict[str, Callable[[Path], object]] = {
    "plain.txt": lambda path: path.write_text(f"a {CANARY} b"),
    "x.fastq.gz": lambda path: path.write_bytes(gzip.compress(f"@r1 {CANARY}\nACGT\n+\nIIII\n".encode())),
    "two_members.gz": lambda path: path.write_bytes(gzip.compress(b"x") + gzip.compress(CANARY.encode())),
    "named.gz": named_gzip,
    "gz_in_gz.gz": lambda path: path.write_bytes(gzip.compress(gzip.compress(CANARY.encode()))),
    "x.bgz": bgzipped,
    "header.bam": lambda path: alignment(path, "wb", header=CANARY),
    "name.bam": lambda path: alignment(path, "wb", name=CANARY),
    "tag.bam": lambda path: alignment(path, "wb", tag=CANARY),
    "header.cram": lambda path: alignment(path, "wc", header=CANARY),
    "name.cram": lambda path: alignment(path, "wc", name=CANARY),
    "tag.cram": lambda path: alignment(path, "wc", tag=CANARY),
    "x.vcf": lambda path: variants(path, "w"),
    "x.vcf.gz": lambda path: variants(path, "wz"),
    "x.bcf": lambda path: variants(path, "wb"),
    "value.parquet": lambda path: parquet(path, pa.array(["a" * 50, CANARY])),
    "metadata.parquet": lambda path: parquet(path, pa.array([1]), sample=CANARY),
    "list.parquet": lambda path: parquet(path, pa.array([[{"a": CANARY}]])),
    "dictionary.parquet": lambda path: parquet(path, pa.array([CANARY, "b"]).dictionary_encode()),
    "number.parquet": lambda path: parquet(path, pa.array([1, 8402292234567])),
    "x.sqlite": sqlite,
    "x.json": lambda path: path.write_text(json.dumps({"name": NAME})),
    "x.html": report,
    "x.zip": lambda path: zipped(path, "a.txt", CANARY.encode()),
    "name.zip": lambda path: zipped(path, f"{CANARY}.txt", b"nothing"),
    "x.tar.gz": lambda path: tarred(path, "a.txt", CANARY.encode()),
    "name.tar.gz": lambda path: tarred(path, CANARY, b"nothing"),
    "x.bz2": lambda path: path.write_bytes(bz2.compress(CANARY.encode())),
    "x.xz": lambda path: path.write_bytes(lzma.compress(CANARY.encode())),
    "x.zst": lambda path: path.write_bytes(pa.compress(CANARY.encode(), codec="zstd", asbytes=True)),
    f"folder/{CANARY}.txt": lambda path: path.write_text(""),
    f"{CANARY}/file.txt": lambda path: path.write_text(""),
    "link": lambda path: path.symlink_to(f"/nowhere/{CANARY}/x"),
    "x.arrow": lambda path: _arrow(path),
    "row": lambda path: _work_file(path, allele=CANARY),
    "filter": lambda path: _work_file(path, filter=CANARY),
}


def _arrow(path: Path) -> None:
    table = pa.table({"value": [CANARY]})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)


def _work_file(path: Path, *, allele: str = "A", filter: str = "LowQual") -> None:
    columns = [pa.array([allele] if pa.types.is_string(f.type) else [0], f.type) for f in CALLS]
    part = pa.RecordBatch.from_arrays(columns, schema=CALLS), pa.RecordBatch.from_pylist([], schema=REFERENCE)
    WorkFile(path).write([part], summary=lambda: {"filters": [filter]})


@pytest.mark.parametrize("name", PLANTED)
def test_a_canary_is_found_in_every_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / "scanned" / name
    path.parent.mkdir(parents=True)
    PLANTED[name](path)
    result = leakscan.scan([tmp_path / "scanned"], matcher=MATCHER)
    assert result.leaks
    assert not result.unread
    assert not result.damaged
    assert CANARY not in "".join(leak.file for leak in result.leaks)


@pytest.mark.parametrize("name", [name for name in PLANTED if "/" not in name])
def test_the_same_format_without_a_canary_is_clean(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "CANARY", "harmless-value-0")
    monkeypatch.setitem(globals(), "NAME", "무해한")
    path = tmp_path / name
    PLANTED[name](path)
    if name != "number.parquet":
        assert leakscan.scan([tmp_path], matcher=MATCHER).leaks == []


# -- one canary per form

FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper": lambda text: text.upper().encode(),
    "lower": lambda text: text.lower().encode(),
    "nfc": lambda text: unicodedata.normalize("NFC", text).encode(),
    "nfd": lambda text: unicodedata.normalize("NFD", text).encode(),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "cp949": lambda text: text.encode("cp949"),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 of text around it, one": lambda text: base64.b64encode(b"<" + text.encode() + b">"),
    "base64 of text around it, two": lambda text: base64.b64encode(b"<<" + text.encode() + b">"),
    "url-safe base64": lambda text: base64.urlsafe_b64encode(b"?>" + text.encode()),
    "hex": lambda text: text.encode().hex().encode(),
    "upper hex": lambda text: text.encode().hex().upper().encode(),
    "json": lambda text: json.dumps(text).encode(),
    "url": lambda text: quote(text).encode(),
    "html": lambda text: "".join(
        f"&#{ord(character)};" if ord(character) > 127 else character for character in text
    ).encode(),
    "md5": lambda text: hashlib.md5(text.encode()).hexdigest().encode(),
    "sha1": lambda text: hashlib.sha1(text.encode()).hexdigest().upper().encode(),
    "sha256": lambda text: hashlib.sha256(text.encode()).digest(),
    "sha256 with a newline": lambda text: hashlib.sha256(text.encode() + b"\n").hexdigest().encode(),
    "sha256 of lower case": lambda text: hashlib.sha256(text.lower().encode()).hexdigest().encode(),
}


@pytest.mark.parametrize("value", [CANARY, NAME, RESIDENT_NUMBER])
@pytest.mark.parametrize("form", FORMS)
def test_a_canary_is_found_in_every_form(form: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"\x00\xff\x10" + FORMS[form](value) + b"\x00\x07")
    assert leakscan.scan([path], matcher=MATCHER).leaks


@pytest.mark.parametrize("written", ["8402292234567", "840229-2234567"])
def test_a_resident_number_is_found_with_and_without_hyphen(written: str, tmp_path: Path) -> None:
    for listed in ("840229-2234567", "8402292234567"):
        matcher = matcher_of([Identifier(value=listed, place="line 1")])
        (tmp_path / "x.txt").write_text(f"id={written}")
        assert leakscan.scan([tmp_path], matcher=matcher).leaks


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), text=st.binary(min_size=5, max_size=12))
def test_base64_cores_stand_in_the_base64_of_any_surrounding_text(before: bytes, after: bytes, text: bytes) -> None:
    encoded = base64.b64encode(before + text + after)
    assert any(core in encoded for core in base64_cores(text))


@given(data=st.binary(max_size=300), at=st.integers(0, 300))
def test_the_matcher_finds_the_matches_of_a_plain_search(data: bytes, at: int) -> None:
    data = data[:at] + CANARY.encode() + data[at:]
    offsets = {offset for offset, pattern in MATCHER.find(data) if pattern.encoding == "plain"}
    assert offsets == {data.index(CANARY.encode())}


def test_a_canary_across_two_windows_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_scan, "WINDOW", 4096)
    for start in range(3900, 5200, 7):
        data = b"\0" * start + CANARY.encode() + b"\0" * (12_000 - start)
        result = file_scan.Scan()
        scan = file_scan.FileScan(tmp_path, shown="x", matcher=MATCHER, result=result)
        scan.stream((data[at : at + 1000] for at in range(0, len(data), 1000)), "x")
        assert scan.matches == {("x", "line 1", "plain"): (start, 1)}


def test_a_short_code_counts_only_where_it_stands_alone(tmp_path: Path) -> None:
    matcher = matcher_of([Identifier(value="AB12", place="line 1")])
    path = tmp_path / "x.txt"
    path.write_text("XAB12 AB123 ab1")
    assert leakscan.scan([path], matcher=matcher).leaks == []
    path.write_text("x_ab12.fq")
    assert len(leakscan.scan([path], matcher=matcher).leaks) == 1
    alignment(tmp_path / "tag.bam", "wb", tag="AB12")
    assert len(leakscan.scan([tmp_path / "tag.bam"], matcher=matcher).leaks) == 1


def test_damaged_files_are_reported_and_scanned_as_far_as_they_go(tmp_path: Path) -> None:
    complete = gzip.compress(CANARY.encode() + os.urandom(100_000))
    (tmp_path / "cut.gz").write_bytes(complete[:-50_000])
    (tmp_path / "no.parquet").write_bytes(b"PAR1" + b"x" * 100)
    (tmp_path / "no.cram").write_bytes(b"CRAM" + b"x" * 100)
    (tmp_path / "no.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 100)
    result = leakscan.scan([tmp_path], matcher=MATCHER)
    assert [Path(leak.file).name for leak in result.leaks] == ["cut.gz"]
    assert [Path(file).name for file, _ in result.damaged] == ["cut.gz", "no.cram", "no.parquet", "no.sqlite"]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert leakscan.scan([tmp_path], matcher=MATCHER).leaks == []


# -- the command


def run(*arguments: str | Path) -> tuple[int, str, str]:
    from baekman.cli.shared import groups

    if not app.registered_groups:
        groups.register(app)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_names_the_line_and_never_the_value(tmp_path: Path) -> None:
    listed = tmp_path / "identifiers.txt"
    listed.write_text(f"nobody-at-all\n\n{CANARY}\nB1\n")
    scanned = tmp_path / "scanned"
    scanned.mkdir()
    (scanned / "x.txt").write_text(f"{CANARY} and {CANARY.lower()}")
    code, out, err = run("leakscan", scanned, "--identifiers", listed)
    assert code == 1
    assert out == f"line 3: plain in {scanned}/x.txt: content at byte 0 (2 times)\n"
    assert err == "line 4: too short to search for, except by its hashes\n"


def test_the_command_is_silent_without_a_leak(tmp_path: Path) -> None:
    listed = tmp_path / "identifiers.txt"
    listed.write_text(f"{CANARY}\n")
    (tmp_path / "x.txt").write_text("nothing")
    assert run("leakscan", tmp_path / "x.txt", "--identifiers", listed) == (0, "", "")
    assert run("leakscan", tmp_path, "--identifiers", listed, "--exclude", listed) == (0, "", "")


def test_a_registration_table_lists_its_confidential_columns(tmp_path: Path) -> None:
    table = tmp_path / "registration.tsv"
    table.write_text(
        "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from\tname\n"
        f"Hospital A\tB-0001\tSUBJ-1\trare\tfemale\tgranted\t2025-01-01\t{NAME}\n"
    )
    assert [(identifier.value, identifier.place) for identifier in read_identifiers(table)] == [
        ("Hospital A", "line 2, institution"),
        ("B-0001", "line 2, specimen_id"),
        ("SUBJ-1", "line 2, participant"),
        (NAME, "line 2, name"),
    ]
