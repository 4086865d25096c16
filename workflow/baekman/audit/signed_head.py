"""The signed head of an audit log: sequence and hash of its last event, signed with Ed25519.

A head that is saved in another place shows whether the log was cut or written again (``verification``).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman.audit.log import last_link
from baekman.audit.noted_head import FOLDER
from baekman.errors import InputRefused, Problem
from baekman.files import atomic
from baekman.files.secret_file import write_secret

if TYPE_CHECKING:  # many commands read this module's names, few sign a head
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_NAME = "signing.key"
PUBLIC_NAME = "signing.pub"
KEY_VARIABLE = "BAEKMAN_AUDIT_KEY"


def make_head(workspace: Path) -> dict[str, Any]:
    """Return the head of the log (``sequence hash time public_key signature``); make a signing key if there is none."""
    newest = last_link(workspace)
    head: dict[str, Any] = {
        "sequence": newest.sequence,
        "hash": newest.hash,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    key = _signing_key(workspace)
    public = key.public_key().public_bytes_raw()
    head["public_key"] = base64.b64encode(public).decode()
    head["signature"] = base64.b64encode(key.sign(_signed_part(head))).decode()
    return head


def read_signed_head(file: Path, *, public_key: bytes | None = None) -> dict[str, Any]:
    """Return a saved head; InputRefused when it is none, or has no signature of ``public_key`` (32 bytes).

    Without ``public_key`` the head's own key must have signed it.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        head: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        own = base64.b64decode(head["public_key"], validate=True)
        signature = base64.b64decode(head["signature"], validate=True)
        Ed25519PublicKey.from_public_bytes(public_key or own).verify(signature, _signed_part(head))
        sequence_is_number = isinstance(head["sequence"], int)
    except OSError:
        raise _bad_head("a readable file", "none") from None
    except InvalidSignature:
        raise _bad_head("a head signed with this log's key", "another signature") from None
    except (ValueError, KeyError, TypeError):
        raise _bad_head("a head as `baekman audit head` writes it", "something else") from None
    if not sequence_is_number:
        raise _bad_head("a head as `baekman audit head` writes it", "something else")
    return head


def public_key(workspace: Path) -> bytes | None:
    """Return the public key (32 bytes) for the workspace's heads; None before the first head."""
    file = workspace / FOLDER / PUBLIC_NAME
    return read_public_key(file) if file.is_file() else None


def read_public_key(file: Path) -> bytes:
    """Return the public key (32 bytes) in ``file``, base64 as next to the log; InputRefused when it is none."""
    try:
        key = base64.b64decode(file.read_bytes().strip(), validate=True)
    except (OSError, ValueError):
        key = b""
    if len(key) != 32:
        raise InputRefused(
            Problem(
                file="audit public key",
                expected="an Ed25519 public key in base64",
                found="something else",
                action=f"give the {PUBLIC_NAME} that was saved with the head",
            )
        )
    return key


def _bad_head(expected: str, found: str) -> InputRefused:
    return InputRefused(
        Problem(file="saved head", expected=expected, found=found, action="give the head that was saved")
    )


def _signed_part(head: Mapping[str, Any]) -> bytes:
    return json.dumps({name: head[name] for name in ("hash", "sequence", "time")}, sort_keys=True).encode()


def _signing_key(workspace: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    chosen = os.environ.get(KEY_VARIABLE)
    file = Path(chosen) if chosen else workspace / FOLDER / KEY_NAME
    if not file.exists():
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_secret(file, pem, replace=False)
    if file.stat().st_mode & 0o177:
        raise InputRefused(
            Problem(
                file="audit signing key",
                expected="a file that only its owner can read (mode 0600)",
                found=f"mode {file.stat().st_mode & 0o777:04o}",
                action="chmod 600 the file",
            )
        )
    loaded = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise InputRefused(
            Problem(
                file="audit signing key",
                expected="an Ed25519 key",
                found="another",
                action="give the right key",
            )
        )
    public = base64.b64encode(loaded.public_key().public_bytes_raw()).decode()
    atomic.write_text(workspace / FOLDER / PUBLIC_NAME, public + "\n")
    return loaded
