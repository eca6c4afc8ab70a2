"""`limpet.cel`: try expressions out on the engine."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from limpet.sdk.config import HTTPMethod
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.features.queries import BASE


class CELSuccess(BaseModel):
    """The expression gave yes or no."""

    status: Literal["success"] = "success"
    output: bool


class CELFailure(BaseModel):
    """The expression could not be evaluated, or gave something else; `error` says why."""

    status: Literal["failure"] = "failure"
    error: str


class CELEvaluationResult(BaseModel):
    """What became of an expression."""

    result: CELSuccess | CELFailure


class CELClient:
    """Evaluates an expression as an event filter would. Every method has an `aio_` twin."""

    def __init__(self, calls: EngineCalls) -> None:
        self._rest = calls.rest
        self._path = f"{BASE}/tenants/{calls.config.tenant_id}/cel/debug"

    def debug(
        self,
        expression: str,
        input: dict[str, Any],
        additional_metadata: dict[str, Any] | None = None,
        filter_payload: dict[str, Any] | None = None,
    ) -> CELEvaluationResult:
        """Whether the expression is true of this input; a key that is missing is a failure, not false."""
        body = _body(expression, input, additional_metadata, filter_payload)
        return _result(self._rest.request(HTTPMethod.POST, self._path, body=body))

    async def aio_debug(
        self,
        expression: str,
        input: dict[str, Any],
        additional_metadata: dict[str, Any] | None = None,
        filter_payload: dict[str, Any] | None = None,
    ) -> CELEvaluationResult:
        """As `debug`."""
        body = _body(expression, input, additional_metadata, filter_payload)
        return _result(await self._rest.arequest(HTTPMethod.POST, self._path, body=body))


def _body(
    expression: str, input: dict[str, Any], metadata: dict[str, Any] | None, filter_payload: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "expression": expression,
        "input": input,
        "additionalMetadata": metadata or {},
        "filterPayload": filter_payload or {},
    }


def _result(answer: dict[str, Any]) -> CELEvaluationResult:
    if answer["status"] == "SUCCESS":
        return CELEvaluationResult(result=CELSuccess(output=answer["output"]))
    return CELEvaluationResult(result=CELFailure(error=answer["error"]))
