"""The store of a single engine: one SQLite file."""

from limpet.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
