"""The registration table of all specimens, with invented names and numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from test_genome import truth
from test_genome.population import PEOPLE, Population
from test_genome.reference import Reference
from test_genome.specimens import SPECIMENS, Specimen

COLUMNS = (
    "institution",
    "specimen_id",
    "participant",
    "participant_type",
    "registered_sex",
    "consent",
    "consent_from",
    "consent_to",
    "scopes",
    "birth_year",
    "name",
    "resident_registration_number",
    "array_genotypes",
)
EXPECTED_COLUMNS = ("delivery", "specimen_id", "participant", "gate", "verdict", "reason", "entry")

_FAMILY_NAMES = "김이박최정강조윤장임"
# Words, not names: flowers, trees, weather.
_GIVEN_NAMES = (
    "개나리",
    "진달래",
    "무궁화",
    "소나무",
    "은하수",
    "무지개",
    "소나기",
    "함박눈",
    "도라지",
    "민들레",
    "해바라기",
    "단풍잎",
    "산들바람",
    "참나무",
    "물안개",
    "솔방울",
    "조약돌",
    "반딧불",
    "느티나무",
    "새벽별",
)
_TYPES = ("rare_disease", "severe_disease", "general")
_SCOPES = ("genome;clinical;lifestyle", "genome;clinical", "genome;clinical;lifestyle;recontact")


def write_registration(folder: Path, *, seed: int, reference: Reference, population: Population) -> None:
    """Write ``registration.tsv`` and the array genotypes that it names by relative paths."""
    (folder / "arrays").mkdir()
    rows = ["\t".join(COLUMNS)]
    for number, specimen in enumerate(SPECIMENS):
        if not specimen.registered:
            continue
        array = f"arrays/{specimen.label}.vcf.gz"
        rng = np.random.default_rng([seed, 30, number])
        truth.write_array(folder / array, rng, reference, population, specimen.person, name=specimen.label)
        rows.append("\t".join(_fields(number, specimen, array)))
    (folder / "registration.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_expected(path: Path) -> None:
    """Write the expected verdict of each specimen's last gate; ``participant`` is the key of the truth, or empty."""
    rows = ["\t".join(EXPECTED_COLUMNS)]
    for specimen in SPECIMENS:
        fields = (
            specimen.delivery,
            specimen.label,
            specimen.person if specimen.registered else "",
            specimen.gate,
            specimen.verdict,
            specimen.reason,
            specimen.entry,
        )
        rows.append("\t".join(fields))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _fields(number: int, specimen: Specimen, array: str) -> tuple[str, ...]:
    sex = next(person.sex for person in PEOPLE if person.key == specimen.person)
    if not specimen.sex_as_registered:
        sex = "male" if sex == "female" else "female"
    year = 1950 + 7 * number % 55
    return (
        specimen.institution,
        specimen.label,
        subject_code(number, specimen),
        _TYPES[number % len(_TYPES)],
        sex,
        specimen.consent,
        "2024-03-04",
        "2099-12-31" if number % 4 == 0 else "",
        _SCOPES[number % len(_SCOPES)],
        str(year),
        _FAMILY_NAMES[number % len(_FAMILY_NAMES)] + _GIVEN_NAMES[number],
        resident_registration_number(year, sex, number),
        array,
    )


def subject_code(number: int, specimen: Specimen) -> str:
    """Return the institution's code of the person of the specimen of this ``number``."""
    return f"{specimen.institution[:2]}-SUBJ-{4000 + 37 * number}"


def resident_registration_number(year: int, sex: str, number: int) -> str:
    """Return a number of the right shape that nobody has: its check digit is wrong.

    It stands for a birth on 1 January, with the seventh digit of sex and century and office 9999. Until October
    2020 numbers had another check digit.
    """
    century = {("male", 19): "1", ("female", 19): "2", ("male", 20): "3", ("female", 20): "4"}
    digits = f"{year % 100:02d}0101{century[sex, year // 100]}9999{number % 10}"
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    check = (11 - sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11) % 10
    return f"{digits[:6]}-{digits[6:]}{(check + 5) % 10}"
