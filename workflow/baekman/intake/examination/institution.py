"""The institution of a delivery: one that has registered nobody is refused as a whole."""

from __future__ import annotations

from baekman.intake.delivery import SHEET, Delivery
from baekman.registry.listing import require_known
from baekman.registry.records import Registry


def require_institution(delivery: Delivery, registry: Registry) -> None:
    """Raise InputRefused when the registry has neither a specimen of ``delivery`` nor anybody of its institution.

    A name that is written in another way would otherwise reject each specimen as not registered.
    """
    institution = delivery.institution
    if any(registry.specimen(institution, barcode) is not None for barcode in delivery.specimens):
        return
    require_known(registry, institution, sheet=SHEET)
