"""Signed statements: DSSE envelopes with one Ed25519 signature, by securesystemslib.

An envelope signs its payload together with the type of the payload (DSSE v1, secure-systems-lab/dsse), so a signature
of one type is none of another. The bytes of an envelope are canonical: an envelope with the same content in other
bytes is refused, and no byte of a signed file can be changed unnoticed.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman.errors import InputRefused, Problem
from baekman.files.secret_file import write_secret

if TYPE_CHECKING:  # a third of a second to import
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from securesystemslib.signer import SSlibKey

DECISION_TYPE = "application/vnd.baekman.decision+json"
IN_TOTO_TYPE = "application/vnd.in-toto+json"
_SIGNATURE_KEYS = {"keyid", "sig"}


@dataclass(frozen=True)
class SignedStatement:
    """A statement with the ID of the key that signed it."""

    statement: dict[str, Any]
    key_id: str


class SigningKey:
    """An Ed25519 key that signs. No representation shows it."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        from securesystemslib.signer import CryptoSigner

        self._private = private
        self._signer = CryptoSigner(private)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.id})"

    @property
    def public(self) -> PublicKey:
        """The public part."""
        return PublicKey(self._private.public_key())

    @property
    def private_bytes(self) -> bytes:
        """The private part: PEM, PKCS #8, not encrypted."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @classmethod
    def new(cls) -> SigningKey:
        """Return a new random key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, file: Path, *, named: str = "--key") -> SigningKey:
        """Return the key in ``file``.

        Raises:
            InputRefused: The file is absent, no such key, or readable by others. ``named`` is the place in the message.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        action = "`baekman project key` makes one"
        try:
            mode = file.stat().st_mode
        except OSError:
            raise _refused(named, "a file with a private key", "none", action) from None
        if not stat.S_ISREG(mode) or mode & 0o177:
            found = f"mode {stat.S_IMODE(mode):04o}" if stat.S_ISREG(mode) else "no regular file"
            expected = "a file that only its owner can read (mode 0600)"
            action = "chmod 600 the file; revoke the key with `baekman project key --revoke` if others could read it"
            raise _refused(named, expected, found, action)
        try:
            private = load_pem_private_key(file.read_bytes(), None)
        except (ValueError, TypeError):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise _refused(named, "an Ed25519 key in PEM (PKCS #8), not encrypted", "something else", action)
        return cls(private)

    def write(self, file: Path) -> bool:
        """Write the private part to ``file`` (mode 0600); return False when a file is there, which stays."""
        return write_secret(file, self.private_bytes, replace=False)


class PublicKey:
    """An Ed25519 key that verifies."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        from securesystemslib.signer import SSlibKey

        self._public = public
        self._key: SSlibKey = SSlibKey.from_crypto(public)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.pem == other.pem

    def __hash__(self) -> int:
        return hash(self.pem)

    @property
    def id(self) -> str:
        """The ID, which follows from the key: SHA-256 (hex) of its canonical description."""
        return str(self._key.keyid)

    @property
    def pem(self) -> str:
        """The key in PEM (SubjectPublicKeyInfo)."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @classmethod
    def from_pem(cls, pem: str, *, named: str = "--key") -> PublicKey:
        """Return the key in ``pem``; InputRefused for anything else, with ``named`` as the place in the message."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            public = load_pem_public_key(pem.encode())
        except (ValueError, TypeError):
            public = None
        if not isinstance(public, Ed25519PublicKey):
            raise _refused(named, "an Ed25519 public key in PEM", "something else", "give the file that was published")
        return cls(public)

    @classmethod
    def read(cls, file: Path, *, named: str = "--key") -> PublicKey:
        """Return the public key in ``file``; errors as ``from_pem``."""
        try:
            pem = file.read_text("ascii", "replace")
        except OSError:
            raise _refused(named, "a file with a public key", "none", "give the file that was published") from None
        return cls.from_pem(pem, named=named)


def sign(statement: Mapping[str, Any], *, payload_type: str, key: SigningKey) -> bytes:
    """Return the envelope of ``statement`` (JSON values) as one line of canonical JSON, with its line feed."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical_json(statement), payload_type, {})
    envelope.sign(key._signer)
    return canonical_json(envelope.to_dict()) + b"\n"


def verify(envelope: bytes, *, payload_type: str, keys: Iterable[PublicKey], file: str = "envelope") -> SignedStatement:
    """Return the statement in ``envelope``, which one of ``keys`` signed as ``payload_type``.

    Raises:
        InputRefused: The bytes are no such envelope, were changed, have another type, or another key signed them.
            ``file`` names the envelope in the message.
    """
    from securesystemslib.exceptions import VerificationError

    opened = _opened(envelope, file=file)
    if opened.payload_type != payload_type:
        raise _refused(file, f"an envelope of the type {payload_type}", "another type", "")
    known = {key.id: key for key in keys}
    if not opened.signatures.keys() <= known.keys():
        raise _refused(file, "a signature by a known key", "one by another key", "give the key that signed it")
    try:
        accepted = opened.verify([known[name]._key for name in opened.signatures], 1)
    except (VerificationError, ValueError):
        raise _refused(file, "the content that was signed", "another: it was changed", "get it again") from None
    return SignedStatement(json.loads(opened.payload), next(iter(accepted)))


def unverified_statement(envelope: bytes, *, file: str = "envelope") -> SignedStatement:
    """Return the statement in ``envelope`` without a look at its signature; InputRefused for another form."""
    opened = _opened(envelope, file=file)
    return SignedStatement(json.loads(opened.payload), next(iter(opened.signatures)))


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Return ``value`` as JSON with sorted keys and without blanks, UTF-8; ValueError for NaN and infinity."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _opened(data: bytes, *, file: str) -> Any:
    """Return securesystemslib's envelope of ``data``: canonical JSON, one signature, a payload in canonical JSON."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError

    try:
        value = json.loads(data)
        is_single = [set(signature) for signature in value["signatures"]] == [_SIGNATURE_KEYS]
        opened = Envelope.from_dict(value)
        payload = json.loads(opened.payload)
        is_canonical = (
            is_single
            and canonical_json(opened.to_dict()) + b"\n" == data
            and isinstance(payload, dict)
            and canonical_json(payload) == opened.payload
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError):
        is_canonical = False
    if not is_canonical:
        raise _refused(file, "a signed envelope (DSSE) in canonical JSON", "something else", "get it again")
    return opened


def _refused(file: str, expected: str, found: str, action: str) -> InputRefused:
    return InputRefused(Problem(file=file, expected=expected, found=found, action=action))
