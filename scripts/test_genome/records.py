"""Deliveries of clinical records of the test genome's people, and the project that asks for a release of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from test_genome.registration import subject_code
from test_genome.specimens import INSTITUTION, SPECIMENS

_COLUMNS = "subject_code,time,code,value,unit,category,episode"
_SHEET = """\
delivery: {institution}-EMR-1
institution: {institution}
source: emr
period: {{from: 2024-01-01, to: 2026-06-30}}
as_of: 2026-07-01
"""
_PROJECT = """\
title: Blood pressure and variants of the small test genome
purpose: [DUO:0000006]
people:
  - {name: Kim Yeongu, institution: University of Hansan}
institution: University of Hansan
commercial: false
overseas: false
scopes: [genome, clinical]
irb: {number: 2026-017, date: 2026-01-05, expires: 2099-01-04}
"""
_REQUEST = """\
project: {project}
tier: room
why: Blood pressure of carriers of rare alleles.
who: SELECT participant_id FROM participants WHERE in_cohort AND in_records
codes: [KCD8/*, LOINC/*]
regions: [{contig}]
genotypes: carriers
"""


def write_records(folder: Path, *, seed: int) -> None:
    """Write a folder per delivery with ``records.yaml`` and ``events.csv``: some visits of each registered subject.

    One value of each is in a unit that the dictionary does not have: intake refuses the row.
    """
    for delivery, institution in INSTITUTION.items():
        rng = np.random.default_rng([seed, 40])
        rows = [_COLUMNS]
        for number, specimen in enumerate(SPECIMENS):
            if specimen.delivery == delivery and specimen.registered:
                for visit in range(3):
                    rows += _visit(subject_code(number, specimen), f"V{number:03d}{visit}", rng)
        code, day = rows[1].split(",")[:2]
        rows.append(f"{code},{day},LOINC/4548-4,41,mmol/mol,,")
        home = folder / delivery
        home.mkdir(parents=True)
        (home / "records.yaml").write_text(_SHEET.format(institution=institution), encoding="utf-8")
        (home / "events.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_project(folder: Path, *, contig: str) -> None:
    """Write ``project.yaml`` and ``request.yaml``; the request has a place for the project's ID, ``{project}``."""
    (folder / "project.yaml").write_text(_PROJECT, encoding="utf-8")
    request = _REQUEST.format(project="{project}", contig=contig)
    (folder / "request.yaml").write_text(request, encoding="utf-8")


def _visit(subject: str, episode: str, rng: np.random.Generator) -> list[str]:
    day = str(np.datetime64("2024-01-02") + int(rng.integers(0, 900)))
    systolic = int(rng.integers(105, 170))
    values = [("LOINC/8480-6", systolic, "mm[Hg]"), ("LOINC/8462-4", systolic - 45, "mm[Hg]")]
    values.append(("LOINC/1558-6", int(rng.integers(75, 160)), "mg/dL"))
    rows = [f"{subject},{day} 09:30,{code},{value},{unit},,{episode}" for code, value, unit in values]
    diagnoses = ["KCD8/I10"] if systolic > 120 else []
    if rng.random() < 0.2:
        diagnoses.append("KCD8/E112" if rng.random() < 0.5 else "KCD8/E119")
    return rows + [f"{subject},{day},{code},,,,{episode}" for code in diagnoses]
