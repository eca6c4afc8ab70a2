"""Where the database is, and how to name it without its password (X23)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from limpet.store.api import StoreError

SCHEMES = ("postgresql", "postgres")
SCHEMA = "limpet"  # of all our tables, so that a database can be shared
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_SECRET_FIELDS = frozenset({"password", "sslpassword"})


class Address:
    """A URL that asyncpg understands. `str()` of it is for people: no password, whoever prints it."""

    def __init__(self, url: str, schema: str = SCHEMA) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise StoreError("A PostgreSQL store is named like postgresql://user@host:5432/database.")
        if not _SCHEMA_NAME.fullmatch(schema):
            raise StoreError(f"{schema!r} cannot be the name of a schema here: small letters, digits and underscores.")
        self.url = url
        self.schema = schema
        _, _, host = parts.netloc.rpartition("@")
        user = f"{parts.username}@" if parts.username else ""
        fields = [(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRET_FIELDS]
        self._shown = urlunsplit((parts.scheme, user + host, parts.path, urlencode(fields), ""))

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Address({self._shown!r})"
