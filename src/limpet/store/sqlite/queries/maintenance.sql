-- What operators ask of a store that may be in use: numbers of rows, and the self-check. Every check finds rows that
-- must not exist; it gives the number of them and the smallest of their keys.

-- name: store_counts
-- Rows by kind, and what waits and runs now.
SELECT
    (SELECT count(*) FROM tenants) AS tenants,
    (SELECT count(*) FROM workflows WHERE deleted_at IS NULL) AS workflows,
    (SELECT count(*) FROM workers) AS workers,
    (SELECT count(*) FROM runs) AS runs,
    (SELECT count(*) FROM runs WHERE status < 2) AS unfinished_runs,
    (SELECT count(*) FROM tasks WHERE status = 1) AS waiting_tasks,
    (SELECT count(*) FROM tasks WHERE status = 3) AS live_tasks,
    (SELECT count(*) FROM quarantine) AS quarantined;

-- name: overdue_tasks
-- Waiting tasks whose time to be assigned is over; a pause stops their clocks.
SELECT count(*) FROM tasks AS t WHERE t.status = 1 AND t.schedule_deadline IS NOT NULL AND t.schedule_deadline < :now
    AND NOT EXISTS (SELECT 1 FROM runs AS r JOIN pauses AS p ON p.key = r.workflow_key WHERE r.key = t.run_key);

-- name: restore_epoch
-- Above every epoch that an engine of the replaced store may still believe in.
UPDATE ownership SET epoch = :epoch;

-- name: check_fence
-- The store must have exactly one fence.
SELECT abs(count(*) - 1), 0 FROM ownership;

-- name: check_run_tenant
-- A run's key must lie in the range of its tenant, and the tenant must exist.
SELECT count(*), min(key) FROM runs WHERE key >> 40 <> tenant_no OR tenant_no NOT IN (SELECT no FROM tenants);

-- name: check_task_tenant
-- A task must belong to the tenant of its run.
SELECT count(*), min(t.key) FROM tasks AS t JOIN runs AS r ON r.key = t.run_key WHERE t.tenant_no <> r.tenant_no;

-- name: check_task_run
-- A task must belong to a run.
SELECT count(*), min(key) FROM tasks WHERE run_key NOT IN (SELECT key FROM runs);

-- name: check_run_version
-- A run must have been made with a version of its workflow.
SELECT count(*), min(r.key) FROM runs AS r LEFT JOIN versions AS v ON v.key = r.version_key
WHERE v.workflow_key IS NOT r.workflow_key;

-- name: check_version_workflow
-- A version must belong to a workflow of its tenant.
SELECT count(*), min(v.key) FROM versions AS v LEFT JOIN workflows AS w ON w.key = v.workflow_key
WHERE w.tenant_no IS NOT v.tenant_no;

-- name: check_event_task
-- An event must belong to a task.
SELECT count(*), min(key) FROM events WHERE task_key NOT IN (SELECT key FROM tasks);

-- name: check_metadata_run
-- An entry of the metadata index must belong to a run.
SELECT count(*), min(run_key) FROM run_metadata WHERE run_key NOT IN (SELECT key FROM runs);

-- name: check_live_worker
-- A live task must have a worker that exists, and the time of its assignment (T4).
SELECT count(*), min(key) FROM tasks
WHERE status = 3 AND (assigned_at IS NULL OR worker_key IS NULL OR worker_key NOT IN (SELECT key FROM workers));

-- name: check_ended_task
-- A task must have ended at some time exactly when its status says that it has ended.
SELECT count(*), min(key) FROM tasks WHERE (status >= 5) <> (finished_at IS NOT NULL);

-- name: check_ended_run
-- A run must have ended at some time exactly when its status says that it has ended.
SELECT count(*), min(key) FROM runs WHERE (status >= 2) <> (finished_at IS NOT NULL);

-- name: check_run_ended_early
-- An ended run must not have a task that has not ended (G2).
SELECT count(*), min(r.key) FROM runs AS r
WHERE r.status >= 2 AND EXISTS (SELECT 1 FROM tasks AS t WHERE t.run_key = r.key AND t.status < 5);

-- name: check_run_never_ends
-- A run that has not ended must have a task that has not ended (G2).
SELECT count(*), min(r.key) FROM runs AS r
WHERE r.status < 2 AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.run_key = r.key AND t.status < 5);

-- name: check_run_completed
-- A completed run must not have a failed task (G2).
SELECT count(*), min(r.key) FROM runs AS r
WHERE r.status = 2 AND EXISTS (SELECT 1 FROM tasks AS t WHERE t.run_key = r.key AND t.status = 6);
