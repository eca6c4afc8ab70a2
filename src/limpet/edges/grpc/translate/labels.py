"""Labels of workers, and wishes for them (assignment section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping

from limpet.contracts.dispatcher_pb2 import WorkerLabels
from limpet.contracts.trigger_pb2 import DesiredWorkerLabels
from limpet.core.definitions import DEFAULT_LABEL_WEIGHT, Comparator, DesiredLabel, LabelValue
from limpet.core.errors import InvalidArgument, LimitReached
from limpet.core.settings import Settings


def worker_labels(labels: Mapping[str, WorkerLabels], limits: Settings) -> tuple[tuple[str, LabelValue], ...]:
    """Key and value of each, by key."""
    check_keys(labels, limits)
    return tuple((key, label_value(key, labels[key], limits)) for key in sorted(labels))


def desired_labels(labels: Mapping[str, DesiredWorkerLabels], where: str, limits: Settings) -> tuple[DesiredLabel, ...]:
    """The wishes, by key; an absent weight is 100, an absent comparator EQUAL (LB-1)."""
    if not labels:
        return ()
    check_keys(labels, limits)
    return tuple(_desired(key, labels[key], where, limits) for key in sorted(labels))


def check_keys(labels: Mapping[str, object], limits: Settings) -> None:
    """Refuse too many labels, and keys that are empty or too long."""
    if len(labels) > limits.labels_max:
        raise LimitReached(f"at most {limits.labels_max} labels (labels_max), got {len(labels)}")
    for key in labels:
        if not key or len(key.encode()) > limits.name_bytes_max or "\0" in key:
            raise InvalidArgument(f"label key {key[:80]!r} is not usable; use 1 to {limits.name_bytes_max} bytes of text")


def label_value(key: str, label: WorkerLabels | DesiredWorkerLabels, limits: Settings) -> LabelValue:
    """The one value of a label."""
    if label.HasField("str_value") == label.HasField("int_value"):
        raise InvalidArgument(f"label {key} needs exactly one value, a text or an integer")
    if label.HasField("int_value"):
        return label.int_value
    if len(label.str_value.encode()) > limits.name_bytes_max or "\0" in label.str_value:
        raise InvalidArgument(f"label {key}: the value must be a text of at most {limits.name_bytes_max} bytes")
    return label.str_value


def _desired(key: str, label: DesiredWorkerLabels, where: str, limits: Settings) -> DesiredLabel:
    try:
        comparator = Comparator(label.comparator)
    except ValueError:
        raise InvalidArgument(f"{where}, label {key}: comparator {label.comparator} is unknown; use 0 to 5") from None
    return DesiredLabel(
        key,
        label_value(key, label, limits),
        label.required,
        label.weight if label.HasField("weight") else DEFAULT_LABEL_WEIGHT,
        comparator,
    )
