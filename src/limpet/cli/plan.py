"""What an engine process shall be made of, checked before anything is opened."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from limpet.cli import defaults
from limpet.cli.exits import Misuse
from limpet.engine.settings import EngineSettings
from limpet.store.address import SCHEMES, Address
from limpet.store.api import StoreError

MEMORY = "memory"
SQLITE_PREFIX = "sqlite:///"
SIGNING_KEY, MASTER_KEY = ".signing-key", ".master-key"  # ends of file names
Place = Path | Address
"""Where a store that lasts is: a file or a database. Neither shows a password."""
TLS_OLDEST = ssl.TLSVersion.TLSv1_2  # the oldest version that is spoken [X13]


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS listener; with `client_ca` clients must show a certificate of it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def check(self) -> None:
        """Raise Misuse when a file is missing or the pair cannot be used."""
        try:
            self.context()
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(path) for path in (self.certificate, self.key, self.client_ca) if path)
            raise Misuse(
                f"The TLS files cannot be used ({files}): {error}.", "Check paths, rights, and that key and certificate match."
            ) from error

    def context(self) -> ssl.SSLContext:
        """For the HTTP listener."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.client_ca)
        context.minimum_version = TLS_OLDEST
        context.load_cert_chain(self.certificate, self.key)
        if self.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True)
class Plan:
    """One engine process.

    store:          a file, a database, or None for memory
    is_dev:         no authentication, local callers only
    key_file:       where the signing key of tokens lives; None with `is_dev`
    server_url, grpc_address: what clients are told; empty: the address that is listened on
    """

    store: Place | None = None
    host: str = defaults.LOOPBACK
    grpc_port: int = defaults.GRPC_PORT
    http_port: int = defaults.HTTP_PORT
    is_dev: bool = False
    tls: Tls | None = None
    allows_plaintext: bool = False
    key_file: Path | None = None
    server_url: str = ""
    grpc_address: str = ""
    settings: EngineSettings = field(default_factory=EngineSettings)

    @property
    def master_key_file(self) -> Path | None:
        """Where the key lives that stored secrets are sealed with: beside the signing key or the store; None: in memory."""
        if self.key_file is not None:
            return self.key_file.with_name(self.key_file.name.removesuffix(SIGNING_KEY) + MASTER_KEY)
        return self.store.with_name(self.store.name + MASTER_KEY) if isinstance(self.store, Path) else None

    def check(self) -> None:
        """Raise Misuse for a plan that would leave a door open."""
        if self.is_dev and not is_loopback(self.host):
            raise Misuse(
                f"A development engine asks nobody for a token, so it does not listen on {self.host}.",
                "Use `limpet server` with tokens, or leave the host out.",
            )
        if not self.is_dev and self.key_file is None:
            raise Misuse("An engine without a signing key cannot tell who calls.", "Name a key file with --key-file.")
        if self.tls is None and not is_loopback(self.host) and not self.allows_plaintext:
            raise Misuse(
                f"Tokens would travel unencrypted to {self.host}.",
                "Give --tls-cert and --tls-key, or say --insecure when something in front of the engine does TLS.",
            )
        if self.tls is not None:
            self.tls.check()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name other than localhost may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def store_place(text: str | None) -> Place | None:
    """Where the store is; None for memory. Raises Misuse for a kind of store that this version does not have."""
    if text is None or text in (MEMORY, f"{MEMORY}://"):
        return None
    if text.startswith(SQLITE_PREFIX):
        return Path(text.removeprefix(SQLITE_PREFIX))
    if text.partition("://")[0] in SCHEMES:
        return _database(text)
    if "://" in text or text.startswith("sqlite:"):
        kind = text.partition(":")[0]
        raise Misuse(f"There is no store for {kind}:.", "Write postgresql://…, sqlite:///FILE, or just the path of a file.")
    return Path(text)


def lasting_store(text: str | None) -> Place:
    """A store that outlives its engine."""
    place = store_place(text)
    if place is None:
        raise Misuse("No store is named.", "Give --store FILE or --store postgresql://…, or set LIMPET_STORE.")
    return place


def store_file(text: str | None, *, instead: str) -> Path:
    """A store that must be a file; `instead` says what to do with a database."""
    place = lasting_store(text)
    if isinstance(place, Address):
        raise Misuse(f"The store {place} is a database, and this command works on files.", instead)
    return place


def key_file_of(store: Place) -> Path:
    """Where the signing key lives unless somebody says otherwise: beside the store, so that both move together."""
    if isinstance(store, Address):
        raise Misuse(
            f"The store {store} has no folder for the key that signs tokens.",
            "Name a file with --key-file; every server of this store needs the same one.",
        )
    return store.with_name(store.name + SIGNING_KEY)


def _database(text: str) -> Address:
    try:
        return Address(text)
    except StoreError as error:
        raise Misuse(str(error)) from error


def address(host: str, port: int) -> str:
    """`host:port`, brackets around IPv6. Who listens everywhere is told to clients as loopback."""
    shown = {"0.0.0.0": defaults.LOOPBACK, "::": "::1"}.get(host.strip("[]"), host.strip("[]"))
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
