"""Encrypted deliveries: the plaintext comes out, and a container that was tampered with is noticed."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import crypt4gh.keys
import crypt4gh.lib
import pytest
from baekman.errors import InputRefused
from baekman.files.untrusted import FileFault
from baekman.intake.contents import examine
from baekman.intake.crypt4gh import CIPHER_SEGMENT, RecipientKey, plaintext, recipient_key
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.manifest import ManifestRow
from crypt4gh.keys.c4gh import generate


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    generate(str(folder / "key.sec"), str(folder / "key.pub"), b"", None)
    (folder / "key.sec").chmod(0o600)
    return folder / "key.sec"


@pytest.fixture(scope="module")
def key(key_file: Path) -> RecipientKey:
    key = recipient_key(key_file)
    assert key is not None
    return key


def encrypted(content: bytes, key_file: Path) -> bytes:
    public = crypt4gh.keys.get_public_key(str(key_file.with_suffix(".pub")))
    sender = os.urandom(32)
    out = io.BytesIO()
    crypt4gh.lib.encrypt([(0, sender, public)], io.BytesIO(content), out)
    return out.getvalue()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
def test_the_plaintext_comes_out(key_file: Path, key: RecipientKey, size: int) -> None:
    content = os.urandom(size)
    assert b"".join(plaintext(io.BytesIO(encrypted(content, key_file)), key)) == content


def test_another_key_opens_nothing(key_file: Path) -> None:
    with pytest.raises(FileFault) as fault:
        list(plaintext(io.BytesIO(encrypted(b"x", key_file)), RecipientKey(os.urandom(32))))
    assert fault.value.code == "decryption_failed"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"crypt4gh",
        b"crypt4gh" + (1).to_bytes(4, "little") + (2**32 - 1).to_bytes(4, "little"),
        b"crypt4gh" + (1).to_bytes(4, "little") + (1).to_bytes(4, "little") + (2**32 - 1).to_bytes(4, "little"),
        b"crypt4gh" + (1).to_bytes(4, "little") + (0).to_bytes(4, "little"),
        os.urandom(200),
    ],
)
def test_a_hostile_header_is_refused(key: RecipientKey, header: bytes) -> None:
    with pytest.raises(FileFault) as fault:
        list(plaintext(io.BytesIO(header), key))
    assert fault.value.code == "decryption_failed"


def delivered(folder: Path, container: bytes, content: bytes, key: RecipientKey) -> DeliveredFile:
    (folder / "reads.fastq.c4gh").write_bytes(container)
    row = ManifestRow(
        row=2,
        barcode="A",
        file="reads.fastq.c4gh",
        kind="fastq_1",
        read_group="",
        sha256=hashlib.sha256(content).hexdigest(),
        md5="",
        size=len(content),
    )
    return DeliveredFile(folder=folder, row=row, key=key)


READS = "".join(f"@r{number:09d}\nACGT\n+\nFFFF\n" for number in range(10_000)).encode()


def segments(container: bytes) -> tuple[bytes, list[bytes]]:
    """Return header and cipher segments; the header of one recipient is 124 bytes long."""
    body = container[124:]
    return container[:124], [body[start : start + CIPHER_SEGMENT] for start in range(0, len(body), CIPHER_SEGMENT)]


@pytest.mark.parametrize("tampering", ["none", "removed", "swapped", "repeated", "flipped", "last cut off"])
def test_tampering_that_the_format_allows_is_found_by_the_checksum(
    tmp_path: Path, key_file: Path, key: RecipientKey, tampering: str
) -> None:
    container = encrypted(READS, key_file)
    header, parts = segments(container)
    assert len(parts) == 4
    flipped = parts[1][:50] + bytes([parts[1][50] ^ 1]) + parts[1][51:]
    changed = {
        "none": parts,
        "removed": [parts[0], parts[2], parts[3]],
        "swapped": [parts[0], parts[2], parts[1], parts[3]],
        "repeated": [parts[0], parts[1], parts[1], parts[2], parts[3]],
        "flipped": [parts[0], flipped, parts[2], parts[3]],
        "last cut off": parts[:3],
    }[tampering]
    file = delivered(tmp_path, header + b"".join(changed), READS, key)
    codes = {code for code, _ in examine(file, reference=tmp_path, registered=[], barcode="A").faults}
    if tampering == "none":
        assert codes == set()
    elif tampering == "flipped":
        assert codes == {"decryption_failed"}
    else:
        assert "checksum_wrong" in codes


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, key_file: Path) -> None:
    loose = tmp_path / "loose.sec"
    loose.write_bytes(key_file.read_bytes())
    loose.chmod(0o644)
    with pytest.raises(InputRefused) as refused:
        recipient_key(loose)
    assert str(refused.value) == (
        "Crypt4GH key: expected a file that its owner alone may read, found 0o644; chmod 600 it"
    )


def test_no_key_is_shown(tmp_path: Path, key: RecipientKey) -> None:
    assert key.secret.hex() not in repr(key) and repr(key.secret) not in repr(key)
    garbage = tmp_path / "garbage"
    garbage.write_text("SECRET-KEY-MATERIAL")
    garbage.chmod(0o600)
    with pytest.raises(InputRefused) as refused:
        recipient_key(garbage)
    assert "SECRET" not in str(refused.value)


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, key_file: Path) -> None:
    monkeypatch.delenv("BAEKMAN_CRYPT4GH_KEY", raising=False)
    assert recipient_key() is None
    monkeypatch.setenv("BAEKMAN_CRYPT4GH_KEY", str(key_file))
    assert recipient_key() == recipient_key(key_file)
