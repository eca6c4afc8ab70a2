"""`limpet rate-limits`: set, listed and deleted against a running engine."""

from __future__ import annotations

import json

from running_engine import Command, Running


def test_a_limit_is_set_listed_changed_and_deleted(engine: Running, limpet: Command) -> None:
    def said(*words: str) -> str:
        answer = limpet("rate-limits", *words, env=engine.environment)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    assert said("put", "api", "--limit", "10", "--window", "minute") == (
        "The rate limit api has 10 units per MINUTE from now on.\n"
    )
    assert json.loads(said("put", "mail", "--limit", "3", "--json")) == {"key": "mail", "limitValue": 3, "window": "SECOND"}
    header, _, *rows = said("list", "--order", "limit", "--descending").splitlines()
    assert header.split() == ["key", "left", "limit", "window", "last", "refill"]
    assert [row.split()[:5] for row in rows] == [["api", "10", "10", "1", "MINUTE"], ["mail", "3", "3", "1", "SECOND"]]
    assert [row["key"] for row in json.loads(said("list", "--search", "ai", "--json"))["rows"]] == ["mail"]
    said("put", "api", "--limit", "4", "--window", "DAY")
    [row] = json.loads(said("list", "--search", "api", "--json"))["rows"]
    assert (row["value"], row["limitValue"], row["window"]) == (4, 4, "1 DAY")
    assert said("delete", "api") == "The rate limit api is gone.\n"
    assert json.loads(said("delete", "mail", "--json")) == {"key": "mail"}
    assert "There is no such rate limit." in said("list")


def test_what_nobody_has_set_is_said_to_be_missing(engine: Running, limpet: Command) -> None:
    answer = limpet("rate-limits", "delete", "nobody", env=engine.environment)
    assert (answer.returncode, answer.stdout) == (3, "")
    assert "Rate limit nobody not found" in answer.stderr
    assert limpet("rate-limits", "put", "api", "--limit", "-1", env=engine.environment).returncode == 2
