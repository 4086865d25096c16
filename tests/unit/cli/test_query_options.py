"""The options of a query that are one question together."""

from __future__ import annotations

import pytest
import typer
from baekman.cli.shared.query_options import require_one_question

ONE = "give --region, --participant, --gene, --rsid or several of them, or else --carriers, or --sql"
LONE = "without an allele goes with --region, --gene or --rsid; else give contig:pos:ref:alt"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", ONE),
        ("sql region", f"--sql goes without other questions: {ONE}"),
        ("carriers participant", f"--carriers goes without other questions: {ONE}"),
        ("sql carriers", f"--sql goes without other questions: {ONE}"),
        ("region tables", "goes with --participant"),
        ("participant gene tables", "goes without --gene and --rsid"),
        ("participant region by", "goes with --region, --gene and --rsid, not with --participant"),
        ("by", "goes with --region, --gene and --rsid"),
        ("gene carriers=all by", "goes with --region, --gene and --rsid, not with --carriers"),
        ("carriers=all", LONE),
        ("participant region carriers=all", LONE),
        ("sql carriers=all", LONE),
        ("region with", "goes with --sql or --by"),
        ("region", ""),
        ("participant", ""),
        ("participant region tables", ""),
        ("gene rsid participant region", ""),
        ("carriers", ""),
        ("region by with", ""),
        ("gene by", ""),
        ("gene rsid region carriers=all", ""),
        ("sql with", ""),
    ],
)
def test_options_are_one_question(options: str, message: str) -> None:
    given = {name: value or name for name, _, value in (option.partition("=") for option in options.split())}
    parts = {name: given.get(name) for name in ("region", "participant", "gene", "rsid", "carriers", "sql")}
    additions = {name: given.get(name) for name in ("tables", "by", "with")}
    if not message:
        require_one_question(parts, additions)
        return
    with pytest.raises(typer.BadParameter) as refused:
        require_one_question(parts, additions)
    assert refused.value.message == message
