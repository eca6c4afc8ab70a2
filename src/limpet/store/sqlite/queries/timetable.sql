-- Crons and scheduled runs: what commits write, what a step needs, what people read.

-- name: delete_cron
-- By key.
DELETE FROM crons WHERE key = ?;

-- name: upsert_cron
-- A cron as it stands now.
INSERT INTO crons
    (key, id, tenant_no, workflow_key, name, expression, input, input_bytes, metadata, priority, enabled, method, next_at,
     created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    input = excluded.input, input_bytes = excluded.input_bytes, metadata = excluded.metadata, priority = excluded.priority,
    enabled = excluded.enabled, next_at = excluded.next_at;

-- name: delete_schedule
-- By key.
DELETE FROM schedules WHERE key = ?;

-- name: upsert_schedule
-- A scheduled run as it stands now.
INSERT INTO schedules
    (key, id, tenant_no, workflow_key, at, input, input_bytes, metadata, priority, parent_run_id, parent_task_id, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET at = excluded.at;

-- name: first_due
-- When the first of all is due.
SELECT min(at) FROM (
    SELECT min(next_at) AS at FROM crons WHERE tenant_no = :tenant_no AND next_at IS NOT NULL
    UNION ALL
    SELECT min(at) FROM schedules WHERE tenant_no = :tenant_no
);

-- name: due_crons
-- Crons by the time they are due, one more than wanted.
SELECT next_at, key, input_bytes FROM crons INDEXED BY crons_by_time
WHERE tenant_no = :tenant_no AND next_at IS NOT NULL ORDER BY next_at, key LIMIT :limit;

-- name: due_schedules
-- Scheduled runs by the time they are due, one more than wanted.
SELECT at, key, input_bytes FROM schedules INDEXED BY schedules_by_time
WHERE tenant_no = :tenant_no ORDER BY at, key LIMIT :limit;

-- name: crons_by_name
-- Crons of a workflow with a name.
SELECT * FROM crons WHERE tenant_no = :tenant_no AND workflow_key = :workflow_key AND name = :name;

-- name: crons_named
-- Some crons by key or id.
SELECT * FROM crons WHERE key IN (SELECT value FROM json_each(:keys))
UNION
SELECT * FROM crons WHERE tenant_no = :tenant_no AND id IN (SELECT value FROM json_each(:ids));

-- name: schedules_named
-- Some scheduled runs by key or id.
SELECT * FROM schedules WHERE key IN (SELECT value FROM json_each(:keys))
UNION
SELECT * FROM schedules WHERE tenant_no = :tenant_no AND id IN (SELECT value FROM json_each(:ids));

-- name: crons_page
-- Keys and metadata of matching crons in order.
SELECT c.key, c.metadata, c.name
FROM crons AS c JOIN workflows AS w ON w.key = c.workflow_key AND w.deleted_at IS NULL
WHERE c.tenant_no = :tenant_no AND (:id IS NULL OR c.id = :id) AND (:workflow_id IS NULL OR w.id = :workflow_id)
    AND (:workflow_name IS NULL OR w.name = :workflow_name) AND (:name IS NULL OR c.name = :name)
ORDER BY {source} LIMIT :scan;

-- name: schedules_page
-- Keys and metadata of matching scheduled runs in order.
SELECT s.key, s.metadata, s.at
FROM schedules AS s JOIN workflows AS w ON w.key = s.workflow_key AND w.deleted_at IS NULL
WHERE s.tenant_no = :tenant_no AND (:id IS NULL OR s.id = :id) AND (:workflow_id IS NULL OR w.id = :workflow_id)
    AND (:parent_run_id IS NULL OR s.parent_run_id = :parent_run_id)
    AND (:parent_task_id IS NULL OR s.parent_task_id = :parent_task_id)
ORDER BY {source} LIMIT :scan;

-- name: planned_from_age_up
-- Source: the oldest first.
1

-- name: planned_from_age_down
-- Source: the newest first.
1 DESC

-- name: planned_from_place_up
-- Source: by name, or by time.
3, 1

-- name: planned_from_place_down
-- Source: by name, or by time, backwards.
3 DESC, 1 DESC

-- name: homes_of_planned
-- Workflows of crons or scheduled runs, with their newest versions.
SELECT {workflow_columns}, (SELECT v.id FROM versions AS v WHERE v.workflow_key = workflows.key ORDER BY v.number DESC LIMIT 1)
FROM workflows WHERE key IN (SELECT value FROM json_each(:keys));

-- name: check_cron_workflow
-- A cron must belong to a workflow of its tenant.
SELECT count(*), min(c.key) FROM crons AS c LEFT JOIN workflows AS w ON w.key = c.workflow_key
WHERE w.tenant_no IS NOT c.tenant_no;

-- name: check_schedule_workflow
-- A scheduled run must belong to a workflow of its tenant.
SELECT count(*), min(s.key) FROM schedules AS s LEFT JOIN workflows AS w ON w.key = s.workflow_key
WHERE w.tenant_no IS NOT s.tenant_no;
