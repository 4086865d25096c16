"""A signed envelope holds exactly what was signed, as what it was signed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.projects.signing import DECISION_TYPE, IN_TOTO_TYPE, PublicKey, SigningKey, sign, verify

STATEMENT = {"project": "J", "verdict": "approve", "reason": "근거가 충분함"}


def test_a_statement_is_read_back_with_its_signer(tmp_path: Path) -> None:
    key = SigningKey.new()
    assert key.write(tmp_path / "key") and not key.write(tmp_path / "key")
    envelope = sign(STATEMENT, payload_type=DECISION_TYPE, key=SigningKey.read(tmp_path / "key"))
    (tmp_path / "pub").write_text(key.public.pem)
    signed = verify(envelope, payload_type=DECISION_TYPE, keys=[PublicKey.read(tmp_path / "pub")])
    assert (signed.statement, signed.key_id) == (STATEMENT, key.public.id)
    assert key.private_bytes.decode() not in repr(key)


def test_any_change_of_a_byte_is_refused() -> None:
    key = SigningKey.new()
    envelope = sign({"a": 1}, payload_type=DECISION_TYPE, key=key)
    changed = [envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :] for at in range(len(envelope))]
    spaced = json.dumps(json.loads(envelope)).encode()
    for other in [*changed, envelope[:-1], envelope + b"\n", spaced, b"", b"[]\n", b"{}\n"]:
        with pytest.raises(InputRefused):
            verify(other, payload_type=DECISION_TYPE, keys=[key.public])


def test_a_signature_of_another_type_or_key_is_refused() -> None:
    key, other = SigningKey.new(), SigningKey.new()
    envelope = sign(STATEMENT, payload_type=DECISION_TYPE, key=key)
    with pytest.raises(InputRefused, match="expected an envelope of the type application"):
        verify(envelope, payload_type=IN_TOTO_TYPE, keys=[key.public])
    retyped = envelope.replace(DECISION_TYPE.encode(), IN_TOTO_TYPE.encode())
    with pytest.raises(InputRefused, match="expected the content that was signed"):
        verify(retyped, payload_type=IN_TOTO_TYPE, keys=[key.public])
    with pytest.raises(InputRefused, match="expected a signature by a known key, found one by another key"):
        verify(envelope, payload_type=DECISION_TYPE, keys=[other.public])
    renamed = envelope.replace(key.public.id.encode(), other.public.id.encode())
    with pytest.raises(InputRefused, match="expected the content that was signed"):
        verify(renamed, payload_type=DECISION_TYPE, keys=[key.public, other.public])


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (None, 0o600, "--key: expected a file with a private key, found none"),
        (b"x", 0o600, "--key: expected an Ed25519 key in PEM .PKCS #8., not encrypted, found something else"),
        (b"x", 0o640, "--key: expected a file that only its owner can read .mode 0600., found mode 0640"),
    ],
)
def test_a_file_that_is_no_key(content: bytes | None, mode: int, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
        (tmp_path / "key").chmod(mode)
    with pytest.raises(InputRefused, match=message):
        SigningKey.read(tmp_path / "key")
