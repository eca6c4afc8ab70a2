"""Whatever fits the served OpenAPI document, and much that does not, is answered without a server error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode

from limpet import Context, EmptyModel, Limpet

EXAMPLES = 3  # of each operation, for cases that fit the document and for cases that do not; one takes some 20 ms
EXAMPLES_SLOW = 60
OPERATIONS_MIN = 76  # an empty document would find nothing wrong


@dataclass(frozen=True)
class Served:
    """The engine's REST tree, and ids of things that are there, by the name of their place in a path."""

    url: str
    headers: dict[str, str]
    known: dict[str, str]


@pytest.fixture
async def served(limpet_client: Limpet) -> Served:
    graph = limpet_client.workflow(name="graph", on_crons=["0 0 1 1 *"])

    @graph.task()
    async def one(input: EmptyModel, ctx: Context) -> dict[str, int]:
        ctx.log("a line")
        return {"n": 1}

    @graph.task(parents=[one])
    async def two(input: EmptyModel, ctx: Context) -> None:
        raise ValueError("broken on purpose")

    config = limpet_client.config
    async with limpet_client.worker("w", workflows=[graph]):
        ref = await graph.aio_run(wait_for_result=False)
        await asyncio.gather(ref.aio_result(), return_exceptions=True)
        details = await limpet_client.runs.aio_get(ref.workflow_run_id)
        (worker,) = (await limpet_client.workers.aio_list()).rows or []
        (cron,) = (await limpet_client.cron.aio_list()).rows or []
        known = {
            "tenant": config.tenant_id,
            "run": ref.workflow_run_id,
            "task": details.tasks[0].metadata.id,
            "workflow": graph.id,
            "worker": worker.metadata.id,
            "cron": cron.metadata.id,
        }
    return Served(config.server_url, {"Authorization": f"Bearer {config.token}"}, known)


def asked(
    served: Served, operation: APIOperation[Any, Any, Any], mode: GenerationMode, http: requests.Session, examples: int
) -> list[str]:
    """What went wrong with many cases of one operation."""
    wrong: list[str] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples == EXAMPLES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), knows=st.booleans())
    def ask(case: Case, knows: bool) -> None:
        names = served.known if knows else {"tenant": served.known["tenant"]}
        case.path_parameters.update({name: names[name] for name in case.path_parameters if name in names})
        answer = case.call(base_url=served.url + "/api", headers=served.headers, session=http, timeout=30)
        if answer.status_code >= 500:
            wrong.append(f"{answer.status_code} {case.as_curl_command()}: {answer.text[:300]}")

    ask()
    return wrong


def modes(operation: APIOperation[Any, Any, Any]) -> list[GenerationMode]:
    """Any text is a name in a path: without a query and a body nothing fails to fit."""
    fits = [GenerationMode.POSITIVE]
    return [*fits, GenerationMode.NEGATIVE] if len(operation.query) or len(operation.body) else fits


@pytest.mark.parametrize(
    "examples", [EXAMPLES, pytest.param(EXAMPLES_SLOW, marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])]
)
def test_no_operation_of_the_openapi_document_ends_in_a_server_error(served: Served, examples: int) -> None:
    document = httpx.get(served.url + "/api/v1/openapi.json", headers=served.headers).json()
    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    assert len(operations) >= OPERATIONS_MIN
    with requests.Session() as http:
        wrong = [
            sentence
            for operation in operations
            for mode in modes(operation)
            for sentence in asked(served, operation, mode, http, examples)
        ]
    assert wrong == []
