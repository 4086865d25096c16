import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

MAX_PL: int
GQ_STEPS: int

def dosages(
    pl: Ints, ploidy: Bytes, joint_ploidy: Bytes, copies: Bytes, likelihood: Floats, out: npt.NDArray[np.int64]
) -> None: ...
def joint_rows(
    pl: Ints,
    ploidy: Bytes,
    joint_ploidy: Bytes,
    copies: Bytes,
    gq: npt.NDArray[np.int16],
    frequency: Floats,
    likelihood: Floats,
    limits: Floats,
    out_copies: npt.NDArray[np.int8],
    out_gq: npt.NDArray[np.int16],
) -> None: ...
def reference_genotype(
    gq: int, ploidy: int, frequency: float, likelihood: Floats, limits: Floats
) -> tuple[int, int]: ...
