-- What the engine's owner reads and writes outside its commits.

-- name: fence
-- Who may write, and how often was written.
SELECT epoch, seq FROM ownership;

-- name: claim
-- Take over: every older owner's next commit raises.
UPDATE ownership SET epoch = epoch + 1;

-- name: tenants
-- All tenants, in the order they came.
SELECT no, id, name, created_at FROM tenants ORDER BY no;

-- name: insert_tenant
-- A new tenant gets the next number; a known id changes nothing.
INSERT INTO tenants (no, id, name, created_at)
VALUES ((SELECT coalesce(max(no), 0) + 1 FROM tenants), :id, :name, :created_at)
ON CONFLICT (id) DO NOTHING;

-- name: tenant_by_id
-- One tenant.
SELECT no, id, name, created_at FROM tenants WHERE id = :id;

-- name: tokens
-- All tokens, revoked and expired ones too.
SELECT id, tenant_no, name, created_at, expires_at, revoked_at, last_used_at FROM tokens ORDER BY created_at, id;

-- name: put_token
-- A token as it stands now.
INSERT INTO tokens (id, tenant_no, name, created_at, expires_at, revoked_at, last_used_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    tenant_no = excluded.tenant_no, name = excluded.name, created_at = excluded.created_at,
    expires_at = excluded.expires_at, revoked_at = excluded.revoked_at, last_used_at = excluded.last_used_at;

-- name: insert_quarantined
-- Keep an input that could not be processed.
INSERT INTO quarantine (tenant_no, at, reason, content) VALUES (?, ?, ?, ?);

-- name: trim_quarantine
-- The newest are kept.
DELETE FROM quarantine WHERE number <= (SELECT max(number) FROM quarantine) - :kept;

-- name: quarantined
-- What was kept, newest first.
SELECT tenant_no, at, reason, content FROM quarantine ORDER BY number DESC LIMIT :kept;

-- name: largest_key
-- The largest row key a tenant has, or ever had and deleted.
SELECT max(
    coalesce((SELECT key_floor FROM tenants WHERE no = :tenant_no), 0),
    coalesce((SELECT max(key) FROM workflows WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM versions WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM workers WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM runs WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM tasks WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM receipts WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM events WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM crons WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM schedules WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM rate_limits WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM pushed_events WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM filters WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM expression_failures WHERE key BETWEEN :key_first AND :key_last), 0),
    coalesce((SELECT max(key) FROM webhooks WHERE key BETWEEN :key_first AND :key_last), 0)
);

-- name: live_workflows
-- Workflows of a tenant that are not deleted.
SELECT {workflow_columns} FROM workflows
WHERE key BETWEEN :key_first AND :key_last AND deleted_at IS NULL ORDER BY name, key;

-- name: versions_to_load
-- The newest version of each workflow, and those of unfinished runs.
SELECT {version_columns} FROM versions
WHERE key IN (
    SELECT version_key FROM runs WHERE tenant_no = :tenant_no AND status < 2
    UNION
    SELECT v.key FROM workflows AS w JOIN versions AS v ON v.workflow_key = w.key
    WHERE w.key BETWEEN :key_first AND :key_last AND w.deleted_at IS NULL
        AND v.number = (SELECT max(n.number) FROM versions AS n WHERE n.workflow_key = w.key)
)
ORDER BY key;

-- name: workers_to_load
-- Workers of a tenant that are not forgotten.
SELECT {worker_columns} FROM workers WHERE key BETWEEN :key_first AND :key_last ORDER BY key;

-- name: unfinished_runs
-- Runs of a tenant that have not ended, without their inputs.
SELECT {run_columns} FROM runs WHERE tenant_no = :tenant_no AND status < 2 ORDER BY key;

-- name: tasks_of_unfinished_runs
-- All tasks of those runs, without their outputs.
SELECT {task_columns} FROM tasks
WHERE run_key IN (SELECT key FROM runs WHERE tenant_no = :tenant_no AND status < 2) ORDER BY key;

-- name: receipts_to_load
-- Receipts of a tenant that are not folded away.
SELECT key, tenant_no, items FROM receipts WHERE key BETWEEN :key_first AND :key_last ORDER BY key;

-- name: run_by_child_ref
-- A child by the name its parent gave it.
SELECT r.id FROM runs AS r WHERE r.tenant_no = :tenant_no AND r.child_ref = :wanted AND {not_gone};

-- name: run_by_request
-- A run by the request that triggered it.
SELECT r.id FROM runs AS r WHERE r.tenant_no = :tenant_no AND r.request_id = :wanted AND {not_gone};

-- name: run_keys_by_any_id
-- Runs by their own id or by the id of one of their tasks.
SELECT r.key FROM runs AS r
WHERE r.key IN (
    SELECT key FROM runs WHERE tenant_no = :tenant_no AND id = :wanted
    UNION
    SELECT run_key FROM tasks WHERE tenant_no = :tenant_no AND id = :wanted
) AND {not_gone};
