"""The encryption of the files of a package to one recipient, and the check of what they decrypt to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.files.untrusted import FileFault
from baekman.releases.transfer.recipient import KEY_BYTES, fingerprint

if TYPE_CHECKING:
    from baekman.engine.local import Engine
    from baekman.intake.crypt4gh import RecipientKey

SUFFIX = ".c4gh"  # after the name of a file that is encrypted
OPTION = "--recipient-key"


@dataclass(frozen=True, kw_only=True)
class EncryptionTasks:
    """The tasks that encrypt the files ``names`` of the folder ``plain`` to ``key`` in the folder ``sealed``."""

    plain: Path
    sealed: Path
    names: tuple[str, ...]
    key: bytes

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, index: int) -> str:
        """Write ``<name>.c4gh`` under a session key and a sender's key of its own; return the SHA-256 of the plain."""
        import crypt4gh.lib

        import baekman.intake.crypt4gh  # noqa: F401 - it keeps the library from logging session keys

        name = self.names[index]
        with (self.plain / name).open("rb") as file, atomic_file(self.sealed / f"{name}{SUFFIX}") as temporary:
            reader = _Digesting(file)
            with temporary.open("wb") as output:
                crypt4gh.lib.encrypt([(0, os.urandom(KEY_BYTES), self.key)], reader, output)
        return reader.digest.hexdigest()


class _Digesting:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readinto(self, buffer: bytearray) -> int:
        """Read into ``buffer`` and return the number of bytes, fewer than its length at the end alone."""
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self.digest.update(memoryview(buffer)[:count])
        return int(count)


def encrypt_files(plain: Path, sealed: Path, *, names: tuple[str, ...], key: bytes, engine: Engine) -> dict[str, str]:
    """Encrypt the files ``names`` of ``plain`` to ``key`` in ``sealed``; return the SHA-256 (hex) of the plain bytes.

    No plain byte is written anywhere: a file goes through memory in segments of 64 KiB.
    """
    tasks = EncryptionTasks(plain=plain, sealed=sealed, names=names, key=key)
    with engine.open() as map_tasks:
        digests = map_tasks("encrypting", tasks, len(tasks))
    return dict(zip(names, digests, strict=True))


def require_recipient(key: RecipientKey, *, expected: str, tier: str) -> None:
    """Raise InputRefused unless ``key`` is the private part of the key with the fingerprint ``expected``.

    ``expected`` is "" for a package of another tier than ``transfer``.
    """
    from crypt4gh import sodium

    if not expected:
        raise InputRefused(
            Problem(
                file=OPTION,
                expected="a package of the tier transfer",
                found=f"a package of the tier {tier}, which is not encrypted",
                action=f"leave {OPTION} out",
            )
        )
    if fingerprint(sodium.derive_pk(key.secret)) != expected:
        raise InputRefused(
            Problem(
                file=OPTION,
                expected=f"the private part of the recipient's key {expected[:16]}",
                found="another key",
                action="take the key of the pair that the request names",
            )
        )


def plain_problems(folder: Path, plain: Mapping[str, str], *, key: RecipientKey, action: str) -> Iterator[Problem]:
    """Yield a problem for each file that does not decrypt to the bytes with the SHA-256 that ``plain`` names."""
    for name in sorted(plain):
        digest, file = hashlib.sha256(), f"{name}{SUFFIX}"
        try:
            for part in _plain_parts(folder / file, key):
                digest.update(part)
        except FileFault as fault:
            yield Problem(file=file, expected="a file that the recipient's key opens", found=str(fault), action=action)
            continue
        if digest.hexdigest() != plain[name]:
            yield Problem(
                file=file,
                expected="the SHA-256 of the plain bytes that the manifest names",
                found="other bytes",
                action=action,
            )


def _plain_parts(path: Path, key: RecipientKey) -> Iterator[bytes]:
    from baekman.intake.crypt4gh import plaintext

    with path.open("rb") as file:
        yield from plaintext(file, key)
