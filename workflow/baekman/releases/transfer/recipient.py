"""The recipient of a transfer: a name, and the Crypt4GH public key that the package is encrypted to."""

from __future__ import annotations

import binascii
import hashlib
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass

from baekman.errors import Problem

KEY_BYTES = 32
_BEGIN, _END = "-----BEGIN CRYPT4GH PUBLIC KEY-----", "-----END CRYPT4GH PUBLIC KEY-----"


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """The recipient ``name`` with the X25519 public key ``key`` (32 bytes)."""

    name: str
    key: bytes

    @property
    def fingerprint(self) -> str:
        """The SHA-256 (hex) of the 32 bytes of the key: what two people compare by telephone."""
        return fingerprint(self.key)

    def to_json(self) -> dict[str, str]:
        """Return the keys of ``recipient`` in ``request.yaml``; a key has one spelling."""
        return {"name": self.name, "public_key": "\n".join([_BEGIN, b64encode(self.key).decode(), _END, ""])}


def fingerprint(key: bytes) -> str:
    """Return the SHA-256 (hex) of the 32 bytes of a public key."""
    return hashlib.sha256(key).hexdigest()


def parse_public_key(text: str) -> bytes | None:
    """Return the 32 bytes of the key in ``text``, a Crypt4GH public key file; None for anything else.

    A point of small order is no key: the secret that it gives is known to everybody (RFC 7748, section 6.1).
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 3 or (lines[0], lines[2]) != (_BEGIN, _END):
        return None
    try:
        key = b64decode(lines[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    # the highest bit is not part of the number: with it, a key would have two fingerprints
    is_whole = len(key) == KEY_BYTES and not key[-1] & 0x80
    return key if is_whole and _is_strong(key) else None


def _is_strong(key: bytes) -> bool:
    from crypt4gh import sodium

    secret = os.urandom(KEY_BYTES)
    try:
        sodium.kx_server(sodium.derive_pk(secret), secret, key)
    except (SystemError, ValueError):  # the library's answer to a point of small order
        return False
    return True


def key_problem(text: str, *, source: str) -> Problem | None:
    """Return the line that refuses the key ``text`` of the request ``source``, without a byte of it; None for a key."""
    if parse_public_key(text) is not None:
        return None
    is_private = "PRIVATE KEY" in text
    return Problem(
        file=source,
        place="recipient.public_key",
        expected="a Crypt4GH public key, the three lines of a file .pub",
        found="a private key" if is_private else "something else",
        action="the recipient makes another pair: this key is not secret now"
        if is_private
        else "copy the whole file that `crypt4gh-keygen` made",
    )
