"""Arrow columns are chosen, cast and ranked as Arrow itself does it, without the import of its compute functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.arrow import allele_ranks, arrow, cast, equals, rows_within, take
from hypothesis import given, settings
from hypothesis import strategies as st
from support.store_tools import BASES, C1, gvcf_text, line, write_list, write_reference

ALLELES = st.text(st.sampled_from("ACGT"), min_size=0, max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(ALLELES, ALLELES), max_size=80), st.integers(0, 3))
def test_ranks_are_in_the_order_of_ref_and_alt(alleles: list[tuple[str, str]], skipped: int) -> None:
    columns = [pa.array([allele[side] for allele in alleles], pa.string()).slice(skipped) for side in (0, 1)]
    order = {allele: rank for rank, allele in enumerate(sorted(set(alleles[skipped:])))}
    assert allele_ranks(columns[0], pa.chunked_array([columns[1]])).tolist() == [order[a] for a in alleles[skipped:]]


@settings(deadline=None)
@given(st.data(), st.integers(0, 3))
def test_rows_are_those_that_arrow_takes(data: st.DataObject, skipped: int) -> None:
    texts = data.draw(st.lists(st.text(max_size=6), min_size=4, max_size=20))
    whole = pa.table(
        {
            "number": pa.array(range(len(texts)), pa.int16()),
            "text": pa.array(texts),
            "null": pa.array([None, *range(len(texts) - 1)], pa.int64()),
            "other": pa.array(texts).dictionary_encode(),
            "absent": pa.nulls(len(texts), pa.timestamp("us")),
            "unnamed": pa.nulls(len(texts), pa.dictionary(pa.int32(), pa.string())),
        }
    )
    table = pa.concat_tables([whole.slice(skipped), whole])
    rows = data.draw(st.lists(st.integers(0, table.num_rows - 1), max_size=10))
    chosen = take(table, np.array(rows, np.int32))
    assert chosen.schema == table.schema and chosen.to_pylist() == table.take(pa.array(rows, pa.int64())).to_pylist()


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    ("values", "type"),
    [
        (np.array([0, 255]), pa.uint8()),
        (np.array([0, 256]), pa.uint8()),
        (np.array([-1, 5]), pa.uint32()),
        (np.array([2**53 + 1, 0]), pa.float64()),
        (np.array([0.1, np.nan]), pa.float32()),
        (np.array([1.0, 2.5]), pa.int32()),
        (np.array([1.0, np.nan]), pa.int32()),
        (np.array([], np.int64), pa.int8()),
        (np.array([1, 0], np.bool_), pa.int8()),
    ],
)
def test_a_cast_gives_or_refuses_what_arrow_does(values: Any, type: pa.DataType, missing: bool) -> None:
    nulls = np.arange(len(values)) == 1
    array = arrow(values, missing=nulls if missing else None)
    try:
        expected = array.cast(type)
    except pa.ArrowInvalid as error:
        with pytest.raises(pa.ArrowInvalid, match=str(error)[:20]):
            cast(array, type)
    else:
        assert str(cast(array, type)) == str(expected)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40),
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([">=", "<=", "=="]), st.integers(-1, 21)), min_size=1
    ),
    st.booleans(),
    st.sampled_from([None, ["text"], ["b", "text"]]),
    st.booleans(),
)
def test_rows_within_limits_are_those_of_read_table(
    pairs: list[tuple[int, int]],
    filters: list[tuple[str, str, int]],
    statistics: bool,
    columns: list[str] | None,
    ordered: bool,
) -> None:
    pairs = sorted(pairs) if ordered else pairs
    columns_of = {"a": [a for a, _ in pairs], "b": [b for _, b in pairs], "text": [f"{a}-{b}" for a, b in pairs]}
    table = pa.table(columns_of, pa.schema([("a", pa.int32()), ("b", pa.uint8()), ("text", pa.string())]))
    out = pa.BufferOutputStream()
    pq.write_table(table, out, row_group_size=7, write_statistics=statistics)
    source = pa.BufferReader(out.getvalue())
    read = rows_within(pq.ParquetFile(source), filters, columns=columns)
    assert read.equals(pq.read_table(source, filters=filters, columns=columns))


@given(st.lists(st.sampled_from(["male", "mole", "female", "", "m"]), max_size=9), st.integers(0, 3))
def test_strings_are_compared_whole(texts: list[str], skipped: int) -> None:
    array = pa.array(texts, pa.string()).slice(skipped)
    assert equals(array, "male").tolist() == [text == "male" for text in texts[skipped:]]


def test_an_add_and_an_export_import_no_pandas_and_an_add_no_compute_functions(tmp_path: Path) -> None:
    (tmp_path / "one.g.vcf").write_text(
        gvcf_text([line(10, "C", "T", "0/1:40:22:11,11:45,0,42")], contigs={"c1": len(BASES)})
    )
    listed = write_list(tmp_path / "list.tsv", [("P1", tmp_path / "one.g.vcf")])
    cohort = ["--cohort", str(tmp_path / "cohort")]
    program = (
        "import sys; from baekman.cli import app; from baekman.cli.shared import groups;"
        "groups.register(app, first='cohort');"
        "app(sys.argv[1:], standalone_mode=False); print({'pandas', 'pyarrow.compute'} & {*sys.modules})"
    )
    for words in (
        ["init", *cohort, "--reference", str(write_reference(tmp_path / "ref.fa", C1))],
        ["add", *cohort, "--batch", "b", "--gvcfs", str(listed)],
    ):
        command = [sys.executable, "-c", program, "cohort", *words]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-2:] == ["1", "set()"]
    program = program.replace(", first='cohort'", "").replace("{'pandas', 'pyarrow.compute'}", "{'pandas'}")
    command = [
        sys.executable,
        "-c",
        program,
        "export",
        *cohort,
        "--format",
        "bcf",
        "--output",
        str(tmp_path / "all.bcf"),
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "set()"
