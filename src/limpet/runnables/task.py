"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.dependencies import Depends
from limpet.sdk.task import Task

__all__ = ["Depends", "Task"]
