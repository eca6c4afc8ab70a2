"""Who is calling: every edge asks an `Access` before it looks at anything else (X4, X5)."""

from __future__ import annotations

from typing import Protocol

from limpet.core.ids import TenantId


class NotAuthenticated(Exception):
    """The credential is missing, malformed, expired, revoked or signed by somebody else."""


class AccessUnavailable(Exception):
    """The tokens cannot be read right now; the caller is neither refused nor let in (R35)."""


class Access(Protocol):
    """Turns a credential into a tenant."""

    def tenant_of(self, authorization: str | None) -> TenantId:
        """The tenant of an `authorization` header or metadata value ("bearer …", any case; or None).

        Raises NotAuthenticated or AccessUnavailable. Fast: no I/O; called for every call, and every few seconds for
        each open stream (X2).
        """
