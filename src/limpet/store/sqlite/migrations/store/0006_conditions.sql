-- Conditions of tasks:
--
--   waits   what is known of the conditions of one task of a run, from the first that is known on; it goes with its run

CREATE TABLE waits (
    run_key INTEGER NOT NULL,
    step INTEGER NOT NULL,
    tenant_no INTEGER NOT NULL,
    run_created_at INTEGER NOT NULL,
    armed_at INTEGER,
    decided_at INTEGER,
    seen BLOB NOT NULL,
    PRIMARY KEY (run_key, step)
) STRICT, WITHOUT ROWID;
