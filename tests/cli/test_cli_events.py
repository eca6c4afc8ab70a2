"""`limpet events` and `limpet filters`: pushed, listed, shown; and what they say when nothing starts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from running_engine import LIMPET, STOP_MAX_S, Command, Running, until

MODULE = """
from limpet import Context, EmptyModel, Limpet

limpet = Limpet()


@limpet.task(name="orders", on_events=["order:*"])
def orders(input: EmptyModel, ctx: Context) -> None: ...


worker = limpet.worker("orders-worker", workflows=[orders])
"""


@pytest.fixture(scope="module", autouse=True)
def worker(engine: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A worker whose task starts on order:*."""
    folder = tmp_path_factory.mktemp("orders")
    (folder / "orders.py").write_text(MODULE)
    process = subprocess.Popen([*LIMPET, "worker", "orders"], cwd=folder, env=engine.environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=STOP_MAX_S)


def test_events_and_filters_from_the_command_line(engine: Running, limpet: Command) -> None:
    def said(*words: str, code: int = 0) -> str:
        ended = limpet(*words, env=engine.environment)
        assert ended.returncode == code, ended.stderr
        return ended.stdout + ended.stderr

    until(lambda: "orders" in said("workflows", "list"), "the workflow is registered")
    payload = ("--payload", '{"n": 1}', "--metadata", "customer=42")
    pushed = said("events", "push", "order:created", *payload)
    assert "Pushed order:created as " in pushed
    assert "it started 1 run:" in pushed
    run = pushed.split()[-1]
    event = json.loads(said("events", "list", "--key", "order:created", "--metadata", "customer=42", "--json"))["rows"][0]
    assert event["triggeredRuns"][0]["workflowRunId"] == run
    page = said("events", "get", event["metadata"]["id"])
    assert 'Payload:   {"n": 1}\n' in page
    assert run in page
    assert "no filter lets it through" in said("events", "push", "silent")
    made = json.loads(said("filters", "create", "orders", "eu", "input.missing > 1", "--json"))["metadata"]["id"]
    listed = said("filters", "list", "--workflow", "orders", "--scope", "eu")
    assert made in listed
    assert "input.missing > 1" in listed
    assert "it started no run" in said("events", "push", "order:x", "--scope", "eu")
    assert made in said("events", "failures")
    assert "order:x" in said("events", "list", "--scope", "eu", "--limit", "5")
    assert "Deleted filter" in said("filters", "delete", made)
    assert "start on every event" in said("filters", "list")
    assert "not found" in said("filters", "delete", made, code=3)
    assert "must be a JSON object" in said("events", "push", "k", "--payload", "[1]", code=2)


def test_webhooks_from_the_command_line(engine: Running, limpet: Command) -> None:
    environment = {**engine.environment, "LIMPET_WEBHOOK_SECRET": "s3cret"}
    made = limpet("webhooks", "create", "mine", "'order:posted'", "--auth", "API_KEY", "--header", "X-Key", env=environment)
    assert made.returncode == 0, made.stderr
    address = made.stdout.split()[-1]
    answer = httpx.post(address, json={"n": 1}, headers={"x-key": "s3cret"})
    assert answer.json()["event"]["key"] == "order:posted"
    listed = limpet("webhooks", "list", "--json", env=engine.environment).stdout
    assert "s3cret" not in listed
    assert json.loads(listed)["rows"][0]["name"] == "mine"
    assert "mine" in limpet("webhooks", "list", env=engine.environment).stdout
    shown = limpet("events", "get", answer.json()["event"]["metadata"]["id"], env=engine.environment).stdout
    assert "Webhook:   mine\n" in shown
    assert limpet("webhooks", "delete", "mine", env=engine.environment).stdout == "Deleted webhook mine.\n"
    assert httpx.post(address, json={}, headers={"x-key": "s3cret"}).status_code == 403
    nobody = limpet("webhooks", "create", "open", "'k'", env=engine.environment)
    assert (nobody.returncode, "everybody post" in nobody.stderr) == (2, True)
