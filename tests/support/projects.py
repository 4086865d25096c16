"""A description of a project as an applicant writes it."""

from __future__ import annotations

from pathlib import Path

DESCRIPTION = """\
title: 당뇨병의 희귀 변이
purpose: [DUO:0000007]
diseases: [MONDO:0005148]
people:
  - {name: 김연구, institution: 서울대학교}
  - {name: Lee Jiwoo}
institution: 서울대학교
commercial: false
overseas: false
scopes: [genome, clinical]
irb: {number: 2026-017, date: 2026-01-05, expires: 2028-01-04}
"""


def describe(folder: Path, text: str = DESCRIPTION, *, name: str = "project.yaml") -> Path:
    """Write a description to ``folder`` and return its path."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file
