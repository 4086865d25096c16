"""Print the first variants that the first participant carries: show_table.py TABLES.

A table also has rows of alleles with evidence that the participant does not carry.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

ROWS = 8
COLUMNS = ("participant_id", "contig", "pos", "ref", "alt", "copies", "gq", "dp", "joint_copies", "joint_gq", "filter")


def main() -> int:
    """Print the table to stdout; return the exit code."""
    tables = sorted(Path(sys.argv[1]).glob("variants/*/P*.parquet"))
    if not tables:
        print("there is no table", file=sys.stderr)
        return 1
    rows = pl.read_parquet(tables[0], columns=list(COLUMNS)).filter(pl.col("joint_copies") > 0).head(ROWS)
    with pl.Config(tbl_cols=-1, tbl_width_chars=160, tbl_hide_dataframe_shape=True, fmt_str_lengths=20):
        print(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
