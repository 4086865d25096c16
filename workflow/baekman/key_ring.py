"""Keys at rest: the values they seal, the blind index they make, and the file they live in.

A key is 32 random bytes. HKDF-SHA256 derives three independent keys from it: one seals values (AES-256-GCM), one makes
the blind index (HMAC-SHA256), one authenticates rows (keyed BLAKE2b). A key file has one key per line in base64, the
one in use first. It has two lines only while a rotation is under way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
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
from baekman.files.secret_file import write_secret

KEY_BYTES = 32
_KEY_CHARACTERS = 44  # base64 of 32 bytes
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
_DECODER = json.JSONDecoder()
_NONCE_BYTES = 12
ID_BYTES = 4
MAC_BYTES = 16


@dataclass(frozen=True)
class Purpose:
    """The purpose of keys, with the words that messages about them need.

    Attributes:
        name: Name of the store.
        given_with: The options or variables that give a key.
        variable: The environment variable that gives a key.
        command: The command that makes a key.
        remedy: The next step for a value that its key does not open.
    """

    name: str
    given_with: str
    variable: str
    command: str
    remedy: str = "restore the store from a copy: it was changed by hand, or records were swapped"


REGISTRY = Purpose("registry", "--key-file or BAEKMAN_REGISTRY_KEY", "BAEKMAN_REGISTRY_KEY", "baekman registry init")


@dataclass(frozen=True)
class Key:
    """One key. Neither its representation nor any error shows it."""

    master: bytes = field(repr=False)
    purpose: Purpose = REGISTRY

    def derived(self, use: str, *, length: int = 32) -> bytes:
        """Return the key of ``length`` bytes for one use (``values index rows name``), by HKDF (RFC 5869)."""
        info = f"baekman {self.purpose.name} {use}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(self.master)

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key and reveal nothing about it."""
        return self.derived("name", length=ID_BYTES)

    @classmethod
    def new(cls, purpose: Purpose = REGISTRY) -> Key:
        """Return a new random key."""
        return cls(secrets.token_bytes(KEY_BYTES), purpose)


class KeyRing:
    """The keys at hand, all of one purpose; ``use`` chooses the key that seals from now on.

    ``context`` is text that every sealed value is bound to: a ring of another context opens none of them.
    """

    def __init__(self, keys: Sequence[Key], *, file: Path | None = None, context: str = "") -> None:
        self.keys = list(keys)
        self.file = file
        self.context = context
        self.purpose = self.keys[0].purpose
        self._by_id = {key.key_id: key for key in self.keys}
        self._sealing = {key_id: AESGCM(key.derived("values")) for key_id, key in self._by_id.items()}
        self._indexing = {
            key_id: hmac.new(key.derived("index"), digestmod="sha256") for key_id, key in self._by_id.items()
        }
        self._authenticating = {
            key_id: hashlib.blake2b(key=key.derived("rows"), digest_size=MAC_BYTES)
            for key_id, key in self._by_id.items()
        }
        self.current = self.keys[0].key_id

    def __repr__(self) -> str:
        return f"KeyRing({len(self.keys)} keys)"

    def within(self, context: str) -> KeyRing:
        """Return a ring of the same keys whose values are bound to ``context``."""
        ring = KeyRing(self.keys, file=self.file, context=context)
        ring.current = self.current
        return ring

    def use(self, key_id: bytes) -> None:
        """Seal and index with the key named ``key_id`` from now on; InputRefused when it is not at hand."""
        if key_id not in self._by_id:
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
        """Return ``values`` as JSON, sealed for the record named ``identity`` and no other (``seal_bytes``)."""
        return self.seal_bytes(_ENCODER.encode(values).encode(), identity=identity)

    def seal_bytes(self, data: bytes, *, identity: str) -> bytes:
        """Return ``data``, sealed for the record named ``identity`` and no other.

        The bytes are the key's ID (4), the nonce (12), then the AES-256-GCM text with its tag.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self.current + nonce + self._sealing[self.current].encrypt(nonce, data, self._bound(identity))

    def unseal(self, sealed: bytes, *, identity: str) -> dict[str, Any]:
        """Return the values that ``seal`` took; InputRefused for bytes that were changed or are of another record."""
        values: dict[str, Any] = _DECODER.decode(self.unseal_bytes(sealed, identity=identity).decode())
        return values

    def unseal_bytes(self, sealed: bytes, *, identity: str) -> bytes:
        """Return the data that ``seal_bytes`` took; InputRefused as for ``unseal``."""
        key_id = sealed[:ID_BYTES]
        nonce = sealed[ID_BYTES:][:_NONCE_BYTES]
        text = sealed[ID_BYTES + _NONCE_BYTES :]
        try:
            return self._sealing[key_id].decrypt(nonce, text, self._bound(identity))
        except (InvalidTag, KeyError, ValueError):
            raise InputRefused(
                Problem(
                    file=self.purpose.name,
                    place=identity,
                    expected=f"a value sealed for this record with the {self.purpose.name}'s key",
                    found="something else",
                    action=self.purpose.remedy,
                )
            ) from None

    def _bound(self, identity: str) -> bytes:
        return f"{self.context}{identity}".encode()

    def blind_index(self, kind: str, *parts: str) -> str:
        """Return the HMAC-SHA256 (hex, RFC 2104) of ``kind`` and ``parts``, each after its length in bytes.

        A record is found by it without its value being stored. Parts are NFC-normalised.
        """
        digest = self._indexing[self.current].copy()  # quicker than a new one
        digest.update(_prefix(kind, *parts[:-1]) + _with_length(parts[-1]))
        return digest.hexdigest()

    def mac(self, *parts: str | int | bytes | None) -> str:
        """Return the keyed BLAKE2b (hex, RFC 7693) of ``parts``, as a Python tuple in ASCII: no two tuples are alike.

        Whoever has no key can neither compute it nor find another row with the same.
        """
        digest = self._authenticating[self.current].copy()
        digest.update(ascii(parts).encode())
        return digest.hexdigest()


def _with_length(part: str) -> bytes:
    data = (part if part.isascii() else unicodedata.normalize("NFC", part)).encode()
    return len(data).to_bytes(8, "big") + data


@lru_cache(maxsize=1024)  # a kind and an institution, for all of its rows
def _prefix(*parts: str) -> bytes:
    return b"".join(_with_length(part) for part in parts)


def make_key_file(file: Path, keys: Sequence[Key]) -> None:
    """Write ``keys`` to ``file`` (mode 0600), whole or not at all."""
    write_secret(file, b"".join(base64.b64encode(key.master) + b"\n" for key in keys))


def read_key_file(file: Path, purpose: Purpose = REGISTRY) -> KeyRing:
    """Return the keys in ``file``; InputRefused when it is absent, readable by others, or no key file."""
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
    """Return the path of a key file, or the key itself (32 bytes in base64), from the purpose's variable."""
    value = os.environ.get(purpose.variable, "").strip()
    if not value:
        return None
    # base64 of 32 bytes ends with "="; a path seldom does
    if len(value) == _KEY_CHARACTERS and value.endswith("=") and not Path(value).exists():
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
    """Return the file that ``ring`` was read from; InputRefused for a key that a rotation could not replace."""
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
