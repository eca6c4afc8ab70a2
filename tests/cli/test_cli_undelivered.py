"""How a workflow that declares what the engine does not carry out yet is shown: in the log, the list and to who triggers it."""

from __future__ import annotations

from pathlib import Path

import grpc
from running_engine import Command, running

from limpet.contracts import admin_pb2 as admin
from limpet.contracts.stubs import AdminServiceStub

WARNING = (
    "Workflow nightly, task sweep: this engine does not carry out durable tasks yet; "
    "runs of this workflow are refused, because they would end differently."
)


def register(address: str, token: str) -> None:
    """A workflow with a durable task, as a worker registers it at each of its starts."""
    only = admin.CreateTaskOpts(readable_id="sweep", action="nightly:sweep", is_durable=True)
    request = admin.CreateWorkflowVersionRequest(name="nightly", tasks=[only])
    with grpc.insecure_channel(address) as channel:
        AdminServiceStub(channel).PutWorkflow(request, metadata=(("authorization", f"bearer {token}"),), timeout=10)


def test_a_feature_that_is_not_carried_out_is_said_in_the_log_the_list_and_the_refusal(tmp_path: Path, limpet: Command) -> None:
    with running("dev", cwd=tmp_path) as engine:
        for _ in range(2):
            register(engine.ready["grpc"], engine.ready["token"])
        assert limpet("workflows", "list", env=engine.environment).stdout.splitlines()[-1] == WARNING
        refused = limpet("workflows", "trigger", "nightly", env=engine.environment)
        assert refused.returncode == 1
        assert WARNING.removesuffix(".") in " ".join(refused.stderr.split()), "a long line is wrapped"
        code, said = engine.stop()
    assert code == 0
    assert said.count(WARNING) == 1, "every start of a worker registers it again, and that is no news"
