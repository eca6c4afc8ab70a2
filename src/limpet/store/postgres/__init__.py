"""The store of many engines: one PostgreSQL database, version 14 or newer."""

from importlib.util import find_spec

from limpet.store.api import StoreError

if find_spec("asyncpg") is None:
    raise StoreError("A PostgreSQL store needs asyncpg. Install it: pip install 'limpet[postgres]'.")

from limpet.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
