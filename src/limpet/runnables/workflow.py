"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.agent_tools import MCPProvider
from limpet.sdk.declaration import Declaration as BaseWorkflow
from limpet.sdk.run_reference import TaskRunRef
from limpet.sdk.standalone import Standalone
from limpet.sdk.workflow import Workflow

__all__ = ["BaseWorkflow", "MCPProvider", "Standalone", "TaskRunRef", "Workflow"]
