"""The sealed members of a release: readable with the registry's key alone, and bound to release and bucket."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.errors import DamagedFile, InputRefused
from baekman.key_ring import KEY_BYTES
from baekman.registry.key_rotation import rotate_key
from baekman.registry.records import Registry, create_registry, open_registry
from baekman.releases.admission import Member
from baekman.releases.members import Members, member_ring, write_members

RELEASE, OTHER = "R0000000000000", "R0000000000001"
BUCKETS = [
    ("00", [Member(participant_id="P0A"), Member(participant_id="P0B", denied=("genome",))]),
    ("01", []),
    ("02", [Member(participant_id="P2A", denied=("clinical", "genome"))]),
]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return create_registry(tmp_path)[0]


def test_members_are_read_by_bucket_with_the_scopes_that_they_denied(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "members.sealed"
    written = write_members(file, BUCKETS, release=RELEASE, ring=member_ring(registry))
    members = Members(file, RELEASE, member_ring(registry))
    assert list(members.by_bucket()) == [BUCKETS[0], BUCKETS[2]]
    assert [members.of_bucket(bucket) for bucket, _ in BUCKETS] == [some for _, some in BUCKETS]
    assert list(members.ids()) == ["P0A", "P0B", "P2A"] and members.holds("P2A") and not members.holds("P1A")
    assert (written.count, written.without) == (3, {"clinical": 1, "genome": 2})
    again = write_members(tmp_path / "again", BUCKETS, release=OTHER, ring=member_ring(registry))
    assert again == written and (tmp_path / "again").read_bytes() != file.read_bytes()


def test_members_outlive_the_rotation_of_the_registrys_key(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "members.sealed"
    write_members(file, BUCKETS, release=RELEASE, ring=member_ring(registry))
    rotate_key(registry)
    assert list(Members(file, RELEASE, member_ring(open_registry(tmp_path))).ids()) == ["P0A", "P0B", "P2A"]


def test_a_changed_line_or_one_of_another_release_or_bucket_is_refused(registry: Registry, tmp_path: Path) -> None:
    file, ring = tmp_path / "members.sealed", member_ring(registry)
    write_members(file, BUCKETS, release=RELEASE, ring=ring)
    lines = file.read_text("ascii").splitlines()
    moved = "01" + lines[0][2:]
    cut = lines[0][:-8] + "AAAAAAA="
    for release, text in ((OTHER, lines[0]), (RELEASE, moved), (RELEASE, cut), (RELEASE, "00 AAAA")):
        file.write_text(text + "\n", encoding="ascii")
        with pytest.raises(InputRefused, match="expected a value sealed for this record"):
            list(Members(file, release, ring).ids())


def test_a_line_that_is_gone_is_noticed(registry: Registry, tmp_path: Path) -> None:
    file, ring = tmp_path / "members.sealed", member_ring(registry)
    write_members(file, BUCKETS, release=RELEASE, ring=ring)
    lines = file.read_text("ascii").splitlines(keepends=True)
    for kept in (lines[1:], lines[:-1], [lines[0], lines[2]], []):
        file.write_text("".join(kept), encoding="ascii")
        with pytest.raises(DamagedFile):
            list(Members(file, RELEASE, ring).ids())


def test_the_key_is_made_once_and_lies_in_the_sealed_head_alone(registry: Registry, tmp_path: Path) -> None:
    first, second = member_ring(registry), member_ring(registry)
    assert first.keys[0].master == second.keys[0].master and len(first.keys[0].master) == KEY_BYTES
    for file in registry.folder.rglob("*"):
        if file.is_file():
            assert first.keys[0].master not in file.read_bytes()
