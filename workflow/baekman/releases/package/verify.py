"""The verification of a package with the public key alone: no workspace, no registry."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.digests import sha256_of
from baekman.releases.package.manifest import AGAIN, NAME, Manifest, files_of, open_manifest
from baekman.releases.transfer.encryption import plain_problems, require_recipient

if TYPE_CHECKING:
    from baekman.intake.crypt4gh import RecipientKey
    from baekman.projects.signing import PublicKey

REVOKED = "revoked"  # the folder of later manifests, next to the package
LATER = "*.dsse.json"
RELEASE_KEY = "baekman.release"  # in the metadata of each Parquet file


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A package that is as it was signed: its ``manifest``, and the SHA-256 of the envelope, ``digest``.

    ``is_plain_checked``: the files of a transfer were decrypted and compared too.
    """

    manifest: Manifest
    digest: str
    key: str
    is_plain_checked: bool = False

    def line(self) -> str:
        """Return the line that ``release verify`` prints."""
        manifest = self.manifest
        count = sum(manifest.rows.values())
        files = f"{len(manifest.files)} files, {len(manifest.rows)} of them Parquet with {count:,} rows"
        text = f"verified: release {manifest.release}, {files}; signed by key {self.key[:16]}"
        if not manifest.plain:
            return text
        state = "decrypted and compared too" if self.is_plain_checked else "not decrypted"
        return f"{text}; {len(manifest.plain)} encrypted to key {manifest.recipient_key[:16]}, {state}"


def verify_package(
    folder: Path, *, key: PublicKey, revoked: Sequence[Path] = (), recipient: RecipientKey | None = None
) -> Verified:
    """Return the manifest of the package in ``folder`` when every byte is as the owner of ``key`` signed it.

    ``revoked``: later manifests, or folders of them. Those in the folder ``revoked`` next to the package always count.
    With the private key of the ``recipient`` of a transfer, what its files decrypt to is compared too.

    Raises:
        InputRefused: With a line for each file that was changed, added, renamed or dropped and for each link and
            folder that the manifest does not name; for a signature of another key, an edited envelope, and a package
            that a later manifest revokes; for a ``recipient`` of another key or tier, and plain bytes that differ.
    """
    manifest, digest = open_manifest(folder / NAME, key=key)
    if manifest.revokes:
        raise InputRefused(Problem(file=NAME, expected="the manifest of a package", found="a revocation", action=AGAIN))
    problems = [*_problems(folder, manifest), *_revocations(folder, manifest, digest, key=key, named=revoked)]
    if problems:
        raise InputRefused(problems)
    if recipient is not None:
        require_recipient(recipient, expected=manifest.recipient_key, tier=str(manifest.facts.get("tier", "")))
        if problems := list(plain_problems(folder, manifest.plain, key=recipient, action=AGAIN)):
            raise InputRefused(problems)
    return Verified(manifest=manifest, digest=digest, key=key.id, is_plain_checked=recipient is not None)


def _problems(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Yield a problem for each difference between ``folder`` and what ``manifest`` names, sorted by path."""
    entries = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    del entries[NAME]
    for name in sorted({*entries, *manifest.files}):
        if name not in entries:
            yield _problem(name, expected="the file that the manifest names", found="none")
            continue
        mode = entries[name].lstat().st_mode
        kind = "a link" if stat.S_ISLNK(mode) else "a folder without files" if stat.S_ISDIR(mode) else "no regular file"
        if name not in manifest.files:
            kind = "a file" if stat.S_ISREG(mode) else kind
            yield _problem(name, expected="nothing but the files that the manifest names", found=kind)
        elif not stat.S_ISREG(mode):
            yield _problem(name, expected="the file that the manifest names", found=kind)
        elif sha256_of(entries[name]) != manifest.files[name]:
            yield _problem(name, expected="the SHA-256 that the manifest names", found="other bytes")
        elif name.endswith(".parquet"):
            yield from _footer_problems(entries[name], name, manifest)


def _footer_problems(path: Path, name: str, manifest: Manifest) -> Iterator[Problem]:
    """Yield a problem where the footer of a Parquet file is not that of this release and its number of rows."""
    from baekman.arrow import open_parquet

    try:
        with open_parquet(path) as file:
            rows, metadata = file.metadata.num_rows, file.schema_arrow.metadata or {}
    except DamagedFile:
        yield _problem(name, expected="a Parquet file", found="a footer that cannot be read")
        return
    if rows != manifest.rows.get(name):
        yield _problem(name, expected=f"{manifest.rows.get(name)} rows", found=str(rows))
    if metadata.get(RELEASE_KEY.encode()) != manifest.release.encode():
        yield _problem(name, expected=f"a footer of release {manifest.release}", found="another")


def _problem(name: str, *, expected: str, found: str) -> Problem:
    return Problem(file=name, expected=expected, found=found, action=AGAIN)


def later_manifests(place: Path) -> list[Path]:
    """Return the manifests in the folder ``place``, else ``place`` itself, as the path of one."""
    return sorted(place.glob(LATER)) if place.is_dir() else [place]


def _revocations(
    folder: Path, manifest: Manifest, digest: str, *, key: PublicKey, named: Sequence[Path]
) -> Iterator[Problem]:
    """Yield a problem for each later manifest that revokes the package; refuse one that ``key`` did not sign."""
    places = [folder.absolute().parent / REVOKED, *named]
    paths = [path for place in places for path in later_manifests(place)]
    for path in paths:
        if path not in named and not path.is_file():
            continue
        later, _ = open_manifest(path, key=key)
        if later.release == manifest.release and later.revokes == digest and later.number > manifest.number:
            yield Problem(
                file=NAME,
                expected="the newest manifest of the release",
                found=f"number {manifest.number}, and number {later.number} of {later.day} revokes it",
                action="delete the package and every copy of it, and ask for the next release",
            )
