"""Trying an expression out: what a filter would say to an event."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from limpet.edges.expressions.errors import ExpressionError
from limpet.edges.expressions.evaluator import Environment, as_truth, compile_expression
from limpet.edges.expressions.values import Values
from limpet.edges.rest.answers import answer
from limpet.edges.rest.bodies import ExpressionBody, body_schema, object_bytes, read_body
from limpet.edges.rest.caller import Caller, Calling
from limpet.edges.rest.schemas import ExpressionTried

router: APIRouter = APIRouter(prefix="/v1")


@router.post(
    "/stable/tenants/{tenant}/cel/debug", response_model=ExpressionTried, openapi_extra=body_schema(ExpressionBody)
)  # fmt: skip
async def try_expression(caller: Calling, tenant: str, request: Request) -> Response:
    """Evaluate an expression as an event filter would; a key that is missing is an error, not false (F1.5)."""
    body = await read_body(request, ExpressionBody)
    values = values_of(body, caller)
    try:
        output = as_truth(compile_expression(Environment.FILTER, body.expression).evaluate(values))
    except ExpressionError as error:
        sentence = str(error)
        return await answer(lambda: ExpressionTried(status="ERROR", error=sentence))
    return await answer(lambda: ExpressionTried(status="SUCCESS", output=output))


def values_of(body: ExpressionBody, caller: Caller) -> Values:
    """The variables of a filter (F1.1); there is no event, so its id and key are empty."""
    most = caller.facts.settings.payload_bytes_max
    values = Values()
    values.add_json("input", object_bytes(body.input, "input", most))
    values.add_json("additional_metadata", object_bytes(body.additional_metadata, "additionalMetadata", most))
    values.add_json("payload", object_bytes(body.filter_payload, "filterPayload", most))
    values.add_text("event_id", "")
    values.add_text("event_key", "")
    return values
