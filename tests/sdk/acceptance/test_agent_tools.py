"""Tasks as tools of an agent, with the real agent SDKs up to the model: what it is told, what it gets back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from agents import FunctionTool
from agents.tool_context import ToolContext
from claude_agent_sdk import SdkMcpTool, create_sdk_mcp_server
from mcp.shared.memory import create_connected_server_and_client_session
from pydantic import BaseModel, ValidationError

from limpet import Context, EmptyModel, Limpet
from limpet.runnables.workflow import MCPProvider

EXTRAS = ("agents", "claude_agent_sdk", "mcp", "opentelemetry")


class Order(BaseModel):
    number: int
    rush: bool = False


class Receipt(BaseModel):
    total: int


def told(arguments: str) -> ToolContext[None]:
    return ToolContext(context=None, tool_name="price", tool_call_id="1", tool_arguments=arguments)


async def test_C21_an_openai_tool_runs_the_task_and_gives_its_output(limpet_client: Limpet) -> None:
    @limpet_client.task(description="prices an order", input_validator=Order)
    async def price(input: Order, ctx: Context) -> Receipt:
        return Receipt(total=2 * input.number)

    tool = price.mcp_tool(MCPProvider.OPENAI, strict_json_schema=False)
    assert isinstance(tool, FunctionTool)
    assert (tool.name, tool.description) == ("price", "prices an order")
    assert tool.params_json_schema["required"] == ["number"]
    async with limpet_client.worker("w", workflows=[price]):
        assert json.loads(await tool.on_invoke_tool(told('{"number": 4}'), '{"number": 4}')) == {"total": 8}
        with pytest.raises(ValidationError, match="number"):
            await tool.on_invoke_tool(told("{}"), "{}")


async def test_C21_a_claude_tool_runs_the_workflow_and_gives_outputs_by_task(limpet_client: Limpet) -> None:
    flow = limpet_client.workflow(name="pricing", description="prices an order", input_validator=Order)

    @flow.task()
    async def total(input: Order, ctx: Context) -> Receipt:
        if input.rush:
            raise RuntimeError("no rush today")
        return Receipt(total=input.number)

    tool = flow.mcp_tool(MCPProvider.CLAUDE)
    assert isinstance(tool, SdkMcpTool)
    assert tool.input_schema == Order.model_json_schema()
    server = create_sdk_mcp_server("prices", tools=[tool])["instance"]
    async with limpet_client.worker("w", workflows=[flow]), create_connected_server_and_client_session(server) as session:
        assert [(each.name, each.description) for each in (await session.list_tools()).tools] == [("pricing", "prices an order")]
        well = await session.call_tool("pricing", {"number": 4})
        assert json.loads(well.content[0].text) == {"total": {"total": 4}}
        badly = await session.call_tool("pricing", {"number": 4, "rush": True})
        assert badly.isError
        assert "no rush today" in badly.content[0].text


@pytest.mark.parametrize("provider", MCPProvider)
def test_C21_a_tool_without_what_a_model_needs_to_know_is_refused(limpet_client: Limpet, provider: MCPProvider) -> None:
    @limpet_client.task(input_validator=Order)
    async def silent(input: Order, ctx: Context) -> None: ...

    @limpet_client.task(description="takes anything")
    async def shapeless(input: EmptyModel, ctx: Context) -> None: ...

    with pytest.raises(ValueError, match="without description"):
        silent.mcp_tool(provider)
    with pytest.raises(ValueError, match="without input_validator"):
        shapeless.mcp_tool(provider)


@pytest.mark.parametrize(
    ("provider", "module", "extra"),
    [(MCPProvider.OPENAI, "agents", "openai"), (MCPProvider.CLAUDE, "claude_agent_sdk", "claude")],
)
def test_C21_without_the_extra_the_error_says_what_to_install(
    limpet_client: Limpet, monkeypatch: pytest.MonkeyPatch, provider: MCPProvider, module: str, extra: str
) -> None:
    @limpet_client.task(description="prices an order", input_validator=Order)
    async def price(input: Order, ctx: Context) -> None: ...

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"limpet\[{extra}\]"):
        price.mcp_tool(provider)


def test_extras_are_imported_by_nobody_who_does_not_ask_for_them() -> None:
    program = f"import sys, limpet, limpet.cli.main; print([name for name in {EXTRAS} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
