"""The header of a CRAM loses paths, command lines and comments."""

from __future__ import annotations

import pytest
from baekman.align.cram import clean_header_line


@pytest.mark.parametrize(
    ("line", "cleaned"),
    [
        ("@CO\tmade by someone", ""),
        ("@PG\tID:bwa\tPN:bwa\tVN:1\tCL:bwa mem /data/x.fa", "@PG\tID:bwa\tPN:bwa\tVN:1"),
        ("@SQ\tSN:1\tLN:4\tM5:a\tUR:/data/x.fa", "@SQ\tSN:1\tLN:4\tM5:a"),
        ("@RG\tID:P.L1\tSM:P", "@RG\tID:P.L1\tSM:P"),
    ],
)
def test_header_lines_are_cleaned(line: str, cleaned: str) -> None:
    assert clean_header_line(line) == cleaned
