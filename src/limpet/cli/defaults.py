"""Where an engine is when nobody says otherwise."""

from __future__ import annotations

from limpet.core.ids import TenantId

LOOPBACK = "127.0.0.1"
GRPC_PORT = 7077  # as the official clients' documentation publishes it
HTTP_PORT = 8888
TENANT_ID = TenantId("707d0855-80ab-4e1f-a156-f1c4546cbf52")  # the tenant that official set-ups begin with, too
TENANT_NAME = "default"
DEV_URL = f"http://{LOOPBACK}:{HTTP_PORT}"
