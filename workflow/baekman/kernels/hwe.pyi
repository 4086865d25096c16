import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

def exact_tests(hom_ref: Counts, het: Counts, hom_alt: Counts, mid_p: bool, p: Floats, excess: Floats) -> None: ...
