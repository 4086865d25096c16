"""The signed manifest of a package: an in-toto statement that names every file with its SHA-256, in a DSSE envelope.

A later manifest that names no file revokes the package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from baekman.errors import InputRefused, Problem
from baekman.files.digests import sha256_of
from baekman.releases.transfer.encryption import SUFFIX

if TYPE_CHECKING:
    from baekman.projects.signing import PublicKey, SigningKey

NAME = "manifest.dsse.json"  # of the manifest in a package
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:baekman:release:v1"
SUBJECT_OF_REVOCATION = "revoked"  # a statement names at least one subject; this one is the manifest that it revokes
AGAIN = "ask for the package again"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of a manifest.

    Attributes:
        release: ID of the release, ``R…``.
        number: 1 for that of the package, more for later ones.
        files: SHA-256 (hex) by path within the package, without the manifest itself; empty for a revocation.
        rows: Number of rows of each Parquet file.
        plain: SHA-256 (hex) of what each encrypted file decrypts to, by its name without ``.c4gh``; of transfers.
        facts: What else the package says of itself: project, plan, tier, snapshots, counts.
        revokes: SHA-256 (hex) of the envelope of the package that this manifest revokes; "" for that of a package.
        day: ISO date of a revocation.
        reason: Why it is revoked, a word of the command line.
    """

    release: str
    number: int = 1
    files: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    revokes: str = ""
    day: str = ""
    reason: str = ""

    @property
    def recipient_key(self) -> str:
        """The fingerprint of the key that the files are encrypted to; "" where they are not."""
        recipient = self.facts.get("recipient")
        return str(recipient.get("key", "")) if isinstance(recipient, Mapping) else ""

    def statement(self) -> dict[str, Any]:
        """Return the in-toto statement (v1) of the manifest."""
        names = {SUBJECT_OF_REVOCATION: self.revokes} if self.revokes else self.files
        subject = [{"name": name, "digest": {"sha256": names[name]}} for name in sorted(names)]
        predicate: dict[str, Any] = {"release": self.release, "number": self.number}
        if self.revokes:
            predicate |= {"revoked": self.day, "reason": self.reason}
        else:
            predicate |= {"rows": dict(sorted(self.rows.items())), **self.facts}
            predicate |= {"plain": dict(sorted(self.plain.items()))} if self.plain else {}
        return {
            "_type": STATEMENT_TYPE,
            "subject": subject,
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }

    @classmethod
    def from_statement(cls, statement: Mapping[str, Any]) -> Manifest:
        """Return the manifest of an in-toto statement; KeyError, TypeError or ValueError for another statement."""
        if statement["_type"] != STATEMENT_TYPE or statement["predicateType"] != PREDICATE_TYPE:
            raise ValueError("another kind of statement")
        predicate = dict(statement["predicate"])
        names = {str(each["name"]): str(each["digest"]["sha256"]) for each in statement["subject"]}
        if len(names) != len(statement["subject"]) or not all(map(_is_plain, names)):
            raise ValueError("names of files that are no paths in a package")
        release, number = str(predicate.pop("release")), int(predicate.pop("number"))
        if "revoked" in predicate:
            revokes, day, reason = names[SUBJECT_OF_REVOCATION], str(predicate["revoked"]), str(predicate["reason"])
            return cls(release=release, number=number, revokes=revokes, day=day, reason=reason)
        rows = {str(name): int(count) for name, count in predicate.pop("rows").items()}
        plain = {str(name): str(digest) for name, digest in predicate.pop("plain", {}).items()}
        if any(f"{name}{SUFFIX}" not in names for name in plain):
            raise ValueError("a plain file without its encrypted file")
        return cls(release=release, number=number, files=names, rows=rows, plain=plain, facts=predicate)


def _is_plain(name: str) -> bool:
    """Return whether a name of a file stays in the package and has one spelling."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and str(path) == name


def files_of(folder: Path) -> Iterator[Path]:
    """Yield every entry below ``folder`` that is no folder of another entry, sorted; links are not followed."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and any(entry.iterdir()):
            yield from files_of(entry)
        else:
            yield entry


def digests_of_package(folder: Path) -> dict[str, str]:
    """Return the SHA-256 (hex) of each file of a package by its path in it, without the manifest."""
    paths = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    return {name: sha256_of(path) for name, path in paths.items() if name != NAME}


def seal(manifest: Manifest, *, key: SigningKey) -> bytes:
    """Return the bytes of the envelope of ``manifest``, signed by ``key``."""
    from baekman.projects import signing

    return signing.sign(manifest.statement(), payload_type=signing.IN_TOTO_TYPE, key=key)


def open_manifest(path: Path, *, key: PublicKey) -> tuple[Manifest, str]:
    """Return the manifest in the file ``path`` and the SHA-256 (hex) of its bytes.

    Raises:
        InputRefused: There is no file, its bytes are no envelope in its only spelling, the signature is of another key
            than ``key`` or does not fit the payload, or the payload is no manifest.
    """
    from baekman.projects import signing

    if path.is_symlink() or not path.is_file():
        raise _refused(path, expected="the signed manifest", found="a link" if path.is_symlink() else "no file")
    data = path.read_bytes()
    signed = signing.verify(data, payload_type=signing.IN_TOTO_TYPE, keys=[key], file=path.name)
    try:
        return Manifest.from_statement(signed.statement), hashlib.sha256(data).hexdigest()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _refused(path, expected="the manifest of a package", found="another statement") from None


def _refused(path: Path, *, expected: str, found: str) -> InputRefused:
    return InputRefused(Problem(file=path.name, expected=expected, found=found, action=AGAIN))
