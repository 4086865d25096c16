"""The check that SQL only reads.

DuckDB calls a statement SELECT though its CTEs write, and EXPLAIN ANALYZE runs any statement. ``COPY … TO`` could
overwrite the snapshot's files, which the connection may read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

import duckdb

QUERY_NODES = frozenset(("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"))
TABLE_FUNCTIONS = frozenset(("unnest", "range", "generate_series"))
CUTS = {"LIMIT_MODIFIER": "LIMIT", "LIMIT_PERCENT_MODIFIER": "LIMIT", "DISTINCT_MODIFIER": "DISTINCT ON"}
# aggregates of whichever row comes first, among all or among equals, and of all rows as they come
BY_ORDER_OF_ROWS = frozenset(
    (
        *("first", "last", "any_value", "arbitrary", "mode"),
        *("arg_min", "argmin", "min_by", "arg_min_null", "arg_min_nulls_last"),
        *("arg_max", "argmax", "max_by", "arg_max_null", "arg_max_nulls_last"),
        *("list", "array_agg", "string_agg", "group_concat", "listagg"),
    )
)
PLACES = frozenset(
    f"WINDOW_{name}" for name in ("ROW_NUMBER", "NTILE", "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE")
)
_OF_A_FILE = re.compile(r"[./\\]")  # a CTE of that name does not hide the file elsewhere in the statement
_EXPLAIN = re.compile(r"\s*EXPLAIN\b\s*(?:ANALYZE\b\s*)?(?:\([^()]*\)\s*)?(?P<statement>.*)", re.IGNORECASE | re.DOTALL)


def only_reads(statement: duckdb.Statement) -> bool:
    """Return whether ``statement`` and all of its parts are SELECT, or EXPLAIN of such a statement."""
    sql = statement.query
    if statement.type == duckdb.StatementType.EXPLAIN:
        explain = _EXPLAIN.fullmatch(sql)
        if explain is None:
            return False
        sql = explain["statement"]
    elif statement.type != duckdb.StatementType.SELECT:
        return False
    tree = _tree(sql)
    return not tree["error"] and len(tree["statements"]) == 1 and _is_query(tree)


def reads_only_tables(statement: duckdb.Statement, *, names: Collection[str], functions: Collection[str] = ()) -> bool:
    """Return whether ``statement``, which ``only_reads``, reads nothing but the tables ``names`` and its own CTEs.

    Table functions may be ``functions`` and TABLE_FUNCTIONS.
    Other tables of the connection, files and catalogs may hold participants who are left out.
    """
    explain = _EXPLAIN.fullmatch(statement.query)
    sql = explain["statement"] if statement.type == duckdb.StatementType.EXPLAIN and explain else statement.query
    parts = list(_parts(_tree(sql)))
    known = {name.lower() for name in names}
    for part in parts:
        own = (entry["key"].lower() for entry in (part.get("cte_map") or {}).get("map", []))
        known.update(name for name in own if not _OF_A_FILE.search(name))
    for part in parts:
        kind = part.get("type")
        if kind in ("BASE_TABLE", "SHOW_REF") and part.get("table_name"):
            if str(part["table_name"]).lower() not in known or part.get("schema_name") not in (None, "", "main"):
                return False
        elif kind == "SHOW_REF" and not part.get("query"):  # a list of all tables
            return False
        function = part.get("function", {}).get("function_name") if kind == "TABLE_FUNCTION" else None
        if function is not None and function not in TABLE_FUNCTIONS and function not in functions:
            return False
    return True


def functions_in(statement: duckdb.Statement) -> set[str]:
    """Return the names of the functions that ``statement`` calls, in lower case; ``sample`` for a sample of rows."""
    parts = list(_parts(_tree(statement.query)))
    names = {str(part["function_name"]).lower() for part in parts if part.get("function_name")}
    # current_date and others without parentheses are columns for the parser
    names |= {str(part["column_names"][0]).lower() for part in parts if len(part.get("column_names") or ()) == 1}
    return names | {"sample" for part in parts if part.get("sample")}


def unordered_parts(statement: duckdb.Statement, *, key: str) -> Iterator[str]:
    """Yield the parts of ``statement`` whose answer depends on the order in which rows come.

    That is a LIMIT or DISTINCT ON whose ORDER BY has not the column ``key``, and a function of ``BY_ORDER_OF_ROWS`` or
    ``PLACES`` without an ORDER BY of its own. Rows come in another order with another number of threads or batches.
    """
    for part in _parts(_tree(statement.query)):
        modifiers = [each for each in part.get("modifiers") or () if isinstance(each, dict)]
        orders = [order for each in modifiers for order in each.get("orders") or ()]
        names = {str((order["expression"].get("column_names") or [""])[-1]).lower() for order in orders}
        for modifier in modifiers:
            is_cut = modifier["type"] != "DISTINCT_MODIFIER" or modifier.get("distinct_on_targets")
            if modifier["type"] in CUTS and is_cut and key not in names:
                yield f"{CUTS[modifier['type']]} without {key} in its ORDER BY"
        name = str(part.get("function_name") or "").lower()
        if part.get("class") == "FUNCTION" and name in BY_ORDER_OF_ROWS and not part["order_bys"]["orders"]:
            yield f"{name} without ORDER BY"
        is_unordered = part.get("class") == "WINDOW" and not part["orders"] and not part["arg_orders"]
        if is_unordered and (part["type"] in PLACES or name in BY_ORDER_OF_ROWS):
            yield f"{name} without ORDER BY"


def has_qualified_names(statement: duckdb.Statement) -> bool:
    """Return whether ``statement`` names a table with its schema or catalog, so that no CTE of that name hides it."""
    return any(
        part.get("table_name") and (part.get("schema_name") or part.get("catalog_name"))
        for part in _parts(_tree(statement.query))
    )


def _tree(sql: str) -> dict[str, Any]:
    """Return a statement as DuckDB serializes it; its ``error`` is true for what it cannot serialize."""
    text = _serialized(sql)
    return json.loads(text) if text else {"error": True}


@lru_cache(maxsize=64)  # opening a database takes longer than the rest of a small question
def _serialized(sql: str) -> str | None:
    with duckdb.connect() as connection:
        row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    return row[0] if row else None


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    stack = [tree]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            yield part
            stack += part.values()
        elif isinstance(part, list):
            stack += part


def _is_query(tree: Any) -> bool:
    """Return whether every query in a serialized statement is one that reads."""
    kinds = (part.get("type") for part in _parts(tree))
    return not any(isinstance(kind, str) and kind.endswith("_NODE") and kind not in QUERY_NODES for kind in kinds)
