"""Episodes of delivered rows: the institution's names of visits and claims become keyed digests.

A digest is the first 48 bits of the SHA-256 of the secret, the participant and the name. Nearly all names are a letter
with letters and digits after it, which can be no fault: a kernel digests them. SQL examines the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from baekman.arrow import arrow, string_parts, take
from baekman.kernels.delivered.episodes import NOTHING, OTHER, digest_episodes
from baekman.records.intake.distinct import Distinct, Numbers

if TYPE_CHECKING:
    import duckdb  # not at the start of every command


def digested_episodes(
    connection: duckdb.DuckDBPyConnection, pairs: Distinct, participants: pa.Array, *, secret: str, query: str
) -> tuple[pa.Array, Numbers]:
    """Return the digest of each of ``pairs`` as a number, null for none, and the bits of its faults.

    ``pairs``: distinct subject codes with episodes. ``participants``: that of each pair, null for an unknown subject.
    ``query`` examines names that the kernel leaves over, in the table ``texts`` (``subject_code episode number``): its
    answers are ``number episode mask``.
    """
    names = pairs.columns[1]
    known = participants.dictionary
    people = np.asarray(participants.indices.fill_null(-1)).astype(np.int64)
    chosen = pairs.members[1]
    if names.null_count:
        chosen = np.where(np.asarray(names.is_valid())[chosen], chosen, -1)
    digests, mask = np.empty(pairs.count, np.int64), np.zeros(pairs.count, np.int64)
    texts = names.fill_null("") if names.null_count else names
    digest_episodes(secret.encode(), *string_parts(known), *string_parts(texts), np.stack([people, chosen]), digests)
    others = np.flatnonzero(digests == OTHER)
    if len(others):
        columns = [take(column, member[others]) for column, member in zip(pairs.columns, pairs.members, strict=True)]
        table = pa.Table.from_arrays([*columns, arrow(others)], names=["subject_code", "episode", "number"])
        connection.register("texts", table)
        answers = connection.sql(query).to_arrow_table()
        connection.unregister("texts")
        places = np.asarray(answers["number"])
        digests[places] = np.asarray(answers["episode"].fill_null(NOTHING))
        mask[places] = np.asarray(answers["mask"])
    missing = digests == NOTHING
    return arrow(digests, missing=missing if missing.any() else None), mask
