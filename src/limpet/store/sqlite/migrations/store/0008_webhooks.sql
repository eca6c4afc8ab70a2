-- Addresses that take posts of other services as events:
--
--   webhooks  one row for each; the secret is encrypted under a key that the store never sees

CREATE TABLE webhooks (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    auth TEXT NOT NULL,
    auth_settings BLOB NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    key_expression TEXT NOT NULL,
    scope_expression TEXT,
    static_payload BLOB NOT NULL,
    returns_event INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX webhooks_by_name ON webhooks (tenant_no, name);
