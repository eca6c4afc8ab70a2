"""A tenant's rows by their keys alone, as parameters of a statement; the same in every store that has statements."""

from __future__ import annotations

from typing import Any

from limpet.core.ids import TenantNo, first_key, last_key


def key_range(tenant_no: TenantNo) -> dict[str, Any]:
    """The tenant and the first and last row key it may have."""
    return {"tenant_no": tenant_no, "key_first": first_key(tenant_no), "key_last": last_key(tenant_no)}
