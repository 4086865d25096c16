from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

def count_alleles(
    starts: Array,
    copies: Array,
    ploidy: Array,
    gq: Array,
    dp: Array,
    ad_ref: Array,
    ad_alt: Array,
    pl: Array,
    flags: Array,
    qual: Array,
    one_copy: Array,
    dosage: Array,
    out: npt.NDArray[np.int64],
) -> None: ...
def add_segments(
    first: int,
    start: Array,
    length: Array,
    gq: Array,
    ploidy: Array,
    state: Array,
    one_copy: Array,
    weights: Array,
    steps: npt.NDArray[np.int64],
) -> None: ...
def add_rows(
    first: int,
    sample: Array,
    pos: Array,
    ploidy: Array,
    dp: Array,
    flags: Array,
    one_copy: Array,
    weights: Array,
    seen: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
) -> None: ...
def accumulate(steps: npt.NDArray[np.int64]) -> int: ...
def find_runs(steps: Array, first: int, out_start: npt.NDArray[np.int32], out: npt.NDArray[np.int64]) -> int: ...
def add_steps(left: list[Array], right: list[Array], out: list[Array]) -> int: ...
