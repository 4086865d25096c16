from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

def settle_rows(
    rows: Ints, order: npt.NDArray[np.int64], ref_pool: Bytes, alt_pool: Bytes, keep: Bytes
) -> tuple[int, int, int]: ...
def gather_strings(pool: Bytes, ends: Ints, chosen: npt.NDArray[np.int64], offsets: Ints, out: Bytes) -> int: ...
def resolve(
    intervals: Ints,
    row_positions: Ints,
    first: int,
    shard_ends: Ints,
    band_of: Ints,
    band_floor: Ints,
    out: npt.NDArray[Any],
) -> int: ...
