"""The records that an export reads: bucket by bucket, only what consent allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from baekman.records.dictionary import Dictionary


class RecordSource(Protocol):
    """Events and coverage by bucket, with the dictionary of their codes."""

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary of the codes."""

    def buckets(self) -> Sequence[str]:
        """Return the names of the buckets, in their order."""

    def events(self, bucket: str) -> pa.Table:
        """Return the events of the bucket (``EVENTS``) that may be used."""

    def coverage(self, bucket: str) -> pa.Table:
        """Return the coverage of the bucket's participants (``COVERAGE``) that may be used."""
