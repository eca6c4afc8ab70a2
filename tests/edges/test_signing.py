"""The signing key: where it comes from, who may read it, how it is changed."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from limpet.edges.signing import (
    KEY_VARIABLE,
    SigningKeyError,
    create_key_file,
    load_key_ring,
    new_key_ring,
    pem_of,
    rotate_key_file,
)


def test_X3_the_first_use_creates_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "signing.key"
    ring = load_key_ring(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["signing.key"]
    assert load_key_ring(path, {}).key_id == ring.key_id


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o700])
def test_X3_looser_permissions_are_refused_with_the_command_that_mends_them(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "signing.key"
    create_key_file(path)
    path.chmod(mode)
    with pytest.raises(SigningKeyError, match="chmod 600"):
        load_key_ring(path, {})


def test_X3_the_environment_comes_first_and_touches_no_file(tmp_path: Path) -> None:
    ring = new_key_ring()
    path = tmp_path / "signing.key"
    assert load_key_ring(path, {KEY_VARIABLE: pem_of(ring.signing).decode()}).key_id == ring.key_id
    assert not path.exists()


def test_X3_two_keys_may_be_active_and_the_first_one_signs(tmp_path: Path) -> None:
    new, old = new_key_ring(), new_key_ring()
    ring = load_key_ring(tmp_path / "none", {KEY_VARIABLE: (pem_of(new.signing) + pem_of(old.signing)).decode()})
    assert ring.key_id == new.key_id
    assert set(ring.verifying()) == {new.key_id, old.key_id}


def test_X3_a_rotation_keeps_the_key_before_and_drops_the_one_before_that(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    first = load_key_ring(path, {}).key_id
    second = rotate_key_file(path).key_id
    third = rotate_key_file(path)
    assert list(third.verifying()) == [third.key_id, second]
    assert first not in load_key_ring(path, {}).verifying()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_was_there_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    create_key_file(path)
    before = path.read_bytes()
    create_key_file(path)
    assert path.read_bytes() == before


def unusable() -> dict[str, str]:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret = serialization.BestAvailableEncryption(b"secret")
    locked = new_key_ring().signing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    three = b"".join(pem_of(new_key_ring().signing) for _ in range(3))
    return {"words": "my key", "another kind": pem.decode(), "a password": locked.decode(), "three keys": three.decode()}


@pytest.mark.parametrize("text", unusable().values(), ids=unusable().keys())
def test_an_unusable_key_is_refused_with_a_sentence_that_names_its_source(tmp_path: Path, text: str) -> None:
    with pytest.raises(SigningKeyError, match=KEY_VARIABLE):
        load_key_ring(tmp_path / "none", {KEY_VARIABLE: text})


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError, match=str(tmp_path)):
        load_key_ring(tmp_path, {})


def test_the_key_never_shows_in_a_repr() -> None:
    assert "Ed25519" not in repr(new_key_ring())


def test_a_key_of_openssl_is_read(tmp_path: Path) -> None:
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, text=True, check=True)
    assert load_key_ring(tmp_path / "none", {KEY_VARIABLE: made.stdout}).key_id
