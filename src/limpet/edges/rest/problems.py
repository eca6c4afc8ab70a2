"""Error answers: always the JSON object `errors`, a list of sentences (schema APIErrors)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson
from starlette.responses import Response

from limpet.core.errors import LimpetError
from limpet.edges.rest.status import status_of


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence about what is wrong; `field` names the part of the request that it speaks of."""

    description: str
    field: str | None = None


def problem(status: int, description: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error answer with one sentence."""
    return problems(status, [Problem(description)], headers)


def problems(status: int, found: Iterable[Problem], headers: Mapping[str, str] | None = None) -> Response:
    """An error answer with a sentence for each thing that is wrong."""
    body = orjson.dumps({"errors": [as_json(status, each) for each in found]})
    return Response(body, status, dict(headers or {}), media_type="application/json")


def problem_of(error: LimpetError) -> Response:
    """The answer for an error of the engine; its text is meant for people and is sent as it is."""
    return problem(status_of(error), str(error))


def as_json(status: int, each: Problem) -> dict[str, str | int]:
    """The schema APIError."""
    body: dict[str, str | int] = {"code": status, "description": each.description}
    if each.field is not None:
        body["field"] = each.field
    return body
