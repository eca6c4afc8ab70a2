"""Limpet: a durable task engine for Python."""
