"""The seeded simulation (reliability 6.1): the real core, a model store, workers that behave like the official clients.

Laws:
1. One process, one virtual clock, one `random.Random(seed)`: the same seed is the same run, on any machine.
2. The checker sees rows, inputs and deliveries. It never asks the core what is right.
3. A fault that a seed chooses is counted; what the whole suite has seen is asserted (reliability 6.4).

One seed again: `python -m tests.simulation --seed N`. Many: `python -m tests.simulation --seeds 5000`.
"""
