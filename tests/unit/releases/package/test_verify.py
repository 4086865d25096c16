"""Law 5 of releases: the manifest names every byte of a package and nothing else is there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from baekman.arrow import with_metadata, write_parquet
from baekman.errors import InputRefused
from baekman.projects.signing import PublicKey, SigningKey
from baekman.releases.package.manifest import NAME, Manifest, digests_of_package, open_manifest, seal
from baekman.releases.package.verify import RELEASE_KEY, REVOKED, verify_package

RELEASE, OTHER = "R000000000001K", "R000000000002N"
AGAIN = "ask for the package again"


@pytest.fixture(scope="module")
def signer() -> SigningKey:
    return SigningKey.new()


@pytest.fixture
def package(tmp_path: Path, signer: SigningKey) -> Path:
    folder = tmp_path / "package"
    (folder / "records").mkdir(parents=True)
    (folder / "README.md").write_text("# A package\n")
    schema = with_metadata(pa.schema([("project_id", pa.string())]), {RELEASE_KEY: RELEASE})
    for name in ("participants.parquet", "records/0a.parquet"):
        write_parquet(pa.table({"project_id": ["X1", "X2"]}, schema=schema), folder / name)
    rows = {"participants.parquet": 2, "records/0a.parquet": 2}
    manifest = Manifest(release=RELEASE, files=digests_of_package(folder), rows=rows, facts={"tier": "room"})
    (folder / NAME).write_bytes(seal(manifest, key=signer))
    return folder


def refusal(package: Path, key: PublicKey, revoked: tuple[Path, ...] = ()) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        verify_package(package, key=key, revoked=revoked)
    return [str(problem) for problem in refused.value.problems]


def test_a_whole_package_is_verified_with_the_public_key_alone(package: Path, signer: SigningKey) -> None:
    verified = verify_package(package, key=signer.public)
    assert verified.line() == (
        f"verified: release {RELEASE}, 3 files, 2 of them Parquet with 4 rows; signed by key {signer.public.id[:16]}"
    )


def flip(package: Path) -> None:
    path = package / "records/0a.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rename(package: Path) -> None:
    (package / "records/0a.parquet").rename(package / "records/0b.parquet")


def link(package: Path) -> None:
    (package / "README.md").rename(package.parent / "README.md")
    (package / "README.md").symlink_to(package.parent / "README.md")


def link_of_folder(package: Path) -> None:
    (package / "records").rename(package.parent / "records")
    (package / "records").symlink_to(package.parent / "records")


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "flipped": (flip, ["records/0a.parquet: expected the SHA-256 that the manifest names, found other bytes"]),
    "added": (
        lambda package: (package / "notes.txt").write_text("x"),
        ["notes.txt: expected nothing but the files that the manifest names, found a file"],
    ),
    "renamed": (
        rename,
        [
            "records/0a.parquet: expected the file that the manifest names, found none",
            "records/0b.parquet: expected nothing but the files that the manifest names, found a file",
        ],
    ),
    "dropped": (
        lambda package: (package / "README.md").unlink(),
        ["README.md: expected the file that the manifest names, found none"],
    ),
    "link": (link, ["README.md: expected the file that the manifest names, found a link"]),
    "link of a folder": (
        link_of_folder,
        [
            "records: expected nothing but the files that the manifest names, found a link",
            "records/0a.parquet: expected the file that the manifest names, found none",
        ],
    ),
    "added link": (
        lambda package: (package / "x").symlink_to("README.md"),
        ["x: expected nothing but the files that the manifest names, found a link"],
    ),
    "folder": (
        lambda package: (package / "variants").mkdir(),
        ["variants: expected nothing but the files that the manifest names, found a folder without files"],
    ),
    "pipe": (
        lambda package: __import__("os").mkfifo(package / "pipe"),
        ["pipe: expected nothing but the files that the manifest names, found no regular file"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_package_is_refused(package: Path, signer: SigningKey, change: str) -> None:
    edit, lines = CHANGES[change]
    edit(package)
    assert refusal(package, signer.public) == [f"{line}; {AGAIN}" for line in lines]


def test_the_key_of_somebody_else_is_refused(package: Path) -> None:
    assert refusal(package, SigningKey.new().public) == [
        f"{NAME}: expected a signature by a known key, found one by another key; give the key that signed it"
    ]


def edited(envelope: dict[str, Any], **changes: Any) -> bytes:
    return (json.dumps({**envelope, **changes}, sort_keys=True, separators=(",", ":")) + "\n").encode()


def test_an_edited_envelope_is_refused(package: Path, signer: SigningKey) -> None:
    path = package / NAME
    whole = path.read_bytes()
    envelope = json.loads(whole)
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["predicate"]["tier"] = "open"
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    changed = edited(envelope, payload=base64.b64encode(text.encode()).decode())
    path.write_bytes(changed)
    assert refusal(package, signer.public) == [
        f"{NAME}: expected the content that was signed, found another: it was changed; get it again"
    ]
    for data in (whole + b"\n", whole[:-2], edited(envelope, note="x"), json.dumps(envelope).encode()):
        path.write_bytes(data)
        assert refusal(package, signer.public) == [
            f"{NAME}: expected a signed envelope (DSSE) in canonical JSON, found something else; get it again"
        ]
    path.unlink()
    assert refusal(package, signer.public) == [f"{NAME}: expected the signed manifest, found no file; {AGAIN}"]


def test_no_byte_of_an_envelope_can_change(package: Path, signer: SigningKey) -> None:
    path = package / NAME
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputRefused):
            open_manifest(path, key=signer.public)


def test_a_footer_of_another_release_or_number_of_rows_is_refused(package: Path, signer: SigningKey) -> None:
    manifest, _ = open_manifest(package / NAME, key=signer.public)
    wrong = replace(manifest, rows={**manifest.rows, "records/0a.parquet": 3})
    (package / NAME).write_bytes(seal(wrong, key=signer))
    assert refusal(package, signer.public) == [f"records/0a.parquet: expected 3 rows, found 2; {AGAIN}"]
    (package / NAME).write_bytes(seal(replace(manifest, release=OTHER), key=signer))
    words = f"expected a footer of release {OTHER}, found another; {AGAIN}"
    assert refusal(package, signer.public) == [f"participants.parquet: {words}", f"records/0a.parquet: {words}"]
    (package / "README.md").rename(package / "notes.parquet")
    named = replace(manifest, files=digests_of_package(package))
    (package / NAME).write_bytes(seal(named, key=signer))
    assert refusal(package, signer.public) == [
        f"notes.parquet: expected a Parquet file, found a footer that cannot be read; {AGAIN}"
    ]


def test_a_package_that_a_later_manifest_revokes_is_refused(package: Path, signer: SigningKey) -> None:
    _, digest = open_manifest(package / NAME, key=signer.public)
    later = Manifest(release=RELEASE, number=2, revokes=digest, day="2026-11-30", reason="withdrawal")
    words = (
        f"{NAME}: expected the newest manifest of the release, found number 1, and number 2 of 2026-11-30 revokes it; "
        "delete the package and every copy of it, and ask for the next release"
    )
    elsewhere = package.parent / "mail" / "2026-11-30-2.dsse.json"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(seal(later, key=signer))
    assert refusal(package, signer.public, (elsewhere,)) == [words]
    assert refusal(package, signer.public, (elsewhere.parent,)) == [words]
    # those of another package and of another release say nothing of this one
    (package.parent / REVOKED).mkdir()
    for number, other in enumerate((replace(later, revokes="0" * 64), replace(later, release=OTHER))):
        (package.parent / REVOKED / f"{number}.dsse.json").write_bytes(seal(other, key=signer))
    verify_package(package, key=signer.public)
    beside = package.parent / REVOKED / elsewhere.name
    elsewhere.rename(beside)
    assert refusal(package, signer.public) == [words]
    (package / NAME).write_bytes(beside.read_bytes())
    assert refusal(package, signer.public) == [
        f"{NAME}: expected the manifest of a package, found a revocation; {AGAIN}"
    ]


def test_a_later_manifest_of_another_key_is_refused(package: Path, signer: SigningKey) -> None:
    forged = package.parent / REVOKED / "2026-11-30-2.dsse.json"
    forged.parent.mkdir()
    later = Manifest(release=RELEASE, number=2, revokes="0" * 64, day="2026-11-30", reason="withdrawal")
    forged.write_bytes(seal(later, key=SigningKey.new()))
    assert "expected a signature by a known key, found one by another key" in refusal(package, signer.public)[0]


def test_names_that_leave_the_package_are_no_manifest() -> None:
    for name in ("../x", "/x", "a/../x", "./x", ""):
        statement = Manifest(release=RELEASE, files={name: "0" * 64}).statement()
        with pytest.raises(ValueError, match="no paths in a package"):
            Manifest.from_statement(statement)
