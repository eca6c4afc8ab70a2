"""CEL: the expressions of workflows, evaluated at the edge, before the core's step (R3, decision 0018)."""
