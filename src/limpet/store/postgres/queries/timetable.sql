-- Crons and scheduled runs: what a step needs, and what people read.

-- name: first_due
-- When the first of all is due.
SELECT min(at) FROM (
    SELECT min(next_at) AS at FROM limpet.crons WHERE tenant_no = :tenant_no AND next_at IS NOT NULL
    UNION ALL
    SELECT min(at) FROM limpet.schedules WHERE tenant_no = :tenant_no
) AS d;

-- name: due_crons
-- Crons by the time they are due, one more than wanted.
SELECT next_at, key, input_bytes FROM limpet.crons
WHERE tenant_no = :tenant_no AND next_at IS NOT NULL ORDER BY next_at, key LIMIT :limit;

-- name: due_schedules
-- Scheduled runs by the time they are due, one more than wanted.
SELECT at, key, input_bytes FROM limpet.schedules
WHERE tenant_no = :tenant_no ORDER BY at, key LIMIT :limit;

-- name: crons_by_name
-- Crons of a workflow with a name.
SELECT * FROM limpet.crons WHERE tenant_no = :tenant_no AND workflow_key = :workflow_key AND name = :name;

-- name: crons_named
-- Some crons by key or id.
SELECT * FROM limpet.crons WHERE key = ANY (:keys) OR (tenant_no = :tenant_no AND id = ANY (:ids));

-- name: schedules_named
-- Some scheduled runs by key or id.
SELECT * FROM limpet.schedules WHERE key = ANY (:keys) OR (tenant_no = :tenant_no AND id = ANY (:ids));

-- name: crons_page
-- Keys and metadata of matching crons in order.
SELECT c.key, c.metadata, c.name
FROM limpet.crons AS c JOIN limpet.workflows AS w ON w.key = c.workflow_key AND w.deleted_at IS NULL
WHERE c.tenant_no = :tenant_no AND (:id::text IS NULL OR c.id = :id) AND (:workflow_id::text IS NULL OR w.id = :workflow_id)
    AND (:workflow_name::text IS NULL OR w.name = :workflow_name) AND (:name::text IS NULL OR c.name = :name)
ORDER BY {source} LIMIT :scan;

-- name: schedules_page
-- Keys and metadata of matching scheduled runs in order.
SELECT s.key, s.metadata, s.at
FROM limpet.schedules AS s JOIN limpet.workflows AS w ON w.key = s.workflow_key AND w.deleted_at IS NULL
WHERE s.tenant_no = :tenant_no AND (:id::text IS NULL OR s.id = :id) AND (:workflow_id::text IS NULL OR w.id = :workflow_id)
    AND (:parent_run_id::text IS NULL OR s.parent_run_id = :parent_run_id)
    AND (:parent_task_id::text IS NULL OR s.parent_task_id = :parent_task_id)
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
SELECT {workflow_columns}, (SELECT v.id FROM limpet.versions AS v WHERE v.workflow_key = w.key ORDER BY v.number DESC LIMIT 1)
FROM limpet.workflows AS w WHERE key = ANY (:keys);

-- name: check_cron_workflow
-- A cron must belong to a workflow of its tenant.
SELECT count(*), min(c.key) FROM limpet.crons AS c LEFT JOIN limpet.workflows AS w ON w.key = c.workflow_key
WHERE w.tenant_no IS DISTINCT FROM c.tenant_no;

-- name: check_schedule_workflow
-- A scheduled run must belong to a workflow of its tenant.
SELECT count(*), min(s.key) FROM limpet.schedules AS s LEFT JOIN limpet.workflows AS w ON w.key = s.workflow_key
WHERE w.tenant_no IS DISTINCT FROM s.tenant_no;
