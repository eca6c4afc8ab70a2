-- Paused workflows:
--
--   pauses   the last pause of each workflow that ever was paused

CREATE TABLE pauses (
    key INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    paused_at INTEGER,
    queue_ttl_us INTEGER NOT NULL,
    crons INTEGER NOT NULL,
    schedules INTEGER NOT NULL,
    resumed_at INTEGER
) STRICT;
