"""What users import is what they know: names, parameters and defaults are those of the installed official package."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
from pydantic import BaseModel

import limpet
from limpet import Context, EmptyModel, Limpet
from limpet.compat import PATHS
from limpet.sdk.engine_calls import EngineCalls
from limpet.sdk.mock_context import MockWorker
from limpet.sdk.run_reference import WorkflowRunRef
from tests.sdk.documented_paths import DOCUMENTED
from tests.sdk.official_surface import members_of, names_of, official
from tests.sdk.waiting_names import IMPORTS, MEMBERS, TOP_LEVEL, flat

CLASSES: dict[str, tuple[str, str]] = {  # official module, our module
    "Hatchet": ("hatchet", "limpet"),
    "Workflow": ("runnables.workflow", "limpet.runnables.workflow"),
    "Standalone": ("runnables.workflow", "limpet.runnables.workflow"),
    "Task": ("runnables.task", "limpet.runnables.task"),
    "TaskRunRef": ("runnables.workflow", "limpet"),
    "WorkflowRunRef": ("workflow_run", "limpet"),
    "Context": ("context.context", "limpet"),
    "WorkerContext": ("context.worker_context", "limpet"),
    "Worker": ("worker.worker", "limpet"),
    "RunsClient": ("features.runs", "limpet.features.runs"),
    "WorkersClient": ("features.workers", "limpet.features.workers"),
    "WorkflowsClient": ("features.workflows", "limpet.features.workflows"),
    "LogsClient": ("features.logs", "limpet.features.logs"),
    "EventClient": ("clients.events", "limpet.clients.events"),
    "FiltersClient": ("features.filters", "limpet.features.filters"),
    "WebhooksClient": ("features.webhooks", "limpet.features.webhooks"),
    "CELClient": ("features.cel", "limpet.features.cel"),
    "MetricsClient": ("features.metrics", "limpet.features.metrics"),
    "RateLimitsClient": ("features.rate_limits", "limpet.features.rate_limits"),
    "StubsClient": ("features.stubs", "limpet.features.stubs"),
    "RunEventListener": ("clients.listeners.run_event_listener", "limpet"),
    "RunEventListenerClient": (
        "clients.listeners.run_event_listener",
        "limpet.clients.listeners.run_event_listener",
    ),
}

# Parts that this engine does not have; the fields say how the official engine is embedded or served.
FIELDS_WAITING = {"ClientConfig": {"embedded"}}


# Ours are worked out: from the token, from the address, or at the moment of use.
DEFAULTS_OF_OUR_OWN = {
    "ClientConfig": {"host_port", "server_url", "logger", "tenacity"},
    "ClientTLSConfig": {"strategy"},
    "HealthcheckConfig": {"event_loop_block_threshold_seconds"},
    "TenacityConfig": {"wait", "before_sleep"},
    "WorkflowConfig": {"task_defaults"},
}


def ours(name: str) -> Any:
    return getattr(importlib.import_module(CLASSES[name][1]), name)


def instance_members(name: str, client: Limpet) -> set[str]:
    """Members that an instance has and its class does not show."""

    @client.task()
    def probe(input: EmptyModel, ctx: Context) -> None: ...

    instances: dict[str, Any] = {
        "Standalone": probe,
        "Workflow": client.workflow(name="w"),
        "Task": probe.tasks[0],
        "Worker": client.worker("w"),
        "WorkflowRunRef": WorkflowRunRef("id", EngineCalls(client.config)),
        "WorkerContext": limpet.WorkerContext(MockWorker()),
    }
    return {member for member in vars(instances[name]) if not member.startswith("_")} if name in instances else set()


def test_every_official_name_exists_or_waits() -> None:
    missing = names_of(official()) - set(limpet.__all__)
    assert missing == flat(TOP_LEVEL)


def test_every_documented_import_works_or_waits() -> None:
    missing = {f"{path}.{name}" for path, names in DOCUMENTED.items() for name in names if not can_import(path, name)}
    assert missing == flat(IMPORTS)


def can_import(path: str, name: str) -> bool:
    """Whether `from limpet.PATH import NAME` works."""
    try:
        return hasattr(importlib.import_module(f"limpet.{path}"), name)
    except ModuleNotFoundError:
        return False


def test_every_listed_name_can_be_imported_and_is_documented() -> None:
    for name in limpet.__all__:
        value = getattr(limpet, name)
        assert name == "__version__" or not inspect.isclass(value) or inspect.getdoc(value), name
    assert limpet.Hatchet is limpet.Limpet
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = limpet.no_such_name


@pytest.mark.parametrize("name", CLASSES)
def test_every_official_member_exists_or_waits(name: str, offline: Limpet) -> None:
    theirs = members_of(getattr(official(CLASSES[name][0]), name))
    have = set(members_of(ours(name))) | instance_members(name, offline)
    assert set(theirs) - have == flat(MEMBERS.get(name, {}))


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_is_called_as_the_official_one(name: str) -> None:
    theirs, have = members_of(getattr(official(CLASSES[name][0]), name)), members_of(ours(name))
    both = {member for member in theirs.keys() & have.keys() if theirs[member] is not None and have[member] is not None}
    assert {member: have[member] for member in both} == {member: theirs[member] for member in both}


@pytest.mark.parametrize("name", sorted(set(limpet.__all__) & names_of(official())))
def test_every_value_type_has_the_official_fields(name: str) -> None:
    theirs, have = getattr(official(), name), getattr(limpet, name)
    if not (inspect.isclass(theirs) and issubclass(theirs, BaseModel)):
        assert inspect.isclass(theirs) == inspect.isclass(have)
        return
    assert set(theirs.model_fields) - set(have.model_fields) == FIELDS_WAITING.get(name, set())
    shared = {
        field: (theirs.model_fields[field], have.model_fields[field]) for field in theirs.model_fields.keys() & have.model_fields
    }
    wrong = [field for field, (one, other) in shared.items() if one.is_required() != other.is_required()]
    wrong += [field for field, (one, other) in shared.items() if repr(one.get_default()) != repr(other.get_default())]
    assert set(wrong) == DEFAULTS_OF_OUR_OWN.get(name, set())


@pytest.mark.parametrize("name", sorted(n for n in limpet.__all__ if hasattr(getattr(official(), n, None), "__members__")))
def test_every_enum_has_the_official_members(name: str) -> None:
    theirs, have = getattr(official(), name), getattr(limpet, name)
    assert {member.name: member.value for member in have} == {member.name: member.value for member in theirs}


@pytest.mark.parametrize("path", PATHS)
def test_every_official_path_is_a_module_of_its_own(path: str) -> None:
    module = importlib.import_module(path)
    official(path.removeprefix("limpet."))
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name)
