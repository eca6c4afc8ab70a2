"""Fixtures of the command line's tests; what they are made of stands in `running_engine` and `certificates`."""

from __future__ import annotations

from certificates import certificate
from running_engine import engine, limpet, limpet_process

__all__ = ["certificate", "engine", "limpet", "limpet_process"]
