import numpy as np
import numpy.typing as npt

NOTHING: int
OTHER: int

def digest_episodes(
    secret: bytes,
    person_offsets: npt.NDArray[np.int32],
    people: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    texts: npt.NDArray[np.uint8],
    pairs: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
    *,
    portable: bool = ...,
) -> None: ...
