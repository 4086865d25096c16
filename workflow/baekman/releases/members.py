"""The members of a release: the answer to its SQL, with consent, sealed on disk.

The file has a line per bucket of participants: its name, and a sealed text in base64. Lines and members are sorted by
ID. The last line has their number: a file with a line less is noticed. The key lies in the sealed head of the
registry: without the registry's key nobody can read who is in a release.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman.errors import DamagedFile
from baekman.files.atomic import atomic_file
from baekman.key_ring import Key, KeyRing, Purpose
from baekman.releases.admission import Member

if TYPE_CHECKING:
    import pyarrow as pa

    from baekman.registry.records import Registry

END = "end"  # name of the last line
KEY_NOTE = "releases"  # name of the key in the registry's sealed head
PURPOSE = Purpose(
    name="release members",
    given_with="--registry",
    variable="",
    command="baekman release propose",
    remedy="restore the folder of the release from a copy, or propose the request again",
)


@dataclass(frozen=True)
class Members:
    """The sealed members in ``file``, which ``write_members`` wrote for ``release``."""

    file: Path
    release: str
    ring: KeyRing

    def by_bucket(self) -> Iterator[tuple[str, list[Member]]]:
        """Yield each bucket with its members, sorted; raise DamagedFile or InputRefused for changed bytes."""
        count = 0
        with self.file.open(encoding="ascii") as lines:
            for line in lines:
                bucket, _, text = line.partition(" ")
                if bucket == END:
                    if self._opened(bucket, text) != {END: count}:
                        break
                    return
                members = self._unsealed(bucket, text)
                count += len(members)
                yield bucket, members
        raise DamagedFile(self.file)

    def of_bucket(self, bucket: str) -> list[Member]:
        """Return the members of ``bucket``, sorted by ID."""
        with self.file.open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith(f"{bucket} "):
                    return self._unsealed(bucket, line[len(bucket) + 1 :])
        return []

    def ids(self) -> Iterator[str]:
        """Yield the IDs of all members, sorted."""
        for _, members in self.by_bucket():
            yield from (member.participant_id for member in members)

    def holds(self, participant_id: str) -> bool:
        """Return whether the participant is a member."""
        return any(participant_id == member for member in self.ids())

    def _unsealed(self, bucket: str, text: str) -> list[Member]:
        values = self._opened(bucket, text)
        return [Member(participant_id=name, denied=tuple(denied)) for name, denied in values.items()]

    def _opened(self, bucket: str, text: str) -> dict[str, Any]:
        try:
            sealed = base64.b64decode(text, validate=False)
        except ValueError:
            raise DamagedFile(self.file) from None
        return self.ring.unseal(sealed, identity=f"{self.release} {bucket}")


@dataclass(frozen=True, kw_only=True)
class Written:
    """The result of ``write_members``: the number of members, in all and by denied scope, and their hash."""

    count: int
    without: dict[str, int]
    hash: str


def member_ring(registry: Registry) -> KeyRing:
    """Return the key of the members of releases; it is made once and kept in the registry's sealed head."""
    noted = registry.noted(KEY_NOTE)
    if noted is None:
        registry.note(KEY_NOTE, base64.b64encode(Key.new(PURPOSE).master).decode())
        noted = registry.noted(KEY_NOTE)
    return KeyRing([Key(base64.b64decode(noted), PURPOSE)])


def candidates_by_bucket(
    batches: Iterable[pa.RecordBatch], *, bucket_of: Callable[[str], str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the IDs of each bucket from ``batches`` of one column, which is sorted: so are the buckets."""
    ids = (participant_id for batch in batches for participant_id in batch.column(0).to_pylist())
    for bucket, names in groupby(ids, key=bucket_of):
        yield bucket, list(names)


def write_members(
    file: Path, buckets: Iterable[tuple[str, Sequence[Member]]], *, release: str, ring: KeyRing
) -> Written:
    """Write the members to ``file``; ``buckets`` and members are sorted. Buckets without members have no line.

    The hash is of the IDs and the denied scopes of each; it depends on neither key nor release.
    """
    digest, count, without = hashlib.sha256(), 0, dict[str, int]()
    with atomic_file(file) as temporary, temporary.open("w", encoding="ascii") as lines:
        for bucket, members in buckets:
            for member in members:
                digest.update(f"{member.participant_id}\t{','.join(member.denied)}\n".encode())
                for scope in member.denied:
                    without[scope] = without.get(scope, 0) + 1
            count += len(members)
            if members:
                values = {member.participant_id: list(member.denied) for member in members}
                lines.write(_line(bucket, values, release=release, ring=ring))
        lines.write(_line(END, {END: count}, release=release, ring=ring))
    return Written(count=count, without=dict(sorted(without.items())), hash=digest.hexdigest())


def _line(name: str, values: dict[str, Any], *, release: str, ring: KeyRing) -> str:
    sealed = ring.seal(values, identity=f"{release} {name}")
    return f"{name} {base64.b64encode(sealed).decode()}\n"


def difference(first: Iterable[str], second: Iterable[str]) -> tuple[int, int]:
    """Return how many IDs are in one of two sorted series, and how many are in both; memory does not grow."""
    apart = both = 0
    for _, group in groupby(heapq.merge(first, second)):
        if sum(1 for _ in group) == 1:
            apart += 1
        else:
            both += 1
    return apart, both
