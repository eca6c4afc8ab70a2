-- Events that were pushed, what they started, and what lets them through:
--
--   pushed_events        one row for each event, as it came
--   event_runs           the runs that events started, and what the filter had to say; `key` is the run's
--   filters              which events of a scope start a workflow; declared by a version, or made by a call
--   expression_failures  expressions that could not be evaluated, for people

CREATE TABLE pushed_events (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    payload BLOB NOT NULL,
    payload_bytes INTEGER NOT NULL,
    metadata BLOB NOT NULL,
    priority INTEGER,
    scope TEXT,
    webhook TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX pushed_events_by_id ON pushed_events (tenant_no, id);
CREATE INDEX pushed_events_by_age ON pushed_events (tenant_no, created_at, key);

CREATE TABLE event_runs (
    key INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    event_key INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    event_name TEXT NOT NULL,
    filter_id TEXT,
    filter_payload BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX event_runs_by_event ON event_runs (event_key, key);
CREATE INDEX event_runs_by_event_id ON event_runs (tenant_no, event_id, key);

CREATE TABLE filters (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    workflow_key INTEGER NOT NULL,
    declared INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    scope TEXT NOT NULL,
    expression TEXT NOT NULL,
    payload BLOB NOT NULL,
    revision INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX filters_by_id ON filters (tenant_no, id);

CREATE TABLE expression_failures (
    key INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    at INTEGER NOT NULL,
    source INTEGER NOT NULL,
    about TEXT NOT NULL,
    event_id TEXT,
    message TEXT NOT NULL
) STRICT;

CREATE INDEX expression_failures_by_age ON expression_failures (at);
