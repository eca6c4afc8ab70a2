"""Trying expressions out, and a version's concurrency limits, over REST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from limpet.core.definitions import ConcurrencyLimit, LimitStrategy
from limpet.core.inputs import RunsTriggered
from limpet.core.limits_view import LimitsView

from .world import TENANT, World, task

PATH = f"/api/v1/stable/tenants/{TENANT.id}/cel/debug"


async def tried(http: httpx.AsyncClient, expression: str, **more: Any) -> dict[str, Any]:
    answer = await http.post(PATH, json={"expression": expression, "input": {"n": 3, "s": "x"}, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_B01_F1_5_an_expression_that_compares_is_true_or_false(http: httpx.AsyncClient) -> None:
    assert await tried(http, "input.n == 3") == {"status": "SUCCESS", "output": True, "error": None}
    assert (await tried(http, "input.n == 4"))["output"] is False
    body = {"additionalMetadata": {"a": "1"}, "filterPayload": {"min": 2}}
    assert (await tried(http, "payload.min <= input.n && additional_metadata.a == '1'", **body))["output"] is True


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("input.missing == 1", "Key not found"),
        ("input.s", "must give true or false, and gives a text"),
        ("input.", "Syntax error"),
        ("workflow_run_id == ''", "undeclared reference"),
    ],
)
async def test_B02_B03_everything_else_is_a_failure_with_its_reason(http: httpx.AsyncClient, expression: str, words: str) -> None:
    found = await tried(http, expression)
    assert found["status"] == "ERROR"
    assert words in found["error"]


async def test_a_body_that_is_none_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post(PATH, json={"input": {}})).status_code == 400
    assert (await http.post(PATH, json={"expression": "true", "input": []})).status_code == 400


async def test_a_trigger_over_rest_carries_its_keys(world: World, http: httpx.AsyncClient) -> None:
    await world.workflow("greet")
    world.expressions["greet"] = LimitsView("v-1", ("input.user",))
    body = {"workflowName": "greet", "input": {"user": "ada"}, "additionalMetadata": {}}
    answer = await http.post(f"/api/v1/stable/tenants/{TENANT.id}/workflow-runs/trigger", json=body)
    assert answer.status_code == 200, answer.text
    item = next(one for _, one in world.submitted if isinstance(one, RunsTriggered))
    keys = item.items[0].keys
    assert keys is not None
    assert (keys.version_id, keys.keys) == ("v-1", ("ada",))


async def test_a_version_shows_the_limits_that_the_wire_has_names_for(world: World, http: httpx.AsyncClient) -> None:
    """A third strategy exists; clients that do not know its name refuse the whole answer."""
    robin = ConcurrencyLimit("input.a", 2, LimitStrategy.GROUP_ROUND_ROBIN)
    newest = ConcurrencyLimit("'k'", 1, LimitStrategy.CANCEL_NEWEST)
    step = replace(task("write", "Report"), concurrency=(newest, ConcurrencyLimit("'t'")))
    row = await world.workflow("Report", step, concurrency=(newest, robin))
    shown = (await http.get(f"/api/v1/workflows/{row.id}/versions")).json()
    assert shown["v1Concurrency"] == [
        {
            "maxRuns": 2,
            "limitStrategy": "GROUP_ROUND_ROBIN",
            "expression": "input.a",
            "scope": "WORKFLOW",
            "stepReadableId": None,
        },
        {"maxRuns": 1, "limitStrategy": "CANCEL_IN_PROGRESS", "expression": "'t'", "scope": "TASK", "stepReadableId": "write"},
    ]
    assert shown["concurrency"] == {"maxRuns": 2, "limitStrategy": "GROUP_ROUND_ROBIN", "getConcurrencyGroup": "input.a"}
