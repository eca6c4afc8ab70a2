"""What is wrong with an expression, or with what it gave."""

from __future__ import annotations


class ExpressionError(Exception):
    """An expression that cannot be compiled or evaluated, or that gives another type than its place wants. A sentence."""
