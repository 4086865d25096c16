"""The sex chromosomes that a specimen's reads show, from their depth beside that of the autosomes.

Ratios are of mean depths over non-N bases, X and Y without their pseudo-autosomal regions. One copy gives
half the autosomes' depth: XX people lie near 1 and 0, XY people near 0.5 and 0.5. The limits are this
project's own: they lie between these values, where nobody with two sex chromosomes and clean reads is
expected, and leave the rest ambiguous.
"""

from __future__ import annotations

from typing import Literal

Sex = Literal["female", "male"]
Finding = Literal["female", "male", "ambiguous", "not_assessed"]

TWO_X_FROM = 0.75
ONE_X = (0.35, 0.65)
NO_Y_BELOW = 0.1  # misplaced reads of repeats
ONE_Y = (0.2, 0.75)  # the lower end leaves room for the ampliconic parts of Y, the upper excludes XYY


def infer(*, x_ratio: float | None, y_ratio: float | None) -> Finding:
    """The sex that the ratios show.

    ``ambiguous`` where they fit neither XX nor XY: XXY, X0, XYY, loss of Y with age, reads of two people.
    Ratios are None where the reference has no such contig or the autosomes have no depth; then nothing is
    said.
    """
    if x_ratio is None or y_ratio is None:
        return "not_assessed"
    if x_ratio >= TWO_X_FROM and y_ratio < NO_Y_BELOW:
        return "female"
    if ONE_X[0] <= x_ratio <= ONE_X[1] and ONE_Y[0] <= y_ratio <= ONE_Y[1]:
        return "male"
    return "ambiguous"
