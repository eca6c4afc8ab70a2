"""The store of many engines: one PostgreSQL database, version 14 or newer."""

from limpet.store.api import StoreError

try:
    import asyncpg  # noqa: F401
except ModuleNotFoundError as error:
    raise StoreError("A PostgreSQL store needs asyncpg. Install it: pip install 'limpet[postgres]'.") from error

from limpet.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
