"""Secrets at rest: sealed for one owner, under keys that can be replaced (X3)."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from limpet.edges.signing import SigningKeyError
from limpet.edges.vault import MASTER_KEY_VARIABLE, SealBroken, Vault, load_keys, new_vault, vault_at


def test_X3_a_secret_opens_for_its_owner_alone_and_shows_nothing() -> None:
    vault = new_vault()
    sealed = vault.seal(b"secret", "one")
    assert b"secret" not in sealed
    assert sealed != vault.seal(b"secret", "one")
    assert vault.open(sealed, "one") == b"secret"
    for broken, owner in ((sealed, "two"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), "one"), (b"", "one"), (sealed[:10], "one")):
        with pytest.raises(SealBroken):
            vault.open(broken, owner)
    with pytest.raises(SealBroken):
        new_vault().open(sealed, "one")
    assert vault.keys[0].hex() not in repr(vault)


def test_X3_a_rotated_key_opens_what_the_old_one_sealed() -> None:
    old, new = new_vault(), new_vault()
    both = Vault(lambda: (*new.keys, *old.keys))
    assert both.open(old.seal(b"x", "o"), "o") == b"x"
    assert new.open(both.seal(b"x", "o"), "o") == b"x"


def test_X3_the_key_comes_from_a_private_file_that_the_first_use_makes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.master-key"
    vault = vault_at(path)
    assert not path.exists(), "an engine without webhooks needs no key"
    sealed = vault.seal(b"x", "o")
    assert vault_at(path).open(sealed, "o") == b"x"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o644)
    with pytest.raises(SigningKeyError, match="0644"):
        load_keys(path, {})
    with pytest.raises(SigningKeyError, match="openssl rand"):
        load_keys(Path("/proc/none/key"), {})


def test_X3_the_variable_counts_before_the_file(tmp_path: Path) -> None:
    keys = [base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
    found = load_keys(tmp_path / "none", {MASTER_KEY_VARIABLE: " \n".join(keys)})
    assert found == (b"\x01" * 32, b"\x02" * 32)
    assert not (tmp_path / "none").exists()
    for text in ("short", "!", " ".join(keys * 2), base64.b64encode(b"x" * 31).decode()):
        with pytest.raises(SigningKeyError, match="openssl rand"):
            load_keys(tmp_path / "none", {MASTER_KEY_VARIABLE: text})
