"""Webhooks of the core: named once in a tenant, changed in parts, deleted (flow control, section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from limpet.core.errors import InvalidArgument, NotFound
from limpet.core.settings import Settings
from limpet.core.webhook_inputs import WebhookCreated, WebhookDeleted, WebhookUpdated
from limpet.core.webhook_rows import WebhookRow
from limpet.testing.scenario import Scenario


def create(s: Scenario, name: str = "github", **values: Any) -> WebhookRow:
    given = {"id": "i", "source": "GITHUB", "auth": "HMAC", "key_expression": "'k'", "secret": b"sealed", **values}
    return s.ask(WebhookCreated(name=name, **given), WebhookRow)


def test_F8_1_a_webhook_is_stored_and_its_name_is_taken_until_it_is_deleted() -> None:
    s = Scenario(checks_reload=True)
    row = create(s, scope_expression="'s'", static_payload=b'{"a":1}', returns_event=False, auth_settings=b'{"h":1}')
    assert s.tables.webhooks == {row.key: row}
    assert (row.scope_expression, row.static_payload, row.returns_event, row.secret) == ("'s'", b'{"a":1}', 0, b"sealed")
    with pytest.raises(InvalidArgument, match="already"):
        create(s)
    assert s.ask(WebhookDeleted("github"), WebhookRow) == row
    assert create(s).key != row.key
    for item in (WebhookDeleted("other"), WebhookUpdated("other")):
        with pytest.raises(NotFound):
            s.ask(item, WebhookRow)


def test_F8_16_an_update_changes_what_is_given() -> None:
    s = Scenario(checks_reload=True)
    row = create(s, scope_expression="'s'")
    s.advance(1)
    changed = s.ask(
        WebhookUpdated("github", key_expression="input.k", static_payload=b'{"b":1}', returns_event=False), WebhookRow
    )
    assert changed == row._replace(key_expression="input.k", static_payload=b'{"b":1}', returns_event=0, updated_at=s.now)
    assert s.ask(WebhookUpdated("github", scope_expression=""), WebhookRow).scope_expression is None
    assert s.ask(WebhookUpdated("github", scope_expression="'t'"), WebhookRow).scope_expression == "'t'"


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""}, {"name": "a/b"}, {"name": "x" * 256}, {"key_expression": " "}, {"key_expression": "x" * 5_000},
        {"scope_expression": "x" * 5_000}, {"static_payload": b"x" * 70_000},
    ],
)  # fmt: skip
def test_what_cannot_be_a_webhook_is_refused(values: dict[str, Any]) -> None:
    s = Scenario()
    with pytest.raises(InvalidArgument):
        create(s, **values)
    assert not s.tables.webhooks
    assert not s.machine.state.webhooks


def test_F8_16_a_tenant_has_so_many_webhooks() -> None:
    s = Scenario(Settings(webhooks_max=1))
    create(s)
    with pytest.raises(InvalidArgument, match="webhooks_max"):
        create(s, "second")
