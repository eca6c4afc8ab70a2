-- Webhooks: what commits write, what a core is rebuilt from, what people and posts ask for.

-- name: webhooks_to_load
-- All webhooks of a tenant.
SELECT * FROM webhooks WHERE tenant_no = :tenant_no ORDER BY key;

-- name: delete_webhook
-- By key.
DELETE FROM webhooks WHERE key = ?;

-- name: upsert_webhook
-- A webhook as it stands now.
INSERT INTO webhooks
    (key, id, tenant_no, name, source, auth, auth_settings, secret, created_at, key_expression, scope_expression,
     static_payload, returns_event, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    key_expression = excluded.key_expression, scope_expression = excluded.scope_expression,
    static_payload = excluded.static_payload, returns_event = excluded.returns_event, updated_at = excluded.updated_at;
