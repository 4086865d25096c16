"""Small deliveries of records, and registrations of their subjects: generated, seeded, and plausible."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from baekman import data

INSTITUTION = "Hanbit Hospital"
SCOPES = "genome;clinical;lifestyle;public_record_linkage"
COLUMNS = ("subject_code", "time", "end", "code", "value", "unit", "category", "episode")
FIRST, LAST = date(2020, 1, 1), date(2024, 12, 31)
SHEET = {"institution": INSTITUTION, "source": "emr", "period": f"{{from: {FIRST}, to: {LAST}}}"}

_NUMBERS = {
    "LOINC/8480-6": ("mm[Hg]", 95, 165),
    "LOINC/8462-4": ("mm[Hg]", 55, 100),
    "LOINC/1558-6": ("mg/dL", 75, 160),
    "LOINC/4548-4": ("%", 4.8, 9.5),
    "LOINC/2085-9": ("mg/dL", 30, 90),
    "LOINC/39156-5": ("kg/m2", 17, 36),
}
_DIAGNOSES = ("KCD8/I10", "KCD8/E119", "KCD8/E785", "KCD8/J06", "KCD8/K29", "KCD8/M17")
_DRUGS = ("ATC/C08CA01", "ATC/A10BA02", "ATC/C10AA05")
_SURVEY = {
    "SURVEY/smoking_status": ("never", "former", "current"),
    "SURVEY/alcohol_frequency": ("never", "monthly or less", "2-4 times a month"),
    "SURVEY/sleep_quality": ("very good", "fairly good", "fairly bad"),
}


def small_dictionary(*others: str) -> str:
    """Return the text of a dictionary with the codes of the starter that ``generated_rows`` has, and ``others``."""
    header, *lines = data.text("dictionary.tsv").splitlines()
    codes = {*_NUMBERS, *_DIAGNOSES, *_DRUGS, *_SURVEY, *others}
    rows = [line.split("\t") for line in lines if line.split("\t")[0] in codes]
    return "\n".join([header, *("\t".join([*row[:10], "", row[11]]) for row in rows)]) + "\n"


def subject(number: int) -> str:
    """Return the subject code of the subject ``number``."""
    return f"HB-{number:05d}"


def registration(number: int, **fields: str) -> dict[str, str]:
    """Return the row of a registration table for the subject ``number``, with consent to every scope of records."""
    return {
        "institution": INSTITUTION,
        "specimen_id": f"BAR-{number:05d}",
        "participant": subject(number),
        "participant_type": ("general", "severe", "rare")[number % 3],
        "registered_sex": ("female", "male")[number % 2],
        "consent": "granted",
        "consent_from": "2020-01-01",
        "scopes": SCOPES,
        "birth_year": str(1940 + number % 60),
        **fields,
    }


def row(subject_code: str, time: str, code: str, **fields: str) -> dict[str, str]:
    """Return a row of events."""
    return {"subject_code": subject_code, "time": time, "code": code, **fields}


def write_table(path: Path, rows: Iterable[Mapping[str, str]], *, columns: Sequence[str] = COLUMNS) -> Path:
    """Write ``rows`` as CSV in UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_delivery(folder: Path, rows: Iterable[Mapping[str, str]], **sheet: str) -> Path:
    """Write a delivery with ``rows`` in ``events.csv``; ``sheet`` has more keys of ``records.yaml``, "" removes one."""
    write_table(folder / "events.csv", rows)
    lines = {"delivery": folder.name, **SHEET, **sheet}
    text = "".join(f"{key}: {value}\n" for key, value in lines.items() if value)
    (folder / "records.yaml").write_text(text, encoding="utf-8")
    return folder


def generated_rows(subjects: int, *, visits: int = 4, seed: int = 14) -> Iterable[dict[str, str]]:
    """Yield plausible rows of ``subjects`` with some visits each: measurements, a diagnosis, a drug, a survey item."""
    draw = random.Random(seed)
    days = (LAST - FIRST).days
    for number in range(subjects):
        for visit in range(visits):
            day = (FIRST + timedelta(days=draw.randrange(days))).isoformat()
            episode = f"V{number}-{visit}"
            for code, (unit, low, high) in draw.sample(sorted(_NUMBERS.items()), 3):
                value = f"{draw.uniform(low, high):.1f}"
                yield row(subject(number), f"{day} 09:30", code, value=value, unit=unit, episode=episode)
            yield row(subject(number), day, draw.choice(_DIAGNOSES), episode=episode)
            if draw.random() < 0.5:
                yield row(subject(number), day, draw.choice(_DRUGS), episode=episode)
        item, categories = draw.choice(sorted(_SURVEY.items()))
        yield row(subject(number), FIRST.isoformat(), item, category=draw.choice(categories))


def generated_delivery(folder: Path, *, subjects: int, seed: int = 14, **sheet: str) -> Path:
    """Write a delivery of ``generated_rows`` to ``folder``; return it."""
    return write_delivery(folder, generated_rows(subjects, seed=seed), **sheet)
