"""What users test their workflows with: an engine in the test's process, workers that do what the test says.

Names are loaded at first use: pytest loads the plugin beside this file at every start, whoever uses it or not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limpet.core.explain import Reason as Reason
    from limpet.core.settings import Settings as Settings
    from limpet.testing.embedded import EmbeddedEngine as EmbeddedEngine
    from limpet.testing.fake_worker import FakeWorker as FakeWorker
    from limpet.testing.fake_worker import Start as Start
    from limpet.testing.insight import RunView as RunView
    from limpet.testing.insight import TaskView as TaskView

_HOMES = {
    "EmbeddedEngine": "limpet.testing.embedded",
    "FakeWorker": "limpet.testing.fake_worker",
    "Reason": "limpet.core.explain",
    "RunView": "limpet.testing.insight",
    "Settings": "limpet.core.settings",
    "Start": "limpet.testing.fake_worker",
    "TaskView": "limpet.testing.insight",
}

__all__ = ["EmbeddedEngine", "FakeWorker", "Reason", "RunView", "Settings", "Start", "TaskView"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'limpet.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
