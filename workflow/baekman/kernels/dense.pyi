from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

def match_alleles(
    pos: Array,
    ref_offsets: Array,
    ref: Array,
    alt_offsets: Array,
    alt: Array,
    positions: Array,
    first_allele: Array,
    site_ref_offsets: Array,
    site_ref: Array,
    site_alt_offsets: Array,
    site_alt: Array,
    alleles: npt.NDArray[np.int32],
) -> None: ...
def fill_cells(
    positions: Array,
    columns: Array,
    sample: Array,
    start: Array,
    length: Array,
    gq: Array,
    dp: Array,
    ploidy: Array,
    other: Array,
    state: Array,
    male: Array,
    one_copy: Array,
    cells: npt.NDArray[np.uint32],
) -> None: ...
def fill_genotypes(
    mode: int,
    first_allele: Array,
    cells: Array,
    rows: Array,
    first_row: Array,
    frequency: Array,
    likelihood: Array,
    limits: Array,
    state: Array,
    copies: Array,
    ploidy: Array,
) -> None: ...
