"""A piece of a gVCF: the call rows and reference segments of some shards of a contig, and their columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# ``kernels/layout.pxd`` has these columns as structs
ROW_INTS = ("pos", "copies", "ploidy", "other", "gq", "dp", "ad_ref", "ad_alt", "pl_0", "pl_1", "pl_2")
ROW_COLUMNS = (*ROW_INTS, "phase", "phase_set", "filter", "flags", "quality", "ref_end", "alt_end")
INTERVAL_COLUMNS = ("start", "end", "gq", "dp", "ploidy", "other", "state", "spans", "record")
SEGMENT_COLUMNS = INTERVAL_COLUMNS[:-2]

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The evidence of one participant's gVCF in some shards of a contig.

    ``contig``: its number in the genome. ``first`` to ``last``: the shards, by number in the contig, inclusive.
    ``rows``: (n, len(ROW_COLUMNS)) sorted by position, allele strings in ``ref`` and ``alt`` (n + 1 offsets and
    bytes); ``segments``: (m, len(SEGMENT_COLUMNS)), sorted, without overlap, cut at shard borders.
    """

    contig: int
    first: int
    last: int
    rows: Ints
    ref: tuple[Ints, Bytes]
    alt: tuple[Ints, Bytes]
    segments: Ints
