"""Acceptance of the client and the worker, case by case as they are numbered, against a real engine in this process."""
