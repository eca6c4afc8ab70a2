"""Which texts PostgreSQL can hold, and what is kept of the others."""

from __future__ import annotations

from limpet.store.tables import NUL

UNKNOWN_CHARACTER = "\ufffd"  # what is kept in place of a character that no text of PostgreSQL can hold


def storable(text: str) -> str:
    """A text for people that can be kept, whatever it was."""
    return text.replace(NUL, UNKNOWN_CHARACTER).encode(errors="replace").decode()
