"""Who is calling: every edge asks an `Access` before it looks at anything else (X4, X5)."""

from __future__ import annotations

from typing import Protocol

from limpet.core.ids import TenantId


class NotAuthenticated(Exception):
    """The credential is missing, malformed, expired, revoked or signed by somebody else."""


class AccessUnavailable(Exception):
    """The tokens cannot be read right now; the caller is neither refused nor let in (R35)."""


def not_served_yet(tenant: TenantId) -> AccessUnavailable:
    """What the owner of a good token is told whose tenant the engine has not found yet: it was made moments ago."""
    return AccessUnavailable(f"the tenant {tenant} is new, and this engine does not serve it yet: try again in a moment")


class Access(Protocol):
    """Turns a credential into a tenant."""

    def tenant_of(self, authorization: str | None) -> TenantId:
        """The tenant of an `authorization` header or metadata value ("bearer …", any case; or None).

        Raises NotAuthenticated or AccessUnavailable. Fast: no I/O; called for every call, and every few seconds for
        each open stream (X2).
        """
