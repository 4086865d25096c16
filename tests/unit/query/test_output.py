"""The rows of an answer as text, CSV and Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from baekman.cohort.store import Store
from baekman.errors import InputRefused
from baekman.query.output import Output, arrow_table, write_answer
from baekman.query.question import SHORT_SITES, SITE_COLUMNS
from baekman.query.terminal import TERMINAL_ROWS, show

ROWS = """
SELECT * FROM (VALUES
  ('chr1', 5, 0.25, [1, 2], NULL, true), ('chr20', 12345, 1e-30, NULL, 'a "b", c', false)
) AS t(contig, pos, af, pl, text, called)
"""


def written(sql: str, format: str, capfdbinary: pytest.CaptureFixture[bytes]) -> str:
    with duckdb.connect() as connection:
        write_answer(connection.sql(sql), Output(format=format))
    return capfdbinary.readouterr().out.decode()


def test_a_table_has_a_line_per_row_with_numbers_to_the_right(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert written(ROWS, "table", capfdbinary) == (
        "contig    pos     af  pl   text      called\n"
        "chr1        5   0.25  1,2  .         true\n"
        'chr20   12345  1e-30  .    a "b", c  false\n'
    )


def test_a_table_without_rows_has_its_header(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert written(f"{ROWS} WHERE pos < 0", "table", capfdbinary) == "contig  pos  af  pl  text  called\n"


def test_a_table_of_many_rows_is_complete_and_aligned_by_the_first(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sql = "SELECT range AS pos, CASE WHEN range = 70000 THEN repeat('A', 30) ELSE 'A' END AS ref FROM range(100000)"
    lines = written(sql, "table", capfdbinary).splitlines()
    assert (len(lines), lines[0], lines[1], lines[-1]) == (100_001, "pos  ref", "  0  A", "99999  A")
    assert lines[70_001].split() == ["70000", "A" * 30]


def test_csv_quotes_text_and_lists(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert written(ROWS, "csv", capfdbinary) == (
        '"contig","pos","af","pl","text","called"\n"chr1",5,0.25,"1,2",,true\n"chr20",12345,1e-30,,"a ""b"", c",false\n'
    )


def test_parquet_keeps_types(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        write_answer(connection.sql(ROWS), Output(file=tmp_path / "x.parquet"))
    rows = pl.read_parquet(tmp_path / "x.parquet")
    assert rows["pl"].to_list() == [[1, 2], None] and rows["called"].to_list() == [True, False]


FORMULAS = """
SELECT '=1+1' AS a, '+1' AS b, '-1' AS c, '@SUM(1)' AS d, chr(9) || '=1' AS e, chr(13) || '=1' AS f, '＝1' AS g,
  -5 AS h, -0.5::DOUBLE AS i, [-1, 2] AS j, ['=1', 'x'] AS k, 'A=1' AS l, NULL::VARCHAR AS m, true AS n, '' AS "=o"
