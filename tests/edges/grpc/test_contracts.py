"""Our contracts: the official numbers under names of our own, beside the official client in one process (D7)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from limpet.contracts import admin_pb2, dispatcher_pb2, events_pb2, methods, trigger_pb2, workflows_pb2

BOTH = {
    "ours first": "import limpet.contracts.stubs, limpet.contracts.methods; import hatchet_sdk",
    "theirs first": "import hatchet_sdk; import limpet.contracts.stubs, limpet.contracts.methods",
}


@pytest.mark.parametrize("order", BOTH.values(), ids=BOTH.keys())
def test_D7_our_contracts_and_the_official_client_live_in_one_process(order: str) -> None:
    check = (
        f"{order}\n"
        "from google.protobuf import descriptor_pool\n"
        "pool = descriptor_pool.Default()\n"
        "ours = pool.FindMessageTypeByName('limpet.wire.AssignedAction')\n"
        "theirs = pool.FindMessageTypeByName('AssignedAction')\n"
        "assert {f.number for f in ours.fields} == {f.number for f in theirs.fields}\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_our_names_are_in_packages_of_our_own() -> None:
    for module in (admin_pb2, dispatcher_pb2, events_pb2, trigger_pb2, workflows_pb2):
        assert module.DESCRIPTOR.package.startswith("limpet.wire")
        assert module.DESCRIPTOR.name.startswith("limpet/contracts/")


# Text and bytes look the same on the wire; these are bytes on our side, so that broken texts can be read at all.
AS_BYTES = {
    "StepActionEvent.event_payload",
    "BatchActionEventItem.event_payload",
    "AssignedAction.action_payload",
    "AssignedAction.additional_metadata",
    "WorkflowEvent.event_payload",
    "StepRunResult.output",
    "TriggerWorkflowRequest.input",
    "TriggerWorkflowRequest.additional_metadata",
    "PutLogRequest.message",
    "PutLogRequest.metadata",
}

COMPARE = """
import hatchet_sdk, limpet.contracts.stubs
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor as F
pool = descriptor_pool.Default()
files = {"dispatcher": ("dispatcher.proto", "Dispatcher"), "events": ("events.proto", "EventsService"),
         "workflows": ("workflows.proto", "WorkflowService"), "durable": ("v1/dispatcher.proto", "v1.V1Dispatcher"),
         "admin": ("v1/workflows.proto", "v1.AdminService"), "conditions": ("v1/shared/condition.proto", None),
         "trigger": ("v1/shared/trigger.proto", None)}
def shape(field):
    kind = "text" if field.type in (F.TYPE_STRING, F.TYPE_BYTES) else field.type
    return (field.number, kind, field.is_repeated, field.has_presence, field.containing_oneof is not None)
def differing(ours, theirs, what):
    a, b = {shape(f): f for f in ours.fields}, {shape(f): f for f in theirs.fields}
    for key in a.keys() ^ b.keys():
        yield f"{what}.{(a.get(key) or b.get(key)).name}: {key}"
    for key in a.keys() & b.keys():
        if a[key].type != b[key].type:
            yield f"BYTES {ours.name}.{a[key].name}"
for name, (official, service) in files.items():
    ours, theirs = pool.FindFileByName(f"limpet/contracts/{name}.proto"), pool.FindFileByName(official)
    for message in theirs.message_types_by_name.values():
        mine = ours.message_types_by_name.get(message.name)
        print(*(differing(mine, message, message.name) if mine else [f"missing {message.name}"]), sep="\\n")
    for enum in theirs.enum_types_by_name.values():
        mine = ours.enum_types_by_name[enum.name]
        if {v.number: v.name for v in mine.values} != {v.number: v.name for v in enum.values}:
            print(f"enum {enum.name}")
    if service:
        mine, its = ours.services_by_name[service.split(".")[-1]], theirs.services_by_name[service.split(".")[-1]]
        for method in its.methods:
            own = mine.methods_by_name[method.name]
            one = (own.input_type.name, own.output_type.name, own.client_streaming, own.server_streaming)
            if one != (method.input_type.name, method.output_type.name, method.client_streaming, method.server_streaming):
                print(f"method {method.name}")
"""


def test_every_number_type_and_presence_is_the_official_one() -> None:
    """Held against the descriptors that the installed official client registers; only texts may be bytes."""
    done = subprocess.run([sys.executable, "-c", COMPARE], capture_output=True, text=True, check=True)
    assert {line for line in done.stdout.splitlines() if line} == {f"BYTES {one}" for one in AS_BYTES}


def test_all_methods_are_bound_to_the_official_paths() -> None:
    paths = {method.path for method in methods.METHODS}
    assert {"/Dispatcher/ListenV2", "/v1.AdminService/PutWorkflow", "/v1.V1Dispatcher/DurableTask"} <= paths
    assert (len(paths), len(methods.METHODS)) == (37, 37)
