"""The recipient of a transfer: a pair of keys, and what the library of Crypt4GH itself decrypts."""

from __future__ import annotations

import io
from pathlib import Path

import crypt4gh.keys
import crypt4gh.lib
from crypt4gh.keys.c4gh import generate

IN_CLEAR = {"README.md", "dictionary.tsv", "manifest.dsse.json", "ro-crate-metadata.json"}


def make_keys(file: Path) -> Path:
    """Write a private key to ``file`` and the public key next to it (``.pub``); return ``file``."""
    generate(str(file), str(file.with_suffix(".pub")), b"", None)
    file.chmod(0o600)
    return file


def secret(file: Path) -> bytes:
    """Return the private key in ``file``."""
    return bytes(crypt4gh.keys.get_private_key(str(file), lambda: ""))


def recipient(file: Path) -> dict[str, str]:
    """Return the recipient with the private key ``file``, as a request names it."""
    return {"name": "Prof. Hong", "public_key": file.with_suffix(".pub").read_text()}


def decrypted(package: Path, key: Path) -> dict[str, bytes]:
    """Return the plain bytes of the encrypted files of a package, by name without ``.c4gh``."""
    plain = {}
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package).as_posix()
        if path.is_file() and name not in IN_CLEAR:
            output = io.BytesIO()
            crypt4gh.lib.decrypt([(0, secret(key), None)], io.BytesIO(path.read_bytes()), output)
            plain[name.removesuffix(".c4gh")] = output.getvalue()
    return plain
