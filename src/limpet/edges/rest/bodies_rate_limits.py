"""The body of a request that sets a rate limit."""

from __future__ import annotations

from typing import Literal

import msgspec

from limpet.edges.rest.bodies import Name


class RateLimitBody(msgspec.Struct, frozen=True, rename="camel"):
    """A limit as it is to be from now on."""

    key: Name
    limit_value: int
    window: Literal["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"] = "SECOND"
