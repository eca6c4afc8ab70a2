-- What the engine's owner reads and writes outside its commits.

-- name: fence_of_tenant
-- The lease a tenant is under.
SELECT l.group_no, l.epoch, l.seq FROM limpet.tenants AS t
JOIN limpet.leases AS l ON l.group_no = t.group_no AND l.shard_no = 0 WHERE t.no = :tenant_no;

-- name: days
-- The days that have partitions.
SELECT day FROM limpet.days ORDER BY day;

-- name: tenants
-- All tenants, in the order they came.
SELECT no, id, name, created_at, group_no FROM limpet.tenants ORDER BY no;

-- name: create_tenant
-- A new tenant gets the next number; a known id changes nothing.
SELECT no, id, name, created_at, group_no FROM limpet.create_tenant_1(:id, :name, :created_at, :group_no);

-- name: tokens
-- All tokens, revoked and expired ones too.
SELECT id, tenant_no, name, created_at, expires_at, revoked_at, last_used_at FROM limpet.tokens ORDER BY created_at, id;

-- name: put_token
-- A token as it stands now.
INSERT INTO limpet.tokens (id, tenant_no, name, created_at, expires_at, revoked_at, last_used_at)
VALUES (:id, :tenant_no, :name, :created_at, :expires_at, :revoked_at, :last_used_at)
ON CONFLICT (id) DO UPDATE SET
    tenant_no = excluded.tenant_no, name = excluded.name, created_at = excluded.created_at,
    expires_at = excluded.expires_at, revoked_at = excluded.revoked_at, last_used_at = excluded.last_used_at;

-- name: insert_quarantined
-- Keep an input that could not be processed.
INSERT INTO limpet.quarantine (tenant_no, at, reason, content) VALUES (:tenant_no, :at, :reason, :content);

-- name: trim_quarantine
-- The newest are kept.
DELETE FROM limpet.quarantine WHERE number <= (SELECT max(number) FROM limpet.quarantine) - :kept;

-- name: quarantined
-- What was kept, newest first.
SELECT tenant_no, at, reason, content FROM limpet.quarantine ORDER BY number DESC LIMIT :kept;

-- name: largest_key
-- The largest row key a tenant has, or ever had and deleted.
SELECT greatest(
    (SELECT key_floor FROM limpet.tenants WHERE no = :tenant_no),
    (SELECT max(key) FROM limpet.workflows WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.versions WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.workers WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.runs WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.tasks WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.receipts WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.events WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.crons WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.schedules WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.rate_limits WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.pushed_events WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.filters WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.expression_failures WHERE key BETWEEN :key_first AND :key_last),
    (SELECT max(key) FROM limpet.webhooks WHERE key BETWEEN :key_first AND :key_last),
    0
);

-- name: live_workflows
-- Workflows of a tenant that are not deleted.
SELECT {workflow_columns} FROM limpet.workflows
WHERE key BETWEEN :key_first AND :key_last AND deleted_at IS NULL ORDER BY name, key;

-- name: versions_to_load
-- The newest version of each workflow, and those of unfinished runs.
SELECT {version_columns} FROM limpet.versions
WHERE key = ANY (:keys) OR key IN (
    SELECT v.key FROM limpet.workflows AS w CROSS JOIN LATERAL (
        SELECT n.key FROM limpet.versions AS n WHERE n.workflow_key = w.key ORDER BY n.number DESC LIMIT 1
    ) AS v
    WHERE w.key BETWEEN :key_first AND :key_last AND w.deleted_at IS NULL
)
ORDER BY key;

-- name: workers_to_load
-- Workers of a tenant that are not forgotten.
SELECT {worker_columns} FROM limpet.workers WHERE key BETWEEN :key_first AND :key_last ORDER BY key;

-- name: open_runs
-- Keys of a tenant's runs that have not ended, with the days they were born.
SELECT key, day FROM limpet.open_runs WHERE key BETWEEN :key_first AND :key_last;

-- name: receipts_to_load
-- Receipts of a tenant that are not folded away.
SELECT key, tenant_no, items FROM limpet.receipts WHERE key BETWEEN :key_first AND :key_last ORDER BY key;

-- name: runs_by_name
-- Runs by a name their parent or their request gave them. The name is found first, then its run, in one partition.
SELECT n.name, found.id FROM limpet.run_names AS n CROSS JOIN LATERAL (
    SELECT r.id FROM limpet.runs AS r WHERE r.day IN (n.day, 0) AND r.key = n.run_key AND {not_gone} OFFSET 0
) AS found
WHERE n.tenant_no = :tenant_no AND n.name = ANY (:names);

-- name: run_keys_by_any_id
-- Runs by their own id or by the id of one of their tasks, with the day of each.
SELECT r.key, (r.created_at / 86400000000)::integer FROM limpet.runs AS r
WHERE r.tenant_no = :tenant_no AND r.id = ANY (:ids) AND r.day = ANY (:days) AND {not_gone}
UNION
SELECT found.key, found.day FROM limpet.tasks AS t CROSS JOIN LATERAL (
    SELECT r.key, (r.created_at / 86400000000)::integer AS day FROM limpet.runs AS r
    WHERE r.day IN (t.run_day, 0) AND r.key = t.run_key AND {not_gone} OFFSET 0
) AS found
WHERE t.tenant_no = :tenant_no AND t.id = ANY (:ids) AND t.day = ANY (:days);

-- name: runs_by_key
-- Rows without inputs.
SELECT {run_columns} FROM limpet.runs WHERE day = ANY (:days) AND key = ANY (:keys) ORDER BY key;

-- name: tasks_by_run
-- All tasks of some runs, without outputs.
SELECT {task_columns} FROM limpet.tasks
WHERE (day >= :day_first OR day = 0) AND run_key = ANY (:run_keys) ORDER BY run_key, step, key;

-- name: whole_tasks_by_key
-- Rows with outputs.
SELECT {whole_task_columns} FROM limpet.tasks WHERE day = ANY (:days) AND key = ANY (:keys) ORDER BY key;

-- name: inputs_by_key
-- Inputs of some runs.
SELECT key, input FROM limpet.runs WHERE day = ANY (:days) AND key = ANY (:keys);

-- name: versions_by_key
-- Some versions.
SELECT {version_columns} FROM limpet.versions WHERE key = ANY (:keys) ORDER BY key;
