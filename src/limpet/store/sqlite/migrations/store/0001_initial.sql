-- What every table is for:
--
--   ownership      one row: who may write (epoch) and how often was written (seq); the fence of every commit
--   retention      one row: finished runs that ended before it are gone for every reader, also while their rows wait
--   tenants        who the rows belong to; `key_floor` is the largest row key that was ever deleted, so that no key
--                  returns, and `metadata_cursor` the last run whose metadata stands in the index
--   tokens         what is known of API tokens, never the tokens themselves
--   workflows      names of workflows
--   versions       what was registered under these names
--   workers        registrations of worker processes
--   runs           one row for each workflow run, from birth to end
--   tasks          one row for each task run, from birth to end; its columns are its usual timeline
--   receipts       which attempts their workers have confirmed: one row for each commit that brought some
--   events         what happened to a task beyond its usual timeline
--   run_metadata   the index behind metadata filters, filled after the commits
--   quarantine     inputs that could not be processed, for the operator
--
-- Laws: keys are made by the engine and carry the tenant in their high bits, so one tenant's rows lie side by side in
-- every table. Instants are microseconds. Columns stand in the order of the tuple types in `limpet.core.rows`. There
-- are no foreign keys: a look-up for each reference would cost the commit, and `limpet db check` tests them all.

CREATE TABLE ownership (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO ownership (only, epoch, seq) VALUES (1, 0, 0);

-- The fence raises, it does not merely match nothing: a commit carries the number after the last one and the epoch
-- that stands here; a claim changes the epoch alone, upwards.
CREATE TRIGGER ownership_commit BEFORE UPDATE OF seq ON ownership
WHEN new.epoch IS NOT old.epoch OR new.seq IS NOT old.seq + 1
BEGIN
    SELECT raise(ABORT, 'fence');
END;

CREATE TRIGGER ownership_claim BEFORE UPDATE OF epoch ON ownership
WHEN new.epoch < old.epoch
BEGIN
    SELECT raise(ABORT, 'fence');
END;

CREATE TABLE retention (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    gone_before INTEGER NOT NULL
) STRICT;

INSERT INTO retention (only, gone_before) VALUES (1, 0);

CREATE TABLE tenants (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    key_floor INTEGER NOT NULL DEFAULT 0,
    metadata_cursor INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT;

CREATE TABLE workflows (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX workflows_by_id ON workflows (tenant_no, id);

CREATE TABLE versions (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    workflow_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    definition BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX versions_by_id ON versions (tenant_no, id);
CREATE UNIQUE INDEX versions_by_number ON versions (workflow_key, number);

CREATE TABLE workers (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    actions BLOB NOT NULL,
    slots BLOB NOT NULL,
    labels BLOB NOT NULL,
    runtime BLOB NOT NULL,
    registered_at INTEGER NOT NULL,
    seen_at INTEGER,
    paused INTEGER NOT NULL,
    lost_at INTEGER,
    gone_at INTEGER
) STRICT;

CREATE UNIQUE INDEX workers_by_id ON workers (tenant_no, id);

CREATE TABLE runs (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    workflow_key INTEGER NOT NULL,
    version_key INTEGER NOT NULL,
    status INTEGER NOT NULL,
    input BLOB NOT NULL,
    input_bytes INTEGER NOT NULL,
    metadata BLOB NOT NULL,
    priority INTEGER NOT NULL,
    sticky INTEGER,
    desired_worker_id TEXT,
    desired_labels BLOB,
    pin_state INTEGER NOT NULL,
    pin_worker_id TEXT,
    pin_task_key INTEGER,
    parent_run_id TEXT,
    parent_task_id TEXT,
    child_index INTEGER,
    child_key TEXT,
    child_ref TEXT,
    request_id TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER
) STRICT;

CREATE UNIQUE INDEX runs_by_id ON runs (tenant_no, id);
CREATE UNIQUE INDEX runs_by_child_ref ON runs (tenant_no, child_ref) WHERE child_ref IS NOT NULL;
CREATE UNIQUE INDEX runs_by_request ON runs (tenant_no, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX runs_by_parent ON runs (tenant_no, parent_task_id) WHERE parent_task_id IS NOT NULL;
CREATE INDEX runs_by_age ON runs (tenant_no, created_at);
CREATE INDEX runs_unfinished ON runs (tenant_no) WHERE status < 2;
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE tasks (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    tenant_no INTEGER NOT NULL,
    run_key INTEGER NOT NULL,
    step INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    retry_count INTEGER NOT NULL,
    app_retries INTEGER NOT NULL,
    internal_retries INTEGER NOT NULL,
    level INTEGER NOT NULL,
    class_id INTEGER NOT NULL,
    enqueue_key INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    not_before INTEGER,
    schedule_deadline INTEGER,
    worker_key INTEGER,
    assigned_at INTEGER,
    execution_deadline INTEGER,
    slots_released INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    output BLOB,
    output_bytes INTEGER NOT NULL,
    error TEXT
) STRICT;

CREATE UNIQUE INDEX tasks_by_id ON tasks (tenant_no, id);
CREATE INDEX tasks_by_run ON tasks (run_key);
CREATE INDEX tasks_by_age ON tasks (tenant_no, created_at);
CREATE INDEX tasks_waiting ON tasks (tenant_no, class_id, level DESC, enqueue_key) WHERE status = 1;
CREATE INDEX tasks_by_deadline ON tasks (schedule_deadline) WHERE status = 1 AND schedule_deadline IS NOT NULL;
CREATE INDEX tasks_live ON tasks (worker_key) WHERE status = 3;

CREATE TABLE receipts (
    key INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    items BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    key INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    task_key INTEGER NOT NULL,
    retry_count INTEGER NOT NULL,
    at INTEGER NOT NULL,
    type INTEGER NOT NULL,
    worker_key INTEGER,
    message TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_task ON events (task_key);

CREATE TABLE run_metadata (
    tenant_no INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    run_key INTEGER NOT NULL,
    PRIMARY KEY (tenant_no, name, value, run_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_metadata_by_run ON run_metadata (run_key);

CREATE TABLE quarantine (
    number INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;
