"""Desired worker labels: hard filter first, then weight (assignment section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from limpet.core.definitions import Comparator, DesiredLabel, LabelValue
from limpet.core.errors import InvalidArgument

SIGNS = {
    Comparator.EQUAL: "=",
    Comparator.NOT_EQUAL: "!=",
    Comparator.GREATER_THAN: ">",
    Comparator.GREATER_THAN_OR_EQUAL: ">=",
    Comparator.LESS_THAN: "<",
    Comparator.LESS_THAN_OR_EQUAL: "<=",
}
_EQUALITY = frozenset({Comparator.EQUAL, Comparator.NOT_EQUAL})


def matches(label: DesiredLabel, labels: Mapping[str, LabelValue]) -> bool:
    """One label against a worker's (the table of section 3.2): the worker's value is the left operand.

    A missing key, values of two types, and an order between texts never match.
    """
    have, want = labels.get(label.key), label.value
    if have is None or isinstance(have, str) is not isinstance(want, str):
        return False
    if label.comparator is Comparator.EQUAL:
        return have == want
    if label.comparator is Comparator.NOT_EQUAL:
        return have != want
    if isinstance(have, str) or isinstance(want, str):
        return False
    return _ordered(label.comparator, have, want)


def _ordered(comparator: Comparator, have: int, want: int) -> bool:
    if comparator is Comparator.GREATER_THAN:
        return have > want
    if comparator is Comparator.GREATER_THAN_OR_EQUAL:
        return have >= want
    if comparator is Comparator.LESS_THAN:
        return have < want
    return have <= want


def first_unmet(desired: Iterable[DesiredLabel], labels: Mapping[str, LabelValue]) -> DesiredLabel | None:
    """The first required label that the worker does not match; None: it passes (LB-8)."""
    return next((label for label in desired if label.required and not matches(label, labels)), None)


def score(desired: Iterable[DesiredLabel], labels: Mapping[str, LabelValue]) -> int:
    """Sum of the weights of all matching labels, required ones included; may be negative (LB-9, LB-10)."""
    return sum(label.weight for label in desired if matches(label, labels))


def described(label: DesiredLabel) -> str:
    """`gpu = "yes"`, `memory > 512`: for people."""
    value = f'"{label.value}"' if isinstance(label.value, str) else str(label.value)
    return f"{label.key} {SIGNS[label.comparator]} {value}"


def described_value(labels: Mapping[str, LabelValue], key: str) -> str:
    """What a worker has under a key, for people."""
    value = labels.get(key)
    if value is None:
        return "no such label"
    return f'"{value}"' if isinstance(value, str) else str(value)


def check_labels(desired: Iterable[DesiredLabel], where: str) -> None:
    """Refuse a required label that can never match: an order between texts (LB-7)."""
    for label in desired:
        if label.required and isinstance(label.value, str) and label.comparator not in _EQUALITY:
            raise InvalidArgument(
                f"{where}: required label {described(label)} compares texts by order and can never match; "
                "use an integer value, or EQUAL or NOT_EQUAL"
            )


def can_never_match(label: DesiredLabel) -> bool:
    """An optional label that no worker can ever match (LB-7); accepted, noted in the timeline."""
    return isinstance(label.value, str) and label.comparator not in _EQUALITY
