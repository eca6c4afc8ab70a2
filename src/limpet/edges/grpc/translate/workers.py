"""What a worker says about itself."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from limpet.contracts.dispatcher_pb2 import SDKS, RuntimeInfo, WorkerRegisterRequest
from limpet.core.definitions import DEFAULT_SLOT_COUNT, DEFAULT_SLOT_TYPE
from limpet.core.errors import InvalidArgument
from limpet.core.ids import ActionId
from limpet.core.inputs import WorkerRegistered
from limpet.core.settings import Settings
from limpet.core.views import WorkerView
from limpet.edges.grpc.translate.labels import worker_labels


def registered(request: WorkerRegisterRequest, limits: Settings) -> WorkerRegistered:
    """The registration. Raises InvalidArgument."""
    check_text("worker name", request.worker_name, limits.name_bytes_max)
    for action in request.actions:
        check_text("action id", action, 2 * limits.name_bytes_max + 1)
    return WorkerRegistered(
        name=request.worker_name,
        actions=tuple(ActionId(action) for action in dict.fromkeys(request.actions)),
        slots=_slots(request),
        labels=worker_labels(request.labels, limits),
        runtime=_runtime(request.runtime_info, limits),
    )


def unsubscribes_before_it_drains(worker: WorkerView | None) -> bool:
    """Whether its client says farewell first and lets its running tasks end afterwards, silently (TypeScript, 1.33.2)."""
    return worker is not None and orjson.loads(worker.runtime or b"{}").get("language") == "TYPESCRIPT"


def check_text(what: str, text: str, bytes_max: int) -> None:
    """Refuse a text that is empty, too long, or holds a NUL character."""
    if not text or len(text.encode()) > bytes_max or "\0" in text:
        raise InvalidArgument(f"{what} {text[:80]!r} is not usable; use 1 to {bytes_max} bytes of text")


def slot_units(config: Mapping[str, int], where: str) -> tuple[tuple[str, int], ...]:
    """Slot types and units, by type."""
    for kind, units in config.items():
        if not kind or units < 0 or "\0" in kind or len(kind) > 255:
            raise InvalidArgument(f"{where}: slot type {kind[:80]!r} with {units} units is not usable")
    return tuple(sorted(config.items()))


def _slots(request: WorkerRegisterRequest) -> tuple[tuple[str, int], ...]:
    if request.slot_config:
        if request.HasField("slots"):
            raise InvalidArgument("give either slots or slot_config, not both; slots is the older form")
        return slot_units(request.slot_config, f"worker {request.worker_name}")
    count = request.slots if request.HasField("slots") else DEFAULT_SLOT_COUNT
    return slot_units({DEFAULT_SLOT_TYPE: count}, f"worker {request.worker_name}")


def _runtime(info: RuntimeInfo, limits: Settings) -> bytes:
    """A JSON object of what the client told about its process; acted upon only by `unsubscribes_before_it_drains`."""
    told: dict[str, str] = {field.name: str(value) for field, value in info.ListFields()}
    if info.HasField("language"):
        told["language"] = SDKS.Name(info.language) if info.language in SDKS.values() else str(info.language)
    return orjson.dumps({name: text[: limits.name_bytes_max].replace("\0", "\ufffd") for name, text in told.items()})
