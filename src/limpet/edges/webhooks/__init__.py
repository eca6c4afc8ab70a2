"""Posts of other services as events: who may post, what a post says, and the address that takes it."""
