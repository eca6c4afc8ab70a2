"""Secrets that must be stored: encrypted under a master key that never passes through the store (X3).

Laws:
1. The first key encrypts, every key decrypts: a rotation puts a new key in front and keeps the old one a while.
2. A secret is bound to the thing that it belongs to: sealed for one, it cannot be opened as another's.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from limpet.edges.signing import KEYS_ACTIVE_MAX, SigningKeyError, read_private_file

MASTER_KEY_VARIABLE = "LIMPET_MASTER_KEY"
KEY_BYTES, NONCE_BYTES, MARK_BYTES = 32, 12, 4  # AES-256-GCM; the mark names the key


class SealBroken(Exception):
    """The secret was sealed under a key that is not here, or for something else."""


Keys = tuple[bytes, ...]
"""By age, newest first."""


class Vault:
    """Its keys are asked for at the first secret: an engine without webhooks needs none, and may lie on a disk that is closed."""

    def __init__(self, load: Callable[[], Keys]) -> None:
        self._load = load

    @cached_property
    def keys(self) -> Keys:
        """Raises SigningKeyError."""
        return self._load()

    def seal(self, secret: bytes, owner: str) -> bytes:
        """The secret, so that only this vault can open it, and only as the owner's."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return mark_of(self.keys[0]) + nonce + AESGCM(self.keys[0]).encrypt(nonce, secret, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """The secret again. Raises SealBroken."""
        mark, nonce = sealed[:MARK_BYTES], sealed[MARK_BYTES : MARK_BYTES + NONCE_BYTES]
        for key in self.keys:
            if mark_of(key) == mark and len(nonce) == NONCE_BYTES:
                try:
                    return AESGCM(key).decrypt(nonce, sealed[MARK_BYTES + NONCE_BYTES :], owner.encode())
                except InvalidTag:
                    break
        raise SealBroken("a stored secret cannot be opened: the engine's master key is not the one that it was sealed under")


def mark_of(key: bytes) -> bytes:
    """What tells a key from others, and nothing about it."""
    return sha256(b"limpet master key" + key).digest()[:MARK_BYTES]


def new_vault() -> Vault:
    """A vault with one fresh key that lives as long as the process."""
    keys = (secrets.token_bytes(KEY_BYTES),)
    return Vault(lambda: keys)


def vault_at(path: Path) -> Vault:
    """The vault of an engine whose keys lie there."""
    return Vault(lambda: load_keys(path))


def load_keys(path: Path, environment: Mapping[str, str] = os.environ) -> Keys:
    """The keys of the environment variable, else of the file, which the first use creates.

    Both hold one or two keys of 32 bytes in base64, a line each, the one that encrypts first. Raises SigningKeyError.
    """
    text = environment.get(MASTER_KEY_VARIABLE, "")
    if text.strip():
        return parse_keys(text.encode(), f"the variable {MASTER_KEY_VARIABLE}")
    if not path.exists():
        try:
            create_key_file(path)
        except OSError as error:
            raise SigningKeyError(
                f"the master key {path} cannot be made ({error.strerror}): make it with `openssl rand -base64 32`, readable by "
                f"the engine alone, or set {MASTER_KEY_VARIABLE}"
            ) from error
    return parse_keys(read_private_file(path), f"the file {path}")


def parse_keys(text: bytes, source: str) -> Keys:
    """One or two keys."""
    lines = text.split()
    try:
        keys = tuple(base64.b64decode(line, validate=True) for line in lines)
    except binascii.Error:
        keys = ()
    if not 1 <= len(keys) <= KEYS_ACTIVE_MAX or any(len(key) != KEY_BYTES for key in keys):
        raise SigningKeyError(
            f"{source} must hold one or {KEYS_ACTIVE_MAX} master keys of {KEY_BYTES} bytes in base64, a line each: "
            "make one with `openssl rand -base64 32`"
        )
    return keys


def create_key_file(path: Path) -> None:
    """Write a fresh key; when two processes do so at once, both go on with the file that was there first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".master-key-", dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        os.unlink(name)
