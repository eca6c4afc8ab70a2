"""Acceptance cases of the specifications that no test in this folder shows, each with its reason. The one list.

`WAITING`: the whole case, or (marked in words) the rest of it, waits for a feature that this engine does not carry out
yet; whoever builds the feature takes the line out and adds the test. `ELSEWHERE`: cases about an edge, a client or a
process; a test in the named folder carries the id.
"""

from __future__ import annotations

WAITING = {
    "84": "durable tasks",
    "92": "batch tasks",
    "93": "durable tasks; pools of two types are shown",
}
WAITING_WORKFLOWS = dict.fromkeys((*range(60, 87), 121), "durable tasks") | dict.fromkeys(range(107, 115), "batch tasks")
PARTLY_SHOWN = frozenset({"93"})

ELSEWHERE = {
    "20": "tests/sdk",
    "21": "tests/testing",
    "48": "tests/testing",
    "59": "tests/sdk",
    "60": "tests/sdk",
    "66": "tests/testing",
    "79": "tests/testing",
    "98": "tests/sdk",
}
