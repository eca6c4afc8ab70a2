"""`limpet.stubs`: references to workflows and tasks that live elsewhere, for starting them only (W18.1)."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from pydantic import TypeAdapter

from limpet.sdk.declaration import ClientParts
from limpet.sdk.serde import EmptyModel
from limpet.sdk.standalone import Standalone
from limpet.sdk.workflow import Workflow
from limpet.sdk.workflow_config import WorkflowConfig

TWorkflowInput = TypeVar("TWorkflowInput")
R = TypeVar("R")


class StubsClient:
    """Makes stubs. Validators only shape what goes in and comes out."""

    def __init__(self, parts: ClientParts) -> None:
        self._parts = parts

    @overload
    def workflow(
        self, *, name: str, input_validator: None = None, default_additional_metadata: dict[str, Any] | None = None
    ) -> Workflow[EmptyModel]: ...
    @overload
    def workflow(
        self,
        *,
        name: str,
        input_validator: type[TWorkflowInput],
        default_additional_metadata: dict[str, Any] | None = None,
    ) -> Workflow[TWorkflowInput]: ...
    def workflow(
        self,
        *,
        name: str,
        input_validator: type[Any] | None = None,
        default_additional_metadata: dict[str, Any] | None = None,
    ) -> Workflow[Any]:
        """A workflow that lives elsewhere."""
        input_type = input_validator or EmptyModel
        config = WorkflowConfig(
            name=name,
            input_validator=TypeAdapter(input_type),
            default_additional_metadata=default_additional_metadata or {},
        )
        return Workflow(config, self._parts, input_type, is_stub=True)

    @overload
    def task(
        self,
        *,
        name: str,
        input_validator: None = None,
        output_validator: None = None,
        default_additional_metadata: dict[str, Any] | None = None,
    ) -> Standalone[EmptyModel, EmptyModel]: ...
    @overload
    def task(
        self,
        *,
        name: str,
        input_validator: type[TWorkflowInput],
        output_validator: None = None,
        default_additional_metadata: dict[str, Any] | None = None,
    ) -> Standalone[TWorkflowInput, EmptyModel]: ...
    @overload
    def task(
        self,
        *,
        name: str,
        input_validator: None = None,
        output_validator: type[R],
        default_additional_metadata: dict[str, Any] | None = None,
    ) -> Standalone[EmptyModel, R]: ...
    @overload
    def task(
        self,
        *,
        name: str,
        input_validator: type[TWorkflowInput],
        output_validator: type[R],
        default_additional_metadata: dict[str, Any] | None = None,
    ) -> Standalone[TWorkflowInput, R]: ...
    def task(
        self,
        *,
        name: str,
        input_validator: type[Any] | None = None,
        output_validator: type[Any] | None = None,
        default_additional_metadata: dict[str, Any] | None = None,
    ) -> Standalone[Any, Any]:
        """A standalone task that lives elsewhere."""
        workflow: Workflow[Any] = self.workflow(
            name=name,
            input_validator=input_validator or EmptyModel,
            default_additional_metadata=default_additional_metadata,
        )
        return Standalone(workflow, name.lower(), TypeAdapter(output_validator or EmptyModel))
