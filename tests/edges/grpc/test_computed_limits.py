"""What an edge makes of a concurrency limit whose number of runs is computed (decision 0028)."""

from __future__ import annotations

import pytest

from limpet.contracts.trigger_pb2 import TriggerWorkflowRequest
from limpet.core.definitions import RUNS_MAX
from limpet.core.inputs import RunsTriggered
from limpet.core.limits_view import LimitsView
from limpet.core.records import LimitKey, SizedKey, UnusableKey

from .conftest import MINE, Edge


async def key_of(edge: Edge, size: str, data: str) -> LimitKey:
    """What the edge hands in for a run with that input, of a limit by `input.user` beside a plain one."""
    edge.door.expressions["wf"] = LimitsView("v1", ("input.user", "'all'"), sizes=(size, ""))
    edge.door.replies[RunsTriggered] = ("run",)
    await edge.workflows.TriggerWorkflow(TriggerWorkflowRequest(name="wf", input=data.encode()), metadata=MINE)
    _, item = edge.door.submitted[-1]
    assert isinstance(item, RunsTriggered)
    assert item.items[0].keys is not None
    key, plain = item.items[0].keys.keys
    assert plain == "all"
    return key


@pytest.mark.parametrize(
    ("size", "most"),
    [("input.n", 3), ("2", 2), ("input.plan == 'pro' ? 10 : 1", 10), ("size(input.rows)", 2), (str(RUNS_MAX), RUNS_MAX)],
)
async def test_a_whole_number_stands_beside_the_key(edge: Edge, size: str, most: int) -> None:
    found = await key_of(edge, size, '{"user":"ada","n":3.0,"plan":"pro","rows":[1,2]}')
    assert found == SizedKey("ada", most)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ('{"user":"ada"}', "Key not found"),
        ('{"user":"ada","n":"3"}', "must give a number"),
        ('{"user":"ada","n":true}', "must give a number"),
        ('{"user":"ada","n":null}', "must give a number"),
        ('{"user":"ada","n":0}', "between 1 and"),
        ('{"user":"ada","n":-1}', "between 1 and"),
        ('{"user":"ada","n":1.5}', "between 1 and"),
        (f'{{"user":"ada","n":{RUNS_MAX + 1}}}', "between 1 and"),
        ('{"user":"ada","n":1e300}', "between 1 and"),
    ],
)
async def test_F2_8_anything_else_is_told_in_a_sentence_with_its_expression(edge: Edge, data: str, words: str) -> None:
    found = await key_of(edge, "input.n", data)
    assert isinstance(found, UnusableKey)
    assert found.error.startswith("failed to parse step expression (input.n): ")
    assert words in found.error


async def test_F2_8_a_key_that_cannot_be_computed_is_told_first(edge: Edge) -> None:
    found = await key_of(edge, "input.n", "{}")
    assert isinstance(found, UnusableKey)
    assert found.error.startswith("failed to parse step expression (input.user): ")
