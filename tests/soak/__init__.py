"""The soak: real servers, workers and clients under random kills, and an auditor who believes only what was written down."""
