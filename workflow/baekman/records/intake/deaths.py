"""The deaths that earlier batches of records report, for the check of dates after death."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from baekman.arrow import filtered
from baekman.records import reading
from baekman.records.batch import read_description
from baekman.records.intake.judging import DEATH
from baekman.records.snapshot import read_snapshot
from baekman.records.store import RecordStore
from baekman.workspace.denied import record_admission
from baekman.workspace.paths import Workspace

SYSTEM = DEATH.removesuffix("/")


def known_deaths(store: RecordStore) -> Iterator[pa.Table]:
    """Yield, bucket by bucket, ``participant_id`` and the ``day`` of each death in the latest snapshot.

    Only batches with codes of the system DEATH are opened. Rows without consent are left out.
    """
    snapshot = read_snapshot(store)
    batches = [
        entry
        for entry in snapshot.batches
        if any(
            SYSTEM in systems
            for bucket in read_description(store, entry)["buckets"].values()
            for systems in bucket["systems"].values()
        )
    ]
    if not batches:
        return
    of_deaths = replace(snapshot, batches=tuple(batches))
    admission = record_admission(Workspace(store.workspace))
    for bucket in reading.buckets(store, of_deaths):
        firsts = reading.firsts(store, of_deaths, bucket, scopes=admission)
        is_death = np.array([code.startswith(DEATH) for code in firsts.column("code").to_pylist()], np.bool_)
        deaths = filtered(firsts, is_death)
        day = deaths.column("first").cast(pa.timestamp("s")).cast(pa.date32())
        yield pa.table({"participant_id": deaths.column("participant_id"), "day": day})
