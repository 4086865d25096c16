"""The rows of an answer as text, CSV and Parquet."""

from __future__ import annotations

import csv
import io
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
from baekman.query.output import TERMINAL_ROWS, arrow_table, write_answer

ROWS = """
SELECT * FROM (VALUES
  ('chr1', 5, 0.25, [1, 2], NULL, true), ('chr20', 12345, 1e-30, NULL, 'a "b", c', false)
) AS t(contig, pos, af, pl, text, called)
"""


def written(sql: str, format: str, capfdbinary: pytest.CaptureFixture[bytes]) -> str:
    with duckdb.connect() as connection:
        write_answer(connection.sql(sql), format=format)
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
        write_answer(connection.sql(ROWS), format="parquet", output=tmp_path / "x.parquet")
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


@pytest.mark.parametrize("format", ["table", "csv"])
def test_a_terminal_gets_no_control_character(format: str) -> None:
    leader, follower = pty.openpty()
    program = (
        "import duckdb, sys; from baekman.query.output import write_answer\n"
        f"write_answer(duckdb.connect().sql(sys.argv[1]), format={format!r})"
    )
    subprocess.run(
        [sys.executable, "-c", program, CONTROLLED], stdout=follower, check=True, env={**os.environ, "COLUMNS": "100"}
    )
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    assert "\ufffd[2J\ufffdx\ufffd31m\ufffdy" in shown.decode()
    assert not set(shown.decode()) & set("\x1b\x07\x9b\u202e")


def test_names_of_columns_may_be_anything(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sql = """SELECT 1 AS "a ""b", [2] AS "select" """
    assert written(sql, "csv", capfdbinary).splitlines()[1] == '1,"2"'
    assert written(sql, "table", capfdbinary).splitlines() == ['a "b  select', "   1  2"]
    with duckdb.connect() as connection:
        assert arrow_table(connection.sql(sql), columns=['a "b']).to_pylist() == [{'a "b': 1}]


def test_a_format_without_its_file_and_an_unknown_one_are_refused() -> None:
    with duckdb.connect() as connection:
        with pytest.raises(InputRefused, match="--format: expected --output FILE with parquet, found no --output"):
            write_answer(connection.sql(ROWS), format="parquet")
        with pytest.raises(InputRefused, match="--format: expected one of table, csv, parquet, found 'tsv'"):
            write_answer(connection.sql(ROWS), format="tsv")


def test_a_terminal_gets_a_table_that_fits_its_width(cohort: Store) -> None:
    leader, follower = pty.openpty()
    command = "from baekman.cli import main; main()"
    arguments = ["query", "--cohort", cohort.path, "--region", "c1"]
    environment = {**os.environ, "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", command, *map(str, arguments)], stdout=follower, check=True, env=environment)
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    lines = shown.decode().splitlines()
    assert max(map(len, lines)) <= 100 and "│ contig" in lines[1]
    assert sum("c1" in line for line in lines) == 3 <= TERMINAL_ROWS


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other end is closed
        return b""
