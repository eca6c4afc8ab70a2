"""The store that forgets at exit: for development and tests."""

from limpet.store.memory.content import Content
from limpet.store.memory.store import MemoryStore

__all__ = ["Content", "MemoryStore"]
