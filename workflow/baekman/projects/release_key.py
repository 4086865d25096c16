"""The key of a workspace that signs the manifests of its releases: ``projects/release.key`` and ``release.pub``."""

from __future__ import annotations

import hashlib
from pathlib import Path

from baekman import audit
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import write_text
from baekman.files.locks import exclusive
from baekman.projects.signing import PublicKey, SigningKey
from baekman.workspace.paths import Workspace

PRIVATE = "release.key"
PUBLIC = "release.pub"
ACTION = "project.key.release"


def public_file(workspace: Path) -> Path:
    """Return the path of the public part, which recipients of a release need."""
    return Workspace(workspace).projects / PUBLIC


def release_key(workspace: Path) -> SigningKey:
    """Return the key that signs the releases of ``workspace``; it is made at the first call.

    Raises:
        InputRefused: The private part is lost, damaged or readable by others, or is not that of ``release.pub``.
    """
    folder = Workspace(workspace).projects
    private, public = folder / PRIVATE, public_file(workspace)
    with exclusive(folder / ".lock", waits_for="another command that makes the key of releases"):
        if not private.exists():
            if public.exists():
                raise InputRefused(
                    Problem(
                        file=PRIVATE,
                        expected="the key of the releases of this workspace",
                        found="none",
                        action="restore it from a back-up; if it is lost, move release.pub away and publish a new one",
                    )
                )
            made = SigningKey.new()
            audit.record(workspace, action=ACTION, object=made.public.id[:16], input_hash=_digest(made.public))
            made.write(private)
        key = SigningKey.read(private, named=PRIVATE)
        if not public.exists():
            write_text(public, key.public.pem)
        elif PublicKey.read(public, named=PUBLIC) != key.public:
            raise InputRefused(
                Problem(
                    file=PUBLIC, expected=f"the public part of {PRIVATE}", found="another key", action="restore both"
                )
            )
    return key


def _digest(public: PublicKey) -> str:
    return hashlib.sha256(public.pem.encode()).hexdigest()
