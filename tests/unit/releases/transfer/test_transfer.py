"""A transfer: only its recipient can read it, and everybody can check that it is as it was signed."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import crypt4gh.keys
import crypt4gh.lib
import pyarrow.parquet as pq
import pytest
from baekman.cli.release import app
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.intake.crypt4gh import RecipientKey
from baekman.projects.release_key import public_file, release_key
from baekman.releases.home import ReleaseHome
from baekman.releases.package import build as build_module
from baekman.releases.package import contents
from baekman.releases.package.build import build_release
from baekman.releases.package.manifest import NAME, Manifest, digests_of_package, open_manifest, seal
from baekman.releases.package.revocation import revoke_release, statuses
from baekman.releases.package.standing import open_release
from baekman.releases.package.verify import verify_package
from baekman.releases.transfer import encryption
from support.small_release import SmallRelease, small_release
from support.transfers import IN_CLEAR, decrypted, make_keys, recipient, secret
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("recipient", "stranger"):
        make_keys(folder / name)
    return folder / "recipient"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return small_release(tmp_path_factory.mktemp("release"), people=12)


@pytest.fixture(scope="module")
def approved(small: SmallRelease, key_file: Path) -> ReleaseHome:
    return small.approve(small.propose(tier="transfer", recipient=recipient(key_file)))


@pytest.fixture(scope="module")
def copy(small: SmallRelease, approved: ReleaseHome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package of the approved transfer."""
    place = tmp_path_factory.mktemp("copy") / "package"
    build(small, approved).rename(place)
    return place


@pytest.fixture
def home(approved: ReleaseHome) -> Iterator[ReleaseHome]:
    """Yield the approved transfer without a package."""
    yield approved
    shutil.rmtree(approved.package, ignore_errors=True)


def build(small: SmallRelease, home: ReleaseHome, *, workers: int = 1) -> Path:
    return build_release(small.workspace, home.id, registry=small.registry, engine=Engine(workers=workers))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def manifest_of(small: SmallRelease, package: Path) -> Manifest:
    return open_manifest(package / NAME, key=release_key(small.workspace).public)[0]


def refusal(small: SmallRelease, package: Path, **options: Any) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        verify_package(package, key=release_key(small.workspace).public, **options)
    return [str(problem) for problem in refused.value.problems]


def test_everything_but_the_documents_is_encrypted_and_holds_the_rows_of_the_room(
    small: SmallRelease, copy: Path, key_file: Path
) -> None:
    names = set(files(copy))
    assert names >= IN_CLEAR and all(name.endswith(".c4gh") for name in names - IN_CLEAR)
    room = build(small, small.approve(small.propose()))
    plain = decrypted(copy, key_file)
    assert set(plain) == {*files(room)} - IN_CLEAR and len(plain) >= 5
    for name, data in plain.items():
        table = pq.read_table(io.BytesIO(data)).replace_schema_metadata(None)
        assert table == pq.read_table(room / name).replace_schema_metadata(None)
        assert all(data[start : start + 16] not in files(copy)[f"{name}.c4gh"] for start in range(0, len(data), 997))
    manifest = manifest_of(small, copy)
    assert manifest.plain == {name: hashlib.sha256(data).hexdigest() for name, data in plain.items()}
    assert manifest.files == digests_of_package(copy) and manifest.facts["recipient"]["name"] == "Prof. Hong"


def test_a_transfer_has_a_decision_of_its_own_over_the_key(
    small: SmallRelease, approved: ReleaseHome, key_file: Path
) -> None:
    small.approve(small.propose(codes=["KCD8/E119"]))  # the room
    asked = {"tier": "transfer", "codes": ["KCD8/E119"]}
    first = small.propose(**asked, recipient=recipient(key_file))
    other = small.propose(**asked, recipient=recipient(key_file.with_name("stranger")))
    for home in (first, other):
        with pytest.raises(InputRefused, match="expected an approval of this plan by irb"):
            build(small, home)
    assert first.read_plan().hash != other.read_plan().hash
    fingerprint = hashlib.sha256(crypt4gh.keys.get_public_key(str(key_file.with_suffix(".pub")))).hexdigest()
    assert fingerprint in first.plan.read_text() and fingerprint in first.review.read_text()
    assert "Prof. Hong" in first.review.read_text() and "BEGIN CRYPT4GH" not in other.review.read_text()
    before, now = first.read_plan().recipient_key, other.read_plan().recipient_key
    assert f"Prof. Hong ({before})" in other.review.read_text() and f"Prof. Hong ({now})" in other.review.read_text()


def test_the_package_is_verified_without_the_private_key_and_with_it(
    small: SmallRelease, copy: Path, key_file: Path
) -> None:
    signed = ["verify", str(copy), "--key", str(public_file(small.workspace))]
    short = manifest_of(small, copy).recipient_key[:16]
    count = len(manifest_of(small, copy).plain)
    done = CliRunner().invoke(app, signed)
    assert done.exit_code == 0 and done.output.endswith(f"; {count} encrypted to key {short}, not decrypted\n")
    done = CliRunner().invoke(app, [*signed, "--recipient-key", str(key_file)])
    assert done.exit_code == 0
    assert done.output.endswith(f"; {count} encrypted to key {short}, decrypted and compared too\n")
    stranger = RecipientKey(secret(key_file.with_name("stranger")))
    assert refusal(small, copy, recipient=stranger) == [
        f"--recipient-key: expected the private part of the recipient's key {short}, found another key; take the key "
        "of the pair that the request names"
    ]


