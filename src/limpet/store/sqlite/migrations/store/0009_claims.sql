-- Idempotency keys:
--
--   claims   keys that runs hold, one row for each run that holds one; rows of expired keys are purged beside the commits

CREATE TABLE claims (
    key INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    name BLOB NOT NULL,
    run_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX claims_by_name ON claims (tenant_no, name);
CREATE INDEX claims_by_time ON claims (expires_at);
