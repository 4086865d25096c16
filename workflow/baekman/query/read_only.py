"""The check that SQL only reads.

DuckDB calls a statement SELECT though its CTEs write, and EXPLAIN ANALYZE runs any statement. ``COPY … TO`` could
overwrite the snapshot's files, which the connection may read.
"""

from __future__ import annotations

import json
import re
from typing import Any

import duckdb

QUERY_NODES = frozenset(("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"))
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
    with duckdb.connect() as connection:
        row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    return not tree["error"] and len(tree["statements"]) == 1 and _is_query(tree)


def _is_query(tree: Any) -> bool:
    """Return whether every query in a serialized statement is one that reads."""
    stack = [tree]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            kind = part.get("type")
            if isinstance(kind, str) and kind.endswith("_NODE") and kind not in QUERY_NODES:
                return False
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    return True
