import numpy as np
import numpy.typing as npt

def downcode(
    pl: npt.NDArray[np.int64], alleles: int, ploidy: int, members: npt.NDArray[np.uint8]
) -> tuple[int, int, int]: ...
