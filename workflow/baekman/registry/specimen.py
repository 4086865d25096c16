"""A registered specimen: what the workflow may know of it, and the strings that must not be in its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SpecimenRecord:
    """A registered specimen, without any text from its institution.

    Attributes:
        specimen_id: Pseudonym of the specimen.
        participant_id: Pseudonym of the participant.
        participant_type: ``rare``, ``severe`` or ``general``; ``unknown`` after a withdrawal.
        registered_sex: ``female`` or ``male``; ``unknown`` after a withdrawal.
        array_genotypes: Path of the registered single-sample VCF that names its sample by ``specimen_id``, or None.
        array_digest: SHA-256 that this file must have, from the sealed record; None where an earlier version
            registered it.
    """

    specimen_id: str
    participant_id: str
    participant_type: str
    registered_sex: str
    array_genotypes: str | None
    array_digest: str | None


def confidential_strings(participant: Mapping[str, Any], *, barcode: str) -> list[str]:
    """Return the strings that may not be in the files of a specimen, from the unsealed values of its participant.

    They are the name, the resident registration number (with and without hyphen), the subject code and the barcode;
    after a withdrawal only the last two.
    """
    number = participant.get("resident_registration_number", "")
    digits = "".join(character for character in number if character.isdigit())
    identifiers = [participant.get("name", ""), number, digits, participant["participant"], barcode]
    if len(digits) == 13:
        identifiers.append(f"{digits[:6]}-{digits[6:]}")
    return [value for value in dict.fromkeys(identifiers) if value]