"""


def test_csv_marks_what_a_spreadsheet_would_take_for_a_formula_and_no_number(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    shown = written(FORMULAS, "csv", capfdbinary)
    header, row = csv.reader(io.StringIO(shown, newline=""))
    assert header == [*"abcdefghijklmn", "'=o"]
    assert row == [
        "'=1+1", "'+1", "'-1", "'@SUM(1)", "'\t=1", "'\r=1", "'\uff1d1",
        "-5", "-0.5", "-1,2", "'=1,x", "A=1", "", "true", "",
    ]  # fmt: skip


CONTROLLED = (
    "SELECT chr(27) || '[2J' || chr(7) || 'x' || chr(155) || '31m' || chr(8238) || 'y' AS a, [chr(10), 'z'] AS b"
)


def test_a_table_holds_no_control_character(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = written(CONTROLLED, "table", capfdbinary).splitlines()
    assert [line.split() for line in lines] == [["a", "b"], ["\ufffd[2J\ufffdx\ufffd31m\ufffdy", "\ufffd,z"]]


def test_a_terminal_gets_no_control_character() -> None:
    leader, follower = pty.openpty()
    program = (
        "import duckdb, sys; from baekman.query.output import Output, write_answer\n"
        "for format in (None, 'tsv', 'csv', 'json'):\n"
        "    write_answer(duckdb.connect().sql(sys.argv[1]), Output(format=format)); sys.stdout.flush()"
    )
    subprocess.run(
        [sys.executable, "-c", program, CONTROLLED], stdout=follower, check=True, env={**os.environ, "COLUMNS": "100"}
    )
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    text = shown.decode()
    assert text.count("\ufffd[2J\ufffdx\ufffd31m\ufffdy") == 3 and text.count("\\u001B[2J\\u0007x\ufffd31m\ufffdy") == 1
    assert not set(text) & set("\x1b\x07\x9b\u202e")


def test_names_of_columns_may_be_anything(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sql = """SELECT 1 AS "a ""b", [2] AS "select" """
    assert written(sql, "csv", capfdbinary).splitlines()[1] == '1,"2"'
    assert written(sql, "table", capfdbinary).splitlines() == ['a "b  select', "   1  2"]
    with duckdb.connect() as connection:
        assert arrow_table(connection.sql(sql), columns=['a "b']).to_pylist() == [{'a "b': 1}]


def test_a_format_without_its_file_and_an_unknown_one_are_refused() -> None:
    with duckdb.connect() as connection:
        with pytest.raises(InputRefused, match="--format: expected --output FILE with parquet, found no --output"):
            write_answer(connection.sql(ROWS), Output(format="parquet"))
        with pytest.raises(InputRefused, match="expected one of table, tsv, csv, json, parquet, found 'xlsx'"):
            write_answer(connection.sql(ROWS), Output(format="xlsx"))


def test_a_terminal_gets_a_table_that_fits_its_width(cohort: Store) -> None:
    leader, follower = pty.openpty()
    command = "from baekman.cli import main; main()"
    arguments = ["query", "--cohort", cohort.path, "--region", "c1"]
    environment = {**os.environ, "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", command, *map(str, arguments)], stdout=follower, check=True, env=environment)
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    lines = shown.decode().splitlines()
    assert max(map(len, lines)) <= 80 and lines[0].split() == [*SHORT_SITES]
    assert sum("c1" in line for line in lines) == 3 <= TERMINAL_ROWS
    assert lines[-1] == f"… {len(SHORT_SITES)} of {len(SITE_COLUMNS)} columns; --columns all for all"


def test_a_table_says_what_it_does_not_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    sql = (
        "SELECT 'c1' AS contig, 1234567 + range AS pos, repeat('A', range::INT) AS ref, 1 / 3 AS af, NULL::INT AS gq, "
        "'x' AS a_rather_long_name FROM range(15, 1018)"
    )
    with duckdb.connect() as connection:
        show(connection.sql(sql), rows=2, hidden=3)
        show(connection.sql(f"FROM ({sql}) LIMIT 1"), rows=2, hidden=3, is_short=True)
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in shown if line and "─" not in line] == [
        "contig         pos   ref",
        "c1       1,234,582   AAAAAAAAAAAAAAA",
        "c1       1,234,583   AAAAAAAAAAAAAAAA",
        "    af   gq   a_rather_long_name",
        "0.3333    .   x",
        "0.3333    .   x",
        "… 2 of 1,003 rows; --limit 0 for all",
        "… 6 of 9 columns; --columns all for all",
        "contig         pos   ref",
        "c1       1,234,582   AAAAAAAAAAAAAAA",
        "… 3 of 9 columns; --columns all for all",
    ]


def test_a_long_allele_is_shortened_with_its_length(capsys: pytest.CaptureFixture[str]) -> None:
    with duckdb.connect() as connection:
        show(connection.sql("SELECT repeat('AC', 600) AS alt"), rows=2)
    shown = capsys.readouterr().out.split()
    assert shown[2] == "ACACACAC…(1,200)"
    assert " ".join(shown[3:]) == "… long texts are shortened, with their length; --format tsv has them whole"


def test_a_pipe_gets_tsv_with_every_row_and_digit(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with duckdb.connect() as connection:
        write_answer(connection.sql(ROWS), Output(short=("pos",)))
    assert capfdbinary.readouterr().out.decode() == (
        'contig\tpos\taf\tpl\ttext\tcalled\nchr1\t5\t0.25\t1,2\t.\ttrue\nchr20\t12345\t1e-30\t.\ta "b", c\tfalse\n'
    )
    broken = written("SELECT 'a' || chr(9) || 'b' || chr(10) || chr(92) || 'c' AS text", "tsv", capfdbinary)
    assert broken == "text\na\\tb\\n\\\\c\n"


def test_json_is_an_array_of_objects(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sql = f"{ROWS} UNION ALL SELECT 'c', 1, 'nan'::DOUBLE, [3], chr(27) || '\u2028', NULL"
    rows = json.loads(written(sql, "json", capfdbinary))
    assert rows[0] == {"contig": "chr1", "pos": 5, "af": 0.25, "pl": [1, 2], "text": None, "called": True}
    assert (rows[2]["af"], rows[2]["text"]) == (None, "\x1b\u2028")
    assert json.loads(written(f"{ROWS} WHERE pos < 0", "json", capfdbinary)) == []


def test_columns_rows_and_the_ending_of_a_file_are_chosen(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        relation = connection.sql(ROWS)
        for name, text in {
            "x.csv": '"pos","contig"\n5,"chr1"\n',
            "x.tsv": "pos\tcontig\n5\tchr1\n",
            "x.txt": "pos\tcontig\n5\tchr1\n",
            "x.json": '[{"pos":5,"contig":"chr1"}]\n',
        }.items():
            write_answer(relation, Output(file=tmp_path / name, columns="pos, contig", limit=1))
            assert (tmp_path / name).read_text() == text
        with pytest.raises(InputRefused) as refused:
            write_answer(relation, Output(columns="pos,gene"))
    assert str(refused.value) == "columns: expected some of contig, pos, af, pl, text, called, found 'gene'"


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other end is closed
        return b""
