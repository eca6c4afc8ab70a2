"""What a workflow declares and this engine does not carry out yet: never ignored in silence.

It is said when the workflow is registered, wherever the workflow is shown, and on the timeline of each of its runs. Where a
run would end differently from what its author wrote, its trigger is refused with the same sentence.
"""

from __future__ import annotations

from limpet.core.definitions import CHANGES_OUTCOME, Feature, WorkflowDefinition
from limpet.core.errors import NotSupported

WARNINGS_MAX = 20  # of one workflow: a graph of a thousand tasks must not fill the log, a page or a timeline

OLDER = frozenset(
    {
        Feature.CONCURRENCY, Feature.TENANT_CONCURRENCY, Feature.COMPUTED_CONCURRENCY, Feature.CONDITIONS, Feature.EVENT_SCOPE,
        Feature.RATE_LIMITS, Feature.EVENTS, Feature.FILTERS, Feature.IDEMPOTENCY, Feature.CRON,
    }
)  # fmt: skip  # carried out by now


def warnings_of(definition: WorkflowDefinition) -> tuple[str, ...]:
    """A sentence for each declared feature that is not carried out; of very many, the first and how many follow."""
    told = definition.undelivered[:WARNINGS_MAX]
    sentences = tuple(_sentence(definition, feature, where) for feature, where in told)
    left = len(definition.undelivered) - len(told)
    if not left:
        return sentences
    return (*sentences, f"Workflow {definition.name} declares {left} more features that this engine does not carry out yet.")


def check_runnable(definition: WorkflowDefinition) -> None:
    """Raises NotSupported when a run would end differently from what is declared."""
    for feature, where in definition.undelivered:
        if feature in CHANGES_OUTCOME:
            raise NotSupported(_sentence(definition, feature, where))


def _sentence(definition: WorkflowDefinition, feature: Feature, where: str) -> str:
    if feature in OLDER:  # in rows of older releases, which kept no more of it
        return f"Workflow {definition.name}, {where}: it was registered before this engine knew {feature}; register it again."
    consequence = (
        "runs of this workflow are refused, because they would end differently"
        if feature in CHANGES_OUTCOME
        else "no run starts by itself from it; triggers by name work"
    )
    return f"Workflow {definition.name}, {where}: this engine does not carry out {feature} yet; {consequence}."
