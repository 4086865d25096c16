"""Columns with their meaning: the schema and the data dictionary come from one list."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.schema import REFERENCE_TABLE_COLUMNS, SITES_COLUMNS, TABLE, TABLE_COLUMNS
from baekman.cohort.store import create_store
from baekman.columns import DICTIONARY_COLUMNS, Column, Columns, dictionary, schema_of, type_name
from baekman.tables.make import make_tables
from support.store_tools import block, gvcf_text, line, write_reference

COLUMNS = (
    Column("pos", pa.int32(), "Position.", "bp"),
    Column("af", pa.float64(), "Frequency.", "0 to 1", "nobody is called"),
)


def test_a_column_with_a_meaning_of_null_is_nullable() -> None:
    assert schema_of(COLUMNS) == pa.schema([pa.field("pos", pa.int32(), nullable=False), ("af", pa.float64())])
    assert schema_of(COLUMNS, nullable=True) == pa.schema([("pos", pa.int32()), ("af", pa.float64())])


def test_the_dictionary_has_a_row_per_column() -> None:
    table = dictionary({"sites": COLUMNS, "more": COLUMNS[:1]})
    assert tuple(table.column_names) == DICTIONARY_COLUMNS
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("sites", "pos", "int32", "bp", "", "Position."),
        ("sites", "af", "float64", "0 to 1", "nobody is called", "Frequency."),
        ("more", "pos", "int32", "bp", "", "Position."),
    ]
    assert dictionary({}).num_rows == 0 and tuple(dictionary({}).column_names) == DICTIONARY_COLUMNS


def test_types_have_the_names_of_readers() -> None:
    names = {type_name(TABLE.field(name).type) for name in ("contig", "pos", "pl", "called", "af")}
    assert names == {"string", "int32", "list of int32", "boolean", "float64"}
    assert type_name(pa.list_(pa.struct([("a", pa.int8()), ("b", pa.string())]))) == "list of struct of a, b"
    assert type_name(pa.map_(pa.string(), pa.int64())) == "map of string to int64"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cohort and tables of one gVCF: a full record, one with GT alone, one without a GT."""
    folder = tmp_path_factory.mktemp("columns")
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", {"c1": "A" * 500}))
    records = [
        block(1, 99, "A"),
        line(100, "A", "T,<NON_REF>", "0/1:60:30:15,15,0:400,0,400,450,450,800"),
        line(200, "A", "T", "0/1", format="GT"),
        line(300, "A", "T", "./.", format="GT"),
        "\t".join(["c1", "400", ".", "A", "<NON_REF>", ".", ".", "END=450", "GT:GQ", "0/0:50"]) + "\n",
    ]
    (folder / "a.g.vcf").write_text(gvcf_text(records, contigs={"c1": 500}))
    add_batch(store, batch="b", members=[Member(participant_id="P0123456789ABX", gvcf=str(folder / "a.g.vcf"))])
    make_tables(store, output=folder / "tables")
    return folder


@pytest.mark.parametrize(
    ("pattern", "columns", "never"),
    [
        ("tables/variants/*/*.parquet", TABLE_COLUMNS, {"joint_copies", "joint_gq"}),
        ("tables/reference/*/*.parquet", REFERENCE_TABLE_COLUMNS, set()),
        ("cohort/sites/*/0*.parquet", SITES_COLUMNS, set()),
    ],
)
def test_nulls_are_where_their_meaning_stands(workspace: Path, pattern: str, columns: Columns, never: set[str]) -> None:
    table = pa.concat_tables(pq.read_table(path) for path in workspace.glob(pattern))
    assert table.column_names == [each.name for each in columns]
    nulls = {name for name in table.column_names if table[name].null_count}
    assert nulls == {each.name for each in columns if each.null} - never
