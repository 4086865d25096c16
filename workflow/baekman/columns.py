"""The columns of tables with their meaning: one list from which come schema, reference page and data dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa


class Column(NamedTuple):
    """A column of a table.

    ``null`` is the meaning of a null, or of -1 in a column that stands for null by it; "" where neither occurs.
    """

    name: str
    type: pa.DataType
    description: str
    unit: str = ""
    null: str = ""


class TextColumn(NamedTuple):
    """A column of a text table: the values that it has, in words, and its meaning."""

    name: str
    values: str
    meaning: str
    is_required: bool = False


Columns = Sequence[Column]
DICTIONARY_COLUMNS = ("table", "column", "type", "unit", "null_meaning", "description")


def schema_of(columns: Columns, *, nullable: bool | None = None) -> pa.Schema:
    """Return the Arrow schema of ``columns``.

    ``nullable`` holds for all of them. By default the columns with a meaning of null are nullable. Parquet stores no
    definition levels for the others.
    """
    import pyarrow as pa

    return pa.schema(
        [pa.field(each.name, each.type, nullable=bool(each.null) if nullable is None else nullable) for each in columns]
    )


def type_name(type: pa.DataType) -> str:
    """Return the name of a type for readers: ``int32``, ``list of int32``, ``string``, also with a dictionary."""
    import pyarrow as pa

    if pa.types.is_dictionary(type):
        return type_name(type.value_type)
    if pa.types.is_list(type):
        return f"list of {type_name(type.value_type)}"
    if pa.types.is_struct(type):
        return f"struct of {', '.join(field.name for field in type)}"
    if pa.types.is_map(type):
        return f"map of {type_name(type.key_type)} to {type_name(type.item_type)}"
    return {"bool": "boolean", "double": "float64", "float": "float32", "date32[day]": "date"}.get(str(type), str(type))


def dictionary(tables: Mapping[str, Columns]) -> pa.Table:
    """Return the data dictionary of ``tables``: a row per column, in the order of tables and columns.

    The columns are those of ``DICTIONARY_COLUMNS``, all strings; "" where there is no unit or no null.
    """
    import pyarrow as pa

    rows = [
        (table, each.name, type_name(each.type), each.unit, each.null, each.description)
        for table, columns in tables.items()
        for each in columns
    ]
    cells = zip(*rows, strict=True) if rows else [()] * len(DICTIONARY_COLUMNS)
    return pa.table([pa.array(list(values), pa.string()) for values in cells], names=list(DICTIONARY_COLUMNS))
