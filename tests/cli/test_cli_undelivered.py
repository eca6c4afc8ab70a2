"""How a workflow that declares what the engine does not carry out yet is shown: in the log, the list and the timeline."""

from __future__ import annotations

from pathlib import Path

import grpc
from running_engine import Command, running

from limpet.contracts import admin_pb2 as admin
from limpet.contracts import conditions_pb2 as conditions
from limpet.contracts.stubs import AdminServiceStub

WARNING = (
    "Workflow nightly, task sweep: this engine does not carry out the scope and the look-back of a task's event conditions yet; "
    "an event of any scope counts, from the moment on in which the task begins to wait."
)


def register(address: str, token: str) -> None:
    """A workflow whose task awaits an event of one scope, as a worker registers it at each of its starts."""
    paid = conditions.UserEventMatchCondition(
        base=conditions.BaseMatchCondition(readable_data_key="paid", action=conditions.QUEUE, or_group_id="1"),
        user_event_key="order:paid", event_scope="shop",
    )  # fmt: skip
    only = admin.CreateTaskOpts(
        readable_id="sweep", action="nightly:sweep", conditions=conditions.TaskConditions(user_event_conditions=[paid])
    )
    request = admin.CreateWorkflowVersionRequest(name="nightly", tasks=[only])
    with grpc.insecure_channel(address) as channel:
        AdminServiceStub(channel).PutWorkflow(request, metadata=(("authorization", f"bearer {token}"),), timeout=10)


def test_a_feature_that_is_not_carried_out_is_said_in_the_log_the_list_and_the_timeline(tmp_path: Path, limpet: Command) -> None:
    with running("dev", cwd=tmp_path) as engine:
        for _ in range(2):
            register(engine.ready["grpc"], engine.ready["token"])
        assert limpet("workflows", "list", env=engine.environment).stdout.splitlines()[-1] == WARNING
        run = limpet("workflows", "trigger", "nightly", env=engine.environment).stdout.split()[-1]
        page = limpet("runs", "get", run, env=engine.environment).stdout
        assert WARNING in " ".join(page.split()), "a long line is wrapped"
        code, said = engine.stop()
    assert code == 0
    assert said.count(WARNING) == 1, "every start of a worker registers it again, and that is no news"
