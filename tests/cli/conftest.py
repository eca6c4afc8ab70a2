"""Fixtures of the command line's tests; what they are made of stands in `running_engine`."""

from __future__ import annotations

from running_engine import engine, limpet, limpet_process

__all__ = ["engine", "limpet", "limpet_process"]
