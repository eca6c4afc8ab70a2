"""Which texts PostgreSQL can hold, and what is kept of the others."""

from __future__ import annotations

from limpet.store.tables import is_encodable

NUL, UNKNOWN_CHARACTER = "\x00", "\ufffd"  # what no text of PostgreSQL can hold, and what is kept in its place


def is_storable(text: str) -> bool:
    """Whether a text can be in this store at all."""
    return NUL not in text and is_encodable(text)


def storable(text: str) -> str:
    """A text for people that can be kept, whatever it was."""
    return text.replace(NUL, UNKNOWN_CHARACTER).encode(errors="replace").decode()
