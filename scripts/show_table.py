"""Print the first rows of the first participant's table: show_table.py TABLES."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

ROWS = 8
COLUMNS = ("participant_id", "contig", "pos", "ref", "alt", "copies", "gq", "dp", "joint_copies", "joint_gq", "filter")


def main() -> int:
    """Print to stdout."""
    tables = sorted(
        path for path in Path(sys.argv[1]).rglob("P*.parquet") if not path.name.endswith(".reference.parquet")
    )
    if not tables:
        print("there is no table", file=sys.stderr)
        return 1
    rows = pl.read_parquet(tables[0], columns=list(COLUMNS)).head(ROWS)
    with pl.Config(tbl_cols=-1, tbl_width_chars=160, tbl_hide_dataframe_shape=True, fmt_str_lengths=20):
        print(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