def test_plain_bytes_that_differ_are_refused_with_the_private_key(
    small: SmallRelease, copy: Path, key_file: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    shutil.copytree(copy, package)
    key, name = RecipientKey(secret(key_file)), "participants.parquet"
    manifest = manifest_of(small, copy)

    def sign(**changes: Any) -> None:
        changed = replace(manifest, **{"files": digests_of_package(package), **changes})
        (package / NAME).write_bytes(seal(changed, key=release_key(small.workspace)))

    sign(plain={**manifest.plain, name: "0" * 64})
    assert refusal(small, package, recipient=key) == [
        f"{name}.c4gh: expected the SHA-256 of the plain bytes that the manifest names, found other bytes; "
        "ask for the package again"
    ]
    with (package / f"{name}.c4gh").open("wb") as output:  # to another key than that of the manifest
        public = crypt4gh.keys.get_public_key(str(key_file.with_name("stranger.pub")))
        crypt4gh.lib.encrypt([(0, os.urandom(32), public)], io.BytesIO(b"x"), output)
    sign()
    assert refusal(small, package, recipient=key) == [
        f"{name}.c4gh: expected a file that the recipient's key opens, found a header that the recipient key does not "
        "open; ask for the package again"
    ]
    verify_package(package, key=release_key(small.workspace).public)  # nobody else can know
    sign(plain={}, facts={"tier": "room"})
    assert refusal(small, package, recipient=key) == [
        "--recipient-key: expected a package of the tier transfer, found a package of the tier room, which is not "
        "encrypted; leave --recipient-key out"
    ]
    sign(plain={"absent.parquet": "0" * 64})
    assert refusal(small, package)[0].startswith(f"{NAME}: expected the manifest of a package")


def test_an_id_in_the_plain_bytes_is_found_before_anything_is_encrypted(
    small: SmallRelease, home: ReleaseHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = contents._write_documents

    def with_id(made: contents.Contents, folder: contents.PackageFolder) -> None:
        write(made, folder)
        (folder.content / "records" / "note.txt").write_text(f"see {small.participants[-1]}")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a package with an ID of ours was encrypted")

    monkeypatch.setattr(contents, "_write_documents", with_id)
    monkeypatch.setattr(contents, "encrypt_files", never)
    with pytest.raises(InputRefused, match=r"records/note.txt: .*expected no ID of this workspace"):
        build(small, home)
    assert not home.package.exists() and not list(home.path.glob(".package.*"))


def test_a_kill_leaves_no_package_and_the_same_command_gives_the_same_plain_bytes_with_any_number_of_workers(
    small: SmallRelease, home: ReleaseHome, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt = encryption.EncryptionTasks.__call__

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def killed_third(self: encryption.EncryptionTasks, index: int) -> str:
        return encrypt(self, index) if index < 2 else str(killed())

    points: list[tuple[object, str, object]] = [
        (encryption.EncryptionTasks, "__call__", killed_third),
        (build_module, "fsync_folder", killed),  # after the rename, with the plain files still there
    ]
    for owner, name, function in points:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, function)
            build(small, home)
        (work,) = home.path.glob(".package.*")
        assert work.stat().st_mode & 0o777 == 0o700
        assert home.package.exists() == (name == "fsync_folder")
        for folder in (work / "content" / "records", work / "sealed"):  # of a write that SIGKILL ended
            if folder.is_dir():
                (folder / ".00.parquet.0123.tmp").write_bytes(b"half")
    package = build(small, home, workers=2)
    before, now = manifest_of(small, copy), manifest_of(small, package)
    assert (now.plain, now.rows, now.facts) == (before.plain, before.rows, before.facts)
    assert set(now.files) == set(before.files) and set(files(package)) == set(files(copy))
    assert {name for name in now.files if now.files[name] == before.files[name]} == {"README.md", "dictionary.tsv"}
    assert not list(home.path.glob(".package.*")) and not list(home.path.rglob("*.parquet"))
    shutil.rmtree(package)
    assert manifest_of(small, build(small, home, workers=2)).plain == before.plain


def test_no_room_opens_a_transfer_and_who_received_a_revoked_one_must_delete_it(
    small: SmallRelease, home: ReleaseHome, copy: Path
) -> None:
    shutil.copytree(copy, home.package)
    with pytest.raises(InputRefused, match="found a transfer, which its recipient alone can decrypt; propose the re"):
        open_release(small.workspace, home.id, registry=small.registry)
    revoke_release(small.workspace, home.id, registry=small.registry, reason="an institution corrected its records")
    (status,) = statuses(small.workspace, release=home.id)
    assert {"name": "Prof. Hong", "institution": ""} in status["delete"] and len(status["delete"]) >= 2
    done = CliRunner().invoke(app, ["status", home.id, "--workspace", str(small.workspace)])
    assert "  every copy must be deleted by Prof. Hong\n" in done.output
