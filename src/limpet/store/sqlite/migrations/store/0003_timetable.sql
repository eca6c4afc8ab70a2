-- What is planned:
--
--   crons       when workflows start by themselves again and again; declared by a version, or made by a call
--   schedules   runs that are to start at an instant; the commit that starts one deletes its row

CREATE TABLE crons (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    workflow_key INTEGER NOT NULL,
    name TEXT NOT NULL,
    expression TEXT NOT NULL,
    input BLOB NOT NULL,
    input_bytes INTEGER NOT NULL,
    metadata BLOB NOT NULL,
    priority INTEGER,
    enabled INTEGER NOT NULL,
    method INTEGER NOT NULL,
    next_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX crons_by_id ON crons (tenant_no, id);
CREATE UNIQUE INDEX crons_by_name ON crons (workflow_key, name, expression);
CREATE INDEX crons_by_time ON crons (tenant_no, next_at, key, input_bytes) WHERE next_at IS NOT NULL;

CREATE TABLE schedules (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    workflow_key INTEGER NOT NULL,
    at INTEGER NOT NULL,
    input BLOB NOT NULL,
    input_bytes INTEGER NOT NULL,
    metadata BLOB NOT NULL,
    priority INTEGER,
    parent_run_id TEXT,
    parent_task_id TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX schedules_by_id ON schedules (tenant_no, id);
CREATE INDEX schedules_by_time ON schedules (tenant_no, at, key, input_bytes);
