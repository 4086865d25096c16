"""Keys at rest: what they seal, the blind index they make, and the file they live in.

A key is 32 random bytes; HKDF-SHA256 makes two independent keys of it, one to seal values (AES-256-GCM) and
one for the blind index (HMAC-SHA256). A key file has one key per line in base64, the one in use first; two
lines only while a rotation is under way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from baekman.errors import InputRefused, Problem

KEY_BYTES = 32
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
_DECODER = json.JSONDecoder()
_NONCE_BYTES = 12
_ID_BYTES = 4


@dataclass(frozen=True)
class Purpose:
    """What keys are for: the name of that, how a key is given, by which variable, and the command that makes one."""

    name: str
    given_with: str
    variable: str
    command: str


REGISTRY = Purpose("registry", "--key-file or BAEKMAN_REGISTRY_KEY", "BAEKMAN_REGISTRY_KEY", "baekman registry init")


@dataclass(frozen=True)
class Key:
    """One key. Neither its representation nor any error shows it."""

    master: bytes = field(repr=False)
    purpose: Purpose = REGISTRY

    def _derived(self, use: str, length: int = 32) -> bytes:
        info = f"baekman {self.purpose.name} {use}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(self.master)

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key and say nothing of it."""
        return self._derived("name", _ID_BYTES)

    @classmethod
    def new(cls, purpose: Purpose = REGISTRY) -> Key:
        return cls(secrets.token_bytes(KEY_BYTES), purpose)


class KeyRing:
    """The keys at hand, all of one purpose; ``use`` says which of them things are sealed with."""

    def __init__(self, keys: Sequence[Key], *, file: Path | None = None) -> None:
        self.keys = list(keys)
        self.file = file
        self.purpose = self.keys[0].purpose
        self._by_id = {key.key_id: key for key in self.keys}
        self._sealing = {key_id: AESGCM(key._derived("values")) for key_id, key in self._by_id.items()}
        self._indexing = {key_id: _Hmac(key._derived("index")) for key_id, key in self._by_id.items()}
        self.current = self.keys[0].key_id

    def __repr__(self) -> str:
        return f"KeyRing({len(self.keys)} keys)"

    def holds(self, key_id: bytes) -> bool:
        return key_id in self._by_id

    def use(self, key_id: bytes) -> None:
        """Seal and index with the key named ``key_id`` from now on."""
        if not self.holds(key_id):
            raise InputRefused(
                Problem(
                    file=f"{self.purpose.name} key",
                    expected=f"the key that the {self.purpose.name} was made with",
                    found="another key",
                    action=f"give the right one with {self.purpose.given_with}",
                )
            )
        self.current = key_id

    def seal(self, values: dict[str, Any], *, identity: str) -> bytes:
        """``values`` as JSON, sealed for the record named ``identity`` and no other."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        text = _ENCODER.encode(values).encode()
        return self.current + nonce + self._sealing[self.current].encrypt(nonce, text, identity.encode())

    def unseal(self, sealed: bytes, *, identity: str) -> dict[str, Any]:
        """The inverse of ``seal``; InputRefused when the bytes were changed or belong to another record."""
        key_id, nonce, text = (
            sealed[:_ID_BYTES],
            sealed[_ID_BYTES:][:_NONCE_BYTES],
            sealed[_ID_BYTES + _NONCE_BYTES :],
        )
        try:
            opened = self._sealing[key_id].decrypt(nonce, text, identity.encode())
        except (InvalidTag, KeyError, ValueError):
            raise InputRefused(
                Problem(
                    file=self.purpose.name,
                    place=identity,
                    expected=f"a value sealed for this record with the {self.purpose.name}'s key",
                    found="something else",
                    action="restore the store from a copy: it was changed by hand, or records were swapped",
                )
            ) from None
        values: dict[str, Any] = _DECODER.decode(opened.decode())
        return values

    def blind_index(self, kind: str, *parts: str) -> str:
        """HMAC-SHA256 (hex) by which a record is found without its value being stored.

        Parts are NFC-normalised.
        """
        return self._indexing[self.current].hexdigest(_told(kind, *parts[:-1]) + _with_length(parts[-1]))


class _Hmac:
    """HMAC-SHA256 (RFC 2104) with its key taken in once, which takes most of the time of a short message."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(hashlib.sha256().block_size, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def hexdigest(self, message: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


def _with_length(part: str) -> bytes:
    data = (part if part.isascii() else unicodedata.normalize("NFC", part)).encode()
    return len(data).to_bytes(8, "big") + data


@lru_cache(maxsize=1024)  # a kind and an institution, for all of its rows
def _told(*parts: str) -> bytes:
    return b"".join(_with_length(part) for part in parts)


def make_key_file(file: Path, keys: Sequence[Key]) -> None:
    """Write ``keys`` to ``file`` (0600), whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.parent / f".{file.name}.{secrets.token_hex(8)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.writelines(base64.b64encode(key.master) + b"\n" for key in keys)
            output.flush()
            os.fsync(output.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def read_key_file(file: Path, purpose: Purpose = REGISTRY) -> KeyRing:
    """The keys in ``file``; InputRefused when it is absent, readable by others, or no key file."""
    try:
        mode = file.stat().st_mode
    except OSError:
        raise InputRefused(
            Problem(
                file=f"{purpose.name} key",
                expected="a key file",
                found="none",
                action=f"give it with {purpose.given_with}; `{purpose.command}` makes one",
            )
        ) from None
    if not stat.S_ISREG(mode) or mode & 0o177:
        raise InputRefused(
            Problem(
                file=f"{purpose.name} key",
                expected="a file that only its owner can read (mode 0600)",
                found=f"mode {stat.S_IMODE(mode):04o}" if stat.S_ISREG(mode) else "no regular file",
                action="chmod 600 the file, and rotate the key if others could have read it",
            )
        )
    lines = file.read_text("ascii", "replace").split() or [""]
    return KeyRing([_parsed(line, purpose) for line in lines], file=file)


def keys_from_environment(purpose: Purpose = REGISTRY) -> KeyRing | Path | None:
    """What the purpose's variable gives: the path of a key file, or the key itself in base64 (32 bytes)."""
    value = os.environ.get(purpose.variable, "").strip()
    if not value:
        return None
    # base64 of 32 bytes has 44 characters and ends with "="; a path seldom does
    if len(value) == 44 and value.endswith("=") and not Path(value).exists():
        return KeyRing([_parsed(value, purpose)])
    return Path(value)


def _parsed(line: str, purpose: Purpose) -> Key:
    try:
        master = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        master = b""
    if len(master) != KEY_BYTES:
        raise InputRefused(
            Problem(
                file=f"{purpose.name} key",
                expected=f"{KEY_BYTES} bytes in base64, one key per line",
                found="something else",
                action=f"give the key file that `{purpose.command}` made",
            )
        )
    return Key(master, purpose)


def require_file(ring: KeyRing) -> Path:
    """The file that ``ring`` was read from; InputRefused for a key that a rotation could not replace."""
    if ring.file is None:
        raise InputRefused(
            Problem(
                file=f"{ring.purpose.name} key",
                expected="a key file",
                found=f"a key in {ring.purpose.variable}",
                action=f"save the key to a file (mode 0600), give it with {ring.purpose.given_with}, and rotate that",
            )
        )
    return ring.file
