"""The institution of a delivery: one that has registered nobody is refused as a whole."""

from __future__ import annotations

from baekman.errors import InputRefused, Problem
from baekman.intake.delivery import SHEET, Delivery
from baekman.registry.listing import is_known
from baekman.registry.records import Registry


def require_institution(delivery: Delivery, registry: Registry) -> None:
    """Raise InputRefused when the registry has neither a specimen of ``delivery`` nor anybody of its institution.

    A name that is written in another way would otherwise reject each specimen as not registered.
    """
    institution = delivery.institution
    if any(registry.specimen(institution, barcode) is not None for barcode in delivery.specimens):
        return
    if not is_known(registry, institution):
        raise InputRefused(
            Problem(
                file=SHEET,
                place="institution",
                expected="an institution that has registered participants, under the name of its registration table",
                found="one that has registered nobody",
                action="correct the name, or import its registration first; then give the same delivery again",
            )
        )
