"""Crypt4GH containers (GA4GH, version 1) as streams of plaintext.

The format authenticates each segment, but not their order or number: a container with missing, swapped or repeated
segments decrypts without an error. So a reader must compare the checksum and size of the plaintext.
"""

from __future__ import annotations

import io
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import crypt4gh.header
import crypt4gh.keys
import crypt4gh.lib

from baekman.errors import InputRefused, Problem
from baekman.files.untrusted import FileFault

KEY_VARIABLE = "BAEKMAN_CRYPT4GH_KEY"
PASSPHRASE_VARIABLE = "BAEKMAN_CRYPT4GH_PASSPHRASE"

SEGMENT = 65536
CIPHER_SEGMENT = SEGMENT + 28
# a header has one packet per recipient key; no real header has more or larger packets
PACKETS_LIMIT = 1024
PACKET_LIMIT = 1 << 20

# the library logs session keys at level DEBUG
logging.getLogger("crypt4gh").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class RecipientKey:
    """The private key of the recipient of encrypted deliveries; it is never shown."""

    secret: bytes = field(repr=False)


def recipient_key(file: Path | None = None) -> RecipientKey | None:
    """Return the key in ``file``, else in the file at ``BAEKMAN_CRYPT4GH_KEY``; None when there is neither.

    ``BAEKMAN_CRYPT4GH_PASSPHRASE`` holds the passphrase. Raises ``InputRefused`` when the file is no Crypt4GH (or
    OpenSSH ed25519) private key, or when others than its owner may read it.
    """
    name = file or os.environ.get(KEY_VARIABLE)
    if not name:
        return None
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except OSError:
        raise _refused(
            "a key file", "no such file", "correct its path" if file else f"correct {KEY_VARIABLE}"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise _refused("a file that its owner alone may read", oct(stat.S_IMODE(mode)), "chmod 600 it")
    try:
        secret = crypt4gh.keys.get_private_key(str(path), lambda: os.environ.get(PASSPHRASE_VARIABLE, ""))
    except Exception:
        raise _refused(
            "a Crypt4GH private key", "something else, or a wrong passphrase", f"set {PASSPHRASE_VARIABLE}"
        ) from None
    return RecipientKey(bytes(secret))


def plaintext(opened: BinaryIO, key: RecipientKey) -> Iterator[bytes]:
    """Yield the plaintext of the container ``opened``, segment by segment (at most 64 KiB each).

    Raises ``FileFault`` (``decryption_failed`` or ``truncated``).
    """
    buffered: BinaryIO = io.BufferedReader(opened, buffer_size=1 << 20)  # type: ignore[type-var]
    session_keys = _session_keys(buffered, key)
    segment = bytearray(SEGMENT)
    while cipher := buffered.read(CIPHER_SEGMENT):
        if len(cipher) <= CIPHER_SEGMENT - SEGMENT:
            raise FileFault("truncated", "a last segment too short to hold anything")
        try:
            length = crypt4gh.lib.decrypt_block(segment, bytearray(cipher), session_keys)
        except Exception:
            raise FileFault("decryption_failed", "a segment that does not authenticate") from None
        yield bytes(segment[:length])


def _session_keys(buffered: BinaryIO, key: RecipientKey) -> list[bytes]:
    """Return the session keys in the header; the reader is then at the first segment."""
    header = _header(buffered)
    try:
        session_keys, edits = crypt4gh.header.deconstruct(io.BytesIO(header), [(0, key.secret, None)])
    except Exception:
        raise FileFault("decryption_failed", "a header that the recipient key does not open") from None
    if edits is not None:
        raise FileFault("decryption_failed", "an edit list, which is not supported")
    return list(session_keys)


def _header(buffered: BinaryIO) -> bytes:
    """Return the bytes of the header, of bounded size whatever it declares."""
    start = buffered.read(16)
    count = int.from_bytes(start[12:16], "little")
    if len(start) < 16 or start[:8] != b"crypt4gh" or count > PACKETS_LIMIT:
        raise FileFault("decryption_failed", "no Crypt4GH header")
    packets = [start]
    for _ in range(count):
        prefix = buffered.read(4)
        length = int.from_bytes(prefix, "little") - 4
        if len(prefix) < 4 or not 0 <= length <= PACKET_LIMIT:
            raise FileFault("decryption_failed", "a malformed Crypt4GH header")
        packets += [prefix, buffered.read(length)]
    return b"".join(packets)


def _refused(expected: str, found: str, action: str) -> InputRefused:
    return InputRefused(Problem(file="Crypt4GH key", expected=expected, found=found, action=action))
