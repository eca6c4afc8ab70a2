"""Worker labels: what a worker is, and what a task or a single run wants of its worker (LB-1 to LB-3)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from enum import IntEnum

from pydantic import BaseModel

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1  # the wire carries label numbers as int32

LabelValue = str | int


class WorkerLabelComparator(IntEnum):
    """How a worker's label is held against the desired value: `worker COMPARATOR desired`."""

    EQUAL = 0
    NOT_EQUAL = 1
    GREATER_THAN = 2
    GREATER_THAN_OR_EQUAL = 3
    LESS_THAN = 4
    LESS_THAN_OR_EQUAL = 5


class WorkerLabel(BaseModel):
    """A key and a value that describe a worker."""

    key: str | None = None
    value: str | int


class DesiredWorkerLabel(BaseModel):
    """What a task or a run wants of its worker's label.

    required:   True: only such workers. False: such workers are preferred, by `weight` (100 when left out)
    comparator: equality when left out
    """

    key: str | None = None
    value: str | int
    required: bool = False
    weight: int | None = None
    comparator: int | WorkerLabelComparator | None = None


DesiredLabels = Mapping[str, DesiredWorkerLabel] | Sequence[DesiredWorkerLabel]


def desired_labels_by_key(labels: DesiredLabels | None) -> dict[str, DesiredWorkerLabel]:
    """Both spellings as one: the older mapping (which warns) and the list. List entries without a key are dropped."""
    if labels is None:
        return {}
    if isinstance(labels, Mapping):
        warnings.warn(
            "Desired worker labels as a mapping are the older spelling; write a list of DesiredWorkerLabel(key=...).",
            DeprecationWarning,
            stacklevel=4,
        )
        return dict(labels)
    return {label.key: label for label in labels if label.key is not None}


def check_label_number(key: str, value: int, *, what: str = "label") -> int:
    """The number as the wire can carry it. `True` becomes 1. Raises ValueError outside int32."""
    number = int(value)
    if not INT32_MIN <= number <= INT32_MAX:
        raise ValueError(f"The value {number} of {what} {key!r} does not fit into 32 bits. Use a smaller number or a text.")
    return number
