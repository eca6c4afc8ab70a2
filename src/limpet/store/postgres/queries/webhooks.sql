-- Webhooks: what commits write, what a core is rebuilt from, what people and posts ask for.

-- name: webhooks_to_load
-- All webhooks of a tenant.
SELECT * FROM limpet.webhooks WHERE tenant_no = :tenant_no ORDER BY key;
