-- What limits the pace of tasks:
--
--   rate_limits  how many units each limit has, and how many are left in the window that runs; kept until they are deleted

CREATE TABLE rate_limits (
    key INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    limit_value INTEGER NOT NULL,
    value INTEGER NOT NULL,
    window_unit INTEGER NOT NULL,
    refilled_at INTEGER NOT NULL,
    refill_at INTEGER,
    paused_until INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX rate_limits_by_name ON rate_limits (tenant_no, name);
