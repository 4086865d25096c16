"""The options of a query that are one question together."""

from __future__ import annotations

import pytest
import typer
from baekman.cli.shared.query_options import require_one_question

ONE = "give --region, --participant, --gene, --rsid or several of them, or else --carriers, or --sql"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", ONE),
        ("sql region", ONE),
        ("carriers participant", ONE),
        ("sql carriers", ONE),
        ("region tables", "goes with --participant"),
        ("participant gene tables", "goes without --gene and --rsid"),
        ("participant region by", "goes with --region alone"),
        ("region with", "goes with --sql or --by"),
        ("region", ""),
        ("participant", ""),
        ("participant region tables", ""),
        ("gene rsid participant region", ""),
        ("carriers", ""),
        ("region by with", ""),
        ("sql with", ""),
    ],
)
def test_options_are_one_question(options: str, message: str) -> None:
    given = options.split()
    parts = {
        name: name if name in given else None for name in ("region", "participant", "gene", "rsid", "carriers", "sql")
    }
    additions = {name: name if name in given else None for name in ("tables", "by", "with")}
    if not message:
        require_one_question(parts, additions)
        return
    with pytest.raises(typer.BadParameter) as refused:
        require_one_question(parts, additions)
    assert refused.value.message == message
