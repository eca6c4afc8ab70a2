"""How a workflow that declares what the engine does not carry out yet is shown: in the log, the list and the timeline."""

from __future__ import annotations

from pathlib import Path

import grpc
from running_engine import Command, running

from limpet.contracts import admin_pb2 as admin
from limpet.contracts.stubs import AdminServiceStub

WARNING = (
    "Workflow nightly, workflow: this engine does not carry out event triggers yet; "
    "no run starts by itself from it; triggers by name work."
)


def register(address: str, token: str) -> None:
    """A workflow that an event should start, as a worker registers it at each of its starts."""
    only = admin.CreateTaskOpts(readable_id="sweep", action="nightly:sweep")
    request = admin.CreateWorkflowVersionRequest(name="nightly", tasks=[only], event_triggers=["order:paid"])
    with grpc.insecure_channel(address) as channel:
        AdminServiceStub(channel).PutWorkflow(request, metadata=(("authorization", f"bearer {token}"),), timeout=10)


def test_a_feature_that_is_not_carried_out_is_said_in_the_log_the_list_and_the_timeline(tmp_path: Path, limpet: Command) -> None:
    with running("dev", cwd=tmp_path) as engine:
        for _ in range(2):
            register(engine.ready["grpc"], engine.ready["token"])
        assert limpet("workflows", "list", env=engine.environment).stdout.splitlines()[-1] == WARNING
        run = limpet("workflows", "trigger", "nightly", env=engine.environment).stdout.split()[-1]
        page = limpet("runs", "get", run, env=engine.environment).stdout
        assert WARNING in page
        code, said = engine.stop()
    assert code == 0
    assert said.count(WARNING) == 1, "every start of a worker registers it again, and that is no news"
