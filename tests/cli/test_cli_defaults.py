"""A client, an engine and a command line without configuration mean the same place and the same tenant."""

from __future__ import annotations

from limpet.cli import defaults
from limpet.engine.recovery import DEFAULT_TENANT_ID
from limpet.sdk.config import DEV_GRPC_ADDRESS, DEV_SERVER_URL, DEV_TENANT_ID


def test_all_rooms_agree_about_the_default_tenant() -> None:
    assert defaults.TENANT_ID == DEFAULT_TENANT_ID == DEV_TENANT_ID


def test_all_rooms_agree_about_the_default_addresses() -> None:
    assert f"{defaults.LOOPBACK}:{defaults.GRPC_PORT}" == DEV_GRPC_ADDRESS
    assert defaults.DEV_URL == DEV_SERVER_URL
