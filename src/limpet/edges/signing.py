"""The keys that API tokens are signed with: Ed25519, from the environment or from a file only its owner can read (X3).

Laws:
1. The first key signs, every key verifies: a rotation puts a new key in front and keeps the old one a while.
2. A key never passes through the store, and never through a file that others can read.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_VARIABLE = "LIMPET_SIGNING_KEY"
KEYS_ACTIVE_MAX = 2  # the one in use and the one before it (X3)
KEY_ID_LENGTH = 16  # hex digits of the public key's digest: 64 bits, names two keys without doubt
PRIVATE_MODE = 0o600
PEM_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----\s*", re.DOTALL)


class SigningKeyError(Exception):
    """The signing key cannot be used; the sentence names the file or variable and the mending step."""


@dataclass(frozen=True)
class KeyRing:
    """Keys by age, newest first. `signing` and `key_id` make tokens, `verifying` reads them."""

    keys: tuple[Ed25519PrivateKey, ...] = field(repr=False)

    @property
    def signing(self) -> Ed25519PrivateKey:
        return self.keys[0]

    @property
    def key_id(self) -> str:
        return key_id_of(self.signing.public_key())

    def verifying(self) -> dict[str, Ed25519PublicKey]:
        """Public keys by the `kid` that a token's header names."""
        return {key_id_of(key.public_key()): key.public_key() for key in self.keys}


def key_id_of(key: Ed25519PublicKey) -> str:
    """The `kid` of a key: the start of its public half's digest, so it needs no bookkeeping."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return sha256(raw).hexdigest()[:KEY_ID_LENGTH]


def new_key_ring() -> KeyRing:
    """A ring with one fresh key that lives as long as the process."""
    return KeyRing((Ed25519PrivateKey.generate(),))


def load_key_ring(path: Path, environment: Mapping[str, str] = os.environ) -> KeyRing:
    """The keys of the environment variable, else of the file, which the first use creates.

    The variable and the file hold one or two PEM blocks, the signing one first. Raises SigningKeyError.
    """
    pem = environment.get(KEY_VARIABLE, "")
    if pem.strip():
        return parse_keys(pem.encode(), f"the variable {KEY_VARIABLE}")
    if not path.exists():
        create_key_file(path)
    return parse_keys(read_private_file(path), f"the file {path}")


def rotate_key_file(path: Path) -> KeyRing:
    """Put a fresh key in front of the file's; tokens of the one before stay valid until the next rotation."""
    kept = load_key_ring(path, {}).keys[: KEYS_ACTIVE_MAX - 1]
    ring = KeyRing((Ed25519PrivateKey.generate(), *kept))
    os.replace(write_private_file(path.parent, ring), path)
    return ring


def create_key_file(path: Path) -> None:
    """Write a fresh key; when two processes do so at once, both go on with the file that was there first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = write_private_file(path.parent, new_key_ring())
    try:
        os.link(written, path)
    except FileExistsError:
        return
    finally:
        os.unlink(written)


def write_private_file(folder: Path, ring: KeyRing) -> str:
    """A whole new file of mode 0600 beside the target, so that nobody ever reads half a key."""
    handle, name = tempfile.mkstemp(prefix=".signing-key-", dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(b"".join(pem_of(key) for key in ring.keys))
        file.flush()
        os.fsync(file.fileno())
    return name


def pem_of(key: Ed25519PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 text, as `openssl genpkey -algorithm ed25519` writes it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def read_private_file(path: Path) -> bytes:
    """The file's bytes; refused when anybody but its owner may touch it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & ~PRIVATE_MODE:
                raise SigningKeyError(
                    f"the signing key {path} has mode {mode:04o}, so others may read or change it: run `chmod 600 {path}`, "
                    "and rotate the key when somebody may have read it"
                )
            return file.read()
    except OSError as error:
        raise SigningKeyError(
            f"the signing key {path} cannot be read ({error.strerror}): check the path and its owner"
        ) from error


def parse_keys(pem: bytes, source: str) -> KeyRing:
    """One or two Ed25519 keys of a PEM text."""
    blocks = PEM_BLOCK.findall(pem)
    if not 1 <= len(blocks) <= KEYS_ACTIVE_MAX:
        raise SigningKeyError(
            f"{source} holds {len(blocks)} keys in PEM form, and one or {KEYS_ACTIVE_MAX} are needed: "
            "make one with `openssl genpkey -algorithm ed25519`"
        )
    return KeyRing(tuple(parse_key(block, source) for block in blocks))


def parse_key(block: bytes, source: str) -> Ed25519PrivateKey:
    """One unencrypted Ed25519 private key."""
    try:
        key = serialization.load_pem_private_key(block, password=None)
    except (ValueError, TypeError) as error:
        raise SigningKeyError(f"{source} holds no readable private key: it must be PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(
            f"{source} holds a key of another kind: make an Ed25519 key with `openssl genpkey -algorithm ed25519`"
        )
    return key
