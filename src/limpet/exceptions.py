"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.exceptions import (
    BulkTriggerIdempotencyCollisionError,
    DedupeViolationError,
    EngineNotFoundError,
    FailedTaskRunExceptionGroup,
    IdempotencyCollisionError,
    IllegalTaskOutputError,
    InvalidDependencyError,
    LifespanSetupError,
    LoopAlreadyRunningError,
    NonRetryableException,
    RetryAfterException,
    TaskRunError,
)

__all__ = [
    "BulkTriggerIdempotencyCollisionError",
    "DedupeViolationError",
    "EngineNotFoundError",
    "FailedTaskRunExceptionGroup",
    "IdempotencyCollisionError",
    "IllegalTaskOutputError",
    "InvalidDependencyError",
    "LifespanSetupError",
    "LoopAlreadyRunningError",
    "NonRetryableException",
    "RetryAfterException",
    "TaskRunError",
]
