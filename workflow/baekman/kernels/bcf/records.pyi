from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MOST_GT_8: int

class RecordEncoder:
    def __init__(
        self,
        *,
        by_position: bool,
        mode: int,
        contig: int,
        ids: Array,
        positions: Array,
        first_allele: Array,
        wanted: Array,
        cells: Array,
        rows: Array,
        first_row: Array,
        frequency: Array,
        qual: Array,
        filters: Array,
        ref_offsets: Array,
        ref: Array,
        alt_offsets: Array,
        alt: Array,
        likelihood: Array,
        limits: Array,
    ) -> None: ...
    def encode(self, begin: int, out: npt.NDArray[np.uint8]) -> tuple[int, int]: ...
