"""The sex chromosomes that a specimen's reads show, from their depth relative to the autosomes.

A ratio divides mean depths over non-N bases; X and Y are without their pseudo-autosomal regions. One copy has half
the depth of autosomes: XX people lie near 1 and 0, XY people near 0.5 and 0.5. The limits are this project's own.
They lie between these values, where no person with two sex chromosomes and clean reads is expected. All other
ratios are ambiguous.
"""

from __future__ import annotations

from typing import Literal

ObservedSex = Literal["female", "male", "ambiguous", "not_assessed"]

LEAST_BASES = 1000  # of X and of Y: the mean depth of fewer bases says nothing, as of a panel with one exon of Y
TWO_X_FROM = 0.75
ONE_X = (0.35, 0.65)
NO_Y_BELOW = 0.1  # leaves room for misplaced reads of repeats
ONE_Y = (0.2, 0.75)  # the lower end leaves room for the ampliconic parts of Y, the upper excludes XYY


def infer(*, x_ratio: float | None, y_ratio: float | None) -> ObservedSex:
    """Return the sex that the ratios show.

    It is ``ambiguous`` where they fit neither XX nor XY: XXY, X0, XYY, loss of Y with age, reads of two people.
    A ratio is None where the reference has no such contig or the autosomes have no depth; the sex is
    ``not_assessed`` then.
    """
    if x_ratio is None or y_ratio is None:
        return "not_assessed"
    if x_ratio >= TWO_X_FROM and y_ratio < NO_Y_BELOW:
        return "female"
    if ONE_X[0] <= x_ratio <= ONE_X[1] and ONE_Y[0] <= y_ratio <= ONE_Y[1]:
        return "male"
    return "ambiguous"
