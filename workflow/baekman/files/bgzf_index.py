"""The number of records that the index of a BGZF file counts, without reading the file itself."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

ENDINGS = (".tbi", ".csi")


def indexed_records(path: Path) -> int | None:
    """Return the number of records of ``path`` by its ``.tbi`` or ``.csi``.

    htslib counts the records of each contig in an extra bin (SAM specification, section 5.2; "The tabix index file
    format"; "CSIv1"). Returns None without an index, for one that is older than the file, is damaged or has no counts.
    """
    for ending in ENDINGS:
        index = path.with_name(path.name + ending)
        try:
            if index.stat().st_mtime_ns >= path.stat().st_mtime_ns:
                with gzip.open(index) as packed:
                    return count_records(packed.read())
        except (OSError, EOFError, zlib.error, struct.error, ValueError):
            continue
    return None


def count_records(index: bytes) -> int | None:
    """Return the number of records by the content of an index; None where it counts none.

    Raises:
        ValueError: The content is of another kind.
        struct.error: The content ends early.
    """
    if index[:4] == b"TBI\1":
        contigs, names = struct.unpack_from("<i24xi", index, 4)
        at, bin_head, counts_bin, is_linear = 36 + names, "<Ii", 37450, True
    elif index[:4] == b"CSI\1":
        depth, extra = struct.unpack_from("<ii", index, 8)
        (contigs,) = struct.unpack_from("<i", index, 16 + extra)
        # the number after the last bin of ``depth`` levels, each eight times as many as the level above
        at, bin_head, counts_bin, is_linear = 20 + extra, "<I8xi", ((1 << 3 * (depth + 1)) - 1) // 7 + 1, False
    else:
        raise ValueError("no TBI or CSI")
    head = struct.Struct(bin_head)
    number = struct.Struct("<i")
    records = 0
    for _ in range(contigs):
        (bins,) = number.unpack_from(index, at)
        at += 4
        is_counted = not bins
        for _ in range(bins):
            bin_number, chunks = head.unpack_from(index, at)
            at += head.size
            if bin_number == counts_bin:
                # two chunks: places in the file, then the numbers of records with and without a position
                records += sum(struct.unpack_from("<QQ", index, at + 16))
                is_counted = True
            at += 16 * chunks
        if not is_counted:
            return None
        if is_linear:
            (intervals,) = number.unpack_from(index, at)
            at += 4 + 8 * intervals
    return records
