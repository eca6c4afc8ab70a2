"""Processes that the benchmarks start: a worker and a client, with our SDK or the official one."""
