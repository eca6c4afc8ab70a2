"""Workflows and tasks as tools of an agent: what `mcp_tool` makes, for either of two agent SDKs.

Law: an agent SDK is an extra. It is imported when a tool is made, never before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from limpet.sdk.serde import EmptyModel


class MCPProvider(StrEnum):
    """Which agent SDK a tool is made for."""

    CLAUDE = "CLAUDE"
    OPENAI = "OPENAI"


@dataclass(frozen=True, slots=True)
class ToolSource:
    """What a tool is made of. `run` takes a validated input, awaits the run, gives its output."""

    name: str
    description: str | None
    input_type: Any
    reader: TypeAdapter[Any]
    run: Callable[[Any], Awaitable[Any]]

    async def answer(self, value: Any) -> str:
        """Run with this input; the output as JSON text. Raises for a failed run, as `aio_run` does."""
        return to_json(await self.run(value)).decode()


def agent_tool(source: ToolSource, provider: MCPProvider, options: Mapping[str, Any]) -> Any:
    """A tool for that SDK; `options` go to its constructor.

    errors: ValueError without a description or an input model, by which a model knows when and how to call it;
            ImportError when the SDK is not installed
    """
    for missing, option in ((not source.description, "description"), (source.input_type is EmptyModel, "input_validator")):
        if missing:
            raise ValueError(f"{source.name!r} cannot become a tool without {option}: give {option}= where it is declared.")
    return MAKERS[MCPProvider(provider)](source, options)


def _claude_tool(source: ToolSource, options: Mapping[str, Any]) -> Any:
    try:
        from claude_agent_sdk import SdkMcpTool
    except ImportError as error:
        raise _not_installed("claude", "claude-agent-sdk") from error

    async def handle(arguments: dict[str, Any]) -> dict[str, Any]:
        text = await source.answer(source.reader.validate_python(arguments))
        return {"content": [{"type": "text", "text": text}]}

    schema = source.reader.json_schema()
    return SdkMcpTool(name=source.name, description=source.description, input_schema=schema, handler=handle, **options)


def _openai_tool(source: ToolSource, options: Mapping[str, Any]) -> Any:
    try:
        from agents import FunctionTool
    except ImportError as error:
        raise _not_installed("openai", "openai-agents") from error

    async def invoke(context: Any, arguments: str) -> str:
        return await source.answer(source.reader.validate_json(arguments))

    return FunctionTool(
        name=source.name,
        description=source.description,
        params_json_schema=source.reader.json_schema(),
        on_invoke_tool=invoke,
        **options,
    )


def _not_installed(extra: str, package: str) -> ImportError:
    return ImportError(f"{package} is not installed, and this tool is made for it: pip install 'limpet[{extra}]'.")


MAKERS: dict[MCPProvider, Callable[[ToolSource, Mapping[str, Any]], Any]] = {
    MCPProvider.CLAUDE: _claude_tool,
    MCPProvider.OPENAI: _openai_tool,
}
