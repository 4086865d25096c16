import numpy as np
import numpy.typing as npt

def downcode(
    pl: npt.NDArray[np.int64], alleles: int, ploidy: int, members: npt.NDArray[np.uint8]
) -> tuple[int, int, int]: ...
def rank(
    ref_offsets: npt.NDArray[np.int32],
    ref: npt.NDArray[np.uint8],
    alt_offsets: npt.NDArray[np.int32],
    alt: npt.NDArray[np.uint8],
    out: npt.NDArray[np.int64],
) -> None: ...
