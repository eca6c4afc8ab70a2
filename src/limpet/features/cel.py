"""An import path of the official package; the names live in `limpet.sdk`."""

from limpet.sdk.features.cel import CELClient, CELEvaluationResult, CELFailure, CELSuccess

__all__ = ["CELClient", "CELEvaluationResult", "CELFailure", "CELSuccess"]
