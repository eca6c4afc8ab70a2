"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.conditions import Condition, OrGroup, ParentCondition, SleepCondition, UserEventCondition, or_

__all__ = ["Condition", "OrGroup", "ParentCondition", "SleepCondition", "UserEventCondition", "or_"]
