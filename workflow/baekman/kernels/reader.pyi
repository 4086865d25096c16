from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DONE: int
NEXT_CONTIG: int
NEXT_PIECE: int
SLID: int
BAD_COLUMNS: int
BAD_CONTIG: int
BAD_POS: int
BAD_ORDER: int
PAST_END: int
BAD_REF: int
BAD_REF_BASE: int
BAD_ALT: int
BAD_END: int
BAD_GENOTYPE: int
REVISITED: int
TOO_MANY_FIELDS: int
TOO_MANY_FILTERS: int
DUPLICATED: int
MORE_FIELDS: int
TOO_MANY_ALLELES: int
TWO_NAMES: int

class RecordReader:
    line: int
    @property
    def contig(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def counts(self) -> list[int]: ...
    @property
    def filters(self) -> list[str]: ...
    def __init__(
        self,
        names: Sequence[str],
        contig_of_name: npt.NDArray[np.int64],
        starts: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
        sequence: npt.NDArray[np.uint8],
        shard_ends: npt.NDArray[np.int64],
        first_shards: npt.NDArray[np.int64],
        *,
        piece_records: int,
        margin: int,
        min_gq: int,
        min_dp: int,
        min_het_percent: int,
    ) -> None: ...
    @property
    def ignored(self) -> int: ...
    def ignore(self, name: bytes) -> None: ...
    def read(self, buf: bytes | memoryview, begin: int) -> tuple[int, int]: ...
    def take(
        self, *, rest: bool
    ) -> tuple[
        int, int, npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int32]
    ]: ...
