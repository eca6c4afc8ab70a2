"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.exceptions import (
    DedupeViolationError,
    EngineNotFoundError,
    FailedTaskRunExceptionGroup,
    IllegalTaskOutputError,
    InvalidDependencyError,
    LifespanSetupError,
    LoopAlreadyRunningError,
    NonRetryableException,
    RetryAfterException,
    TaskRunError,
)

__all__ = [
    "DedupeViolationError",
    "EngineNotFoundError",
    "FailedTaskRunExceptionGroup",
    "IllegalTaskOutputError",
    "InvalidDependencyError",
    "LifespanSetupError",
    "LoopAlreadyRunningError",
    "NonRetryableException",
    "RetryAfterException",
    "TaskRunError",
]
