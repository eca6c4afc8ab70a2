"""The bodies of requests: read strictly, payloads kept as the bytes that came (X16, design D10).

Fields that are not named here are ignored, as the wire demands: clients may be newer than we are.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Request
from msgspec import Meta

from limpet.core.errors import InvalidArgument
from limpet.edges.json_text import check_object

BodyType = TypeVar("BodyType", bound=msgspec.Struct)

# The same bounds as on the gRPC wire, where its types and the labels' translation set them [X15].
Integer = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Text = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


class LabelWish(msgspec.Struct, frozen=True, rename="camel"):
    """A desired worker label of a trigger (LB-1); `comparator` by name or by its number on the wire."""

    value: Text | Integer
    required: bool = False
    weight: Integer = 100
    comparator: str | int = 0


class TriggerBody(msgspec.Struct, frozen=True):
    """V1TriggerWorkflowRunRequest, and the optional labels of LB-17."""

    workflow_name: Name = msgspec.field(name="workflowName")
    input: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    additional_metadata: msgspec.Raw = msgspec.field(name="additionalMetadata", default_factory=msgspec.Raw)
    priority: int | None = None
    return_only_id: bool | None = None
    desired_worker_labels: dict[Name, LabelWish] | None = msgspec.field(name="desiredWorkerLabels", default=None)


class ExpressionBody(msgspec.Struct, frozen=True, rename="camel"):
    """V1CELDebugRequest."""

    expression: str
    input: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    filter_payload: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    additional_metadata: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class TaskFilter(msgspec.Struct, frozen=True, rename="camel"):
    """V1TaskFilter: which runs a bulk call is about."""

    since: datetime
    until: datetime | None = None
    statuses: list[str] | None = None
    workflow_ids: list[str] | None = None
    additional_metadata: list[str] | None = None


class TasksBody(msgspec.Struct, frozen=True, rename="camel"):
    """V1CancelTaskRequest and V1ReplayTaskRequest: ids or a filter."""

    external_ids: list[str] | None = None
    filter: TaskFilter | None = None


class WorkerBody(msgspec.Struct, frozen=True, rename="camel"):
    """UpdateWorkerRequest."""

    is_paused: bool | None = None


async def read_body(request: Request, kind: type[BodyType]) -> BodyType:
    """The body as that kind. Raises InvalidArgument with the place of the first fault."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the body of the call is not usable: {error}") from error
    except RecursionError as error:
        raise InvalidArgument("the body of the call is nested too deeply: at most 1,000 levels are read") from error


def object_bytes(raw: msgspec.Raw, field: str, bytes_max: int) -> bytes:
    """The bytes of a JSON object, as they came; nothing and null are empty ones. Raises InvalidArgument."""
    data = bytes(raw).strip()
    return check_object(b"" if data == b"null" else data, field, bytes_max)


def given_object_bytes(raw: msgspec.Raw, field: str, bytes_max: int) -> bytes | None:
    """The same for a change: nothing and null leave what was there. Raises InvalidArgument."""
    return None if bytes(raw).strip() in (b"", b"null") else object_bytes(raw, field, bytes_max)


def body_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The OpenAPI description of a body, for routes that read it themselves."""
    (described,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    name = described["$ref"].rpartition("/")[2]
    schema = inlined(components[name], components)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def inlined(schema: Any, components: dict[str, Any]) -> Any:
    """The schema with its references replaced by what they name; ours are never recursive."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return inlined(components[schema["$ref"].rpartition("/")[2]], components)
        return {key: inlined(value, components) for key, value in schema.items()}
    return [inlined(each, components) for each in schema] if isinstance(schema, list) else schema
