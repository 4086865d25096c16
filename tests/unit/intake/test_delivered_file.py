"""Streams of delivered bytes: expanded like gzip does, bounded, measured."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import time
import tracemalloc
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from baekman.files import bgzf
from baekman.files import untrusted as safe_files
from baekman.files.untrusted import FileFault, open_inside
from baekman.intake.delivered_file import BLOCK, CRAM_ENDS, Measured, expanded, text_lines_bounded
from hypothesis import given, settings
from hypothesis import strategies as st


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@given(st.lists(st.binary(max_size=2000), max_size=6), st.integers(1, 5000), st.integers(0, 9))
def test_members_of_gzip_come_out_whole_however_they_are_cut(members: list[bytes], size: int, padding: int) -> None:
    packed = b"".join(gzip.compress(member) for member in members) + b"\0" * padding * bool(members)
    assert b"".join(expanded(cut(packed, size))) == (gzip.decompress(packed) if members else b"")


@given(st.binary(min_size=1, max_size=3000), st.integers(1, 700), st.data())
def test_gzip_that_is_cut_short_is_truncated(content: bytes, size: int, data: st.DataObject) -> None:
    packed = gzip.compress(content)
    end = data.draw(st.integers(2, len(packed) - 1))
    with pytest.raises(FileFault) as fault:
        list(expanded(cut(packed[:end], size)))
    assert fault.value.code == "truncated"


@settings(max_examples=12)
@given(st.integers(0, 3), st.integers(-3, 3))
def test_blocks_larger_than_the_buffer_come_out_whole(blocks: int, more: int) -> None:
    content = bytes(range(256)) * (max(0, blocks * BLOCK + more) // 256)
    assert b"".join(expanded(cut(gzip.compress(content, 1), 1 << 16))) == content


def test_damage_is_seen() -> None:
    packed = bytearray(gzip.compress(os.urandom(5000)))
    packed[-6] ^= 1  # in the checksum
    with pytest.raises(FileFault) as fault:
        list(expanded([bytes(packed)]))
    assert fault.value.code == "unreadable"


def test_a_bomb_is_refused_in_bounded_time_and_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(16)) + packer.flush()  # 256 MiB
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(FileFault) as fault:
        for _ in expanded(cut(bomb, BLOCK)):
            pass
    assert fault.value.code == "expansion_bomb"
    assert time.monotonic() - begun < 20
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


@given(st.lists(st.binary(max_size=50)), st.integers(1, 60))
def test_lines_are_bounded_whatever_the_blocks(blocks: list[bytes], limit: int) -> None:
    clean = [block.replace(b"\0", b"x") for block in blocks]
    # inside one block lines may be as long as the block: real limits are larger than blocks
    assume_limit = max([limit, *map(len, clean)])
    longest = max(map(len, b"".join(clean).split(b"\n")))
    if longest > assume_limit:
        with pytest.raises(FileFault):
            list(text_lines_bounded(clean, limit=assume_limit))
    else:
        assert list(text_lines_bounded(clean, limit=assume_limit)) == clean


def test_a_nul_is_no_text() -> None:
    with pytest.raises(FileFault):
        list(text_lines_bounded([b"a\n", b"b\0"], limit=10))


@given(st.binary(max_size=5000), st.integers(1, 999), st.integers(0, 5))
def test_the_whole_is_measured_though_a_reader_stopped_early(content: bytes, size: int, read: int) -> None:
    measured = Measured(cut(content, size), md5=True)
    reader = iter(measured)
    for _ in range(read):
        next(reader, None)
    reader.close()  # type: ignore[attr-defined]
    for _ in measured:
        pass
    assert measured.complete
    assert (measured.size, measured.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert measured.md5 == hashlib.md5(content).hexdigest()
    assert content.endswith(measured.tail) and content.startswith(measured.head)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_another_unicode_form_is_the_same_name(tmp_path: Path, forms: tuple[str, str]) -> None:
    written, asked = (unicodedata.normalize(form, "폴더-é/검체-가나.bam") for form in forms)
    (tmp_path / written).parent.mkdir()
    (tmp_path / written).write_bytes(b"x")
    with open_inside(tmp_path, asked) as opened:
        assert opened.read() == b"x"
    (tmp_path / written).unlink()
    (tmp_path / written).symlink_to("/etc/hostname")
    with pytest.raises(FileFault) as fault:
        open_inside(tmp_path, asked)
    assert fault.value.code == "symbolic_link"


@pytest.mark.parametrize("end", [bgzf.END, *CRAM_ENDS])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_end_marker_is_found_however_the_file_is_cut(end: bytes, size: int) -> None:
    head = b"CRAM" if end in CRAM_ENDS else bgzf.END
    for content, whole in ((head + b"x" * 90 + end, True), (head + b"x" * 90 + end[:-1], False)):
        measured = Measured(cut(content, size))
        for _ in measured:
            pass
        assert measured.has_end is whole


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret", "path_unsafe"),
        ("a/../../secret", "path_unsafe"),
        ("/etc/hostname", "path_unsafe"),
        ("./a", "path_unsafe"),
        ("a//b", "path_unsafe"),
        ("", "path_unsafe"),
        ("a\\b", "path_unsafe"),
        ("a\0b", "path_unsafe"),
        ("x" * 300, "path_unsafe"),
        ("link", "symbolic_link"),
        ("linked/secret", "symbolic_link"),
        ("fifo", "not_a_file"),
        ("folder", "not_a_file"),
        ("absent", "file_missing"),
        ("file/below", "file_missing"),
    ],
)
def test_nothing_outside_a_delivery_is_opened(tmp_path: Path, path: str, code: str) -> None:
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "in"
    (inside / "folder").mkdir(parents=True)
    (inside / "file").write_text("x")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "linked").symlink_to(tmp_path)
    os.mkfifo(inside / "fifo")
    with pytest.raises(FileFault) as fault:
        open_inside(inside, path)
    assert fault.value.code == code
    assert str(tmp_path) not in str(fault.value)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("a/file", "a/absent", "b/c", "a"):
        with contextlib.suppress(FileFault):
            open_inside(tmp_path, path).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_walk_follows_no_link_and_ends(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_text("x")
    (tmp_path / "a" / "b" / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    assert sorted(safe_files.walk(tmp_path)) == ["a/b/loop", "a/file", "fifo"]
    assert len(list(safe_files.walk(tmp_path, limit=2))) <= 2
