"""The roster of a batch: its participants by sample number, and the names of their caller filters."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, cast, column, read_listed, with_schema, write_parquet
from baekman.cohort.schema import REMARK_COUNTS
from baekman.cohort.store import Store
from baekman.gvcf.thresholds import GvcfRules

ROSTER_FILE = "roster.parquet"
REWRITTEN = re.compile(r"\.r\d+$")  # the suffix of a batch that was written again


def write_roster(
    folder: Path,
    roster: pa.Table,
    *,
    filters: Sequence[str],
    rules: GvcfRules | None = None,
    evidence: Sequence[str] = (),
    origins: Sequence[str] = (),
) -> None:
    """Write the roster of a batch.

    Its metadata has the caller filters by code - 1, the ``rules`` of its gVCFs, and the CRC-32 of the ``evidence`` of
    each, in hex. Of a rewritten batch it has the ``origins``: for each member the batch that it came in.
    """
    metadata = {"filters": json.dumps(list(filters)), "evidence": json.dumps(list(evidence))}
    if rules is not None:
        metadata["rules"] = json.dumps(asdict(rules))
    if origins:
        names = sorted(set(origins))
        code_of = {name: code for code, name in enumerate(names)}
        metadata["origins"] = json.dumps({"batches": names, "codes": [code_of[name] for name in origins]})
    schema = roster.schema.with_metadata(metadata)
    write_parquet(with_schema(roster, schema), folder / ROSTER_FILE)


def read_roster(store: Store, batch: str) -> tuple[pa.Table, list[str]]:
    """Return the roster of a batch (schema ROSTER), and the names of its caller filters by code - 1."""
    roster = read_listed(store.batch(batch), ROSTER_FILE)
    return roster.replace_schema_metadata(None), json.loads(roster.schema.metadata[b"filters"])


def read_contents(store: Store, batch: str) -> list[tuple[str, int, set[str]]]:
    """Return for each participant of a batch the ID, the number of call rows and what tells the gVCF's content.

    These are its SHA-256, and its evidence with its numbers of rows and records; the latter is not kept by a rewritten
    batch.
    """
    roster = read_listed(store.batch(batch), ROSTER_FILE)
    names = ("participant_id", "call_rows", "gvcf_sha256", "records", "reference_rows")
    evidence = json.loads(roster.schema.metadata.get(b"evidence", b"[]")) or [""] * roster.num_rows
    return [
        (participant, calls, {sha256} | ({f"{crc}.{records}.{calls}.{segments}"} if crc else set()))
        for participant, calls, sha256, records, segments, crc in zip(
            *(roster.column(name).to_pylist() for name in names), evidence, strict=True
        )
    ]


def read_rules(store: Store, batch: str) -> dict[str, Any]:
    """Return the rules that the gVCFs of a batch were read by, by field; empty for a rewritten batch."""
    metadata = read_listed(store.batch(batch), ROSTER_FILE, columns=["sample"]).schema.metadata
    rules: dict[str, Any] = json.loads(metadata.get(b"rules", b"{}"))
    return rules


def read_origins(store: Store, batch: str) -> list[str]:
    """Return for each participant of a batch, by sample number, the batch that brought the gVCF into the cohort.

    A batch that an earlier version rewrote has lost them: its own name without the suffix stands for them.
    """
    roster = read_listed(store.batch(batch), ROSTER_FILE, columns=["sample"])
    metadata = roster.schema.metadata
    if b"origins" in metadata:
        origins = json.loads(metadata[b"origins"])
        return [origins["batches"][code] for code in origins["codes"]]
    return [batch if b"rules" in metadata else REWRITTEN.sub("", batch)] * roster.num_rows


def participants_of(store: Store, batch: str) -> list[str]:
    """Return the IDs of the participants of a batch, by sample number."""
    roster, _ = read_roster(store, batch)
    ids: list[str] = roster.column("participant_id").to_pylist()
    return ids


def digest_members(ids: npt.NDArray[Any] | Sequence[str], hashes: Sequence[str], sexes: Sequence[str]) -> str:
    """Return a digest of a batch's members that does not depend on their order, in hex.

    It is the sum of each member's SHA-256 modulo 2^256. Sums add up over batches, so the digest of a cohort needs no
    list of its participants. ``hashes``: SHA-256 of the members' gVCFs.
    """
    total = 0
    for participant, content, sex in zip(ids, hashes, sexes, strict=True):
        member = hashlib.sha256(f"{participant}\t{content}\t{sex}".encode()).digest()
        total += int.from_bytes(member, "big")
    return f"{total % (1 << 256):064x}"


def remark_counts(remarks: Sequence[Mapping[str, int]]) -> pa.Array:
    """Return the column ``remarks`` of a roster, type REMARK_COUNTS."""
    # pyarrow.array of Python values would load pandas
    offsets = np.cumsum([0, *map(len, remarks)], dtype=np.int32)
    names = [name for counts in remarks for name in counts]
    numbers = np.array([number for counts in remarks for number in counts.values()], np.int64)
    keys = column(names) if names else pa.nulls(0, pa.string())
    return cast(pa.MapArray.from_arrays(arrow(offsets), keys, arrow(numbers)), REMARK_COUNTS)


def read_remarks(store: Store, batch: str) -> dict[str, dict[str, int]]:
    """Return the remarks on the gVCFs of a batch by participant ID, those that are not 0 (names: gvcf.remarks)."""
    roster, _ = read_roster(store, batch)
    ids, remarks = roster.column("participant_id").to_pylist(), roster.column("remarks").to_pylist()
    return {participant: dict(counts) for participant, counts in zip(ids, remarks, strict=True) if counts}
