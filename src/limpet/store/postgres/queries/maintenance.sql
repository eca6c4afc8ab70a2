-- What operators ask of a store that may be in use: numbers of rows, and the self-check. Every check finds rows that
-- must not exist; it gives the number of them and the smallest of their keys.

-- name: store_facts
-- About the database as a whole. A snapshot that is held for long keeps dead rows alive (R51).
SELECT current_setting('server_version') AS server_version,
    (SELECT coalesce(sum(seq), 0)::bigint FROM limpet.leases) AS commits,
    pg_database_size(current_database()) AS database_bytes,
    (SELECT count(*) FROM limpet.days WHERE day > 0) AS days,
    (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::integer FROM pg_catalog.pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND datname = current_database() AND pid <> pg_backend_pid()) AS oldest_snapshot_seconds;

-- name: store_counts
-- Rows by kind, and what waits and runs now.
SELECT
    (SELECT count(*) FROM limpet.tenants) AS tenants,
    (SELECT count(*) FROM limpet.workflows WHERE deleted_at IS NULL) AS workflows,
    (SELECT count(*) FROM limpet.workers) AS workers,
    (SELECT count(*) FROM limpet.runs) AS runs,
    (SELECT count(*) FROM limpet.open_runs) AS unfinished_runs,
    t.waiting_tasks, t.live_tasks, t.overdue_tasks,
    (SELECT count(*) FROM limpet.quarantine) AS quarantined
FROM (
    SELECT count(*) FILTER (WHERE status = 1) AS waiting_tasks, count(*) FILTER (WHERE status = 3) AS live_tasks,
        count(*) FILTER (
            WHERE status = 1 AND schedule_deadline < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
                AND NOT EXISTS (  -- a pause stops their clocks
                    SELECT FROM limpet.runs AS r JOIN limpet.pauses AS p ON p.key = r.workflow_key WHERE r.key = run_key)
        ) AS overdue_tasks
    FROM limpet.tasks WHERE run_key IN (SELECT key FROM limpet.open_runs)
) AS t;

-- name: check_fence
-- The store must have exactly one lease for each of its 64 groups.
SELECT abs(count(*) - 64), 0 FROM limpet.leases WHERE shard_no = 0 AND group_no BETWEEN 0 AND 63;

-- name: check_run_tenant
-- A run's key must lie in the range of its tenant, and the tenant must exist.
SELECT count(*), min(key) FROM limpet.runs WHERE key >> 40 <> tenant_no OR tenant_no NOT IN (SELECT no FROM limpet.tenants);

-- name: check_task_tenant
-- A task must belong to the tenant of its run.
SELECT count(*), min(t.key) FROM limpet.tasks AS t JOIN limpet.runs AS r ON r.key = t.run_key WHERE t.tenant_no <> r.tenant_no;

-- name: check_task_run
-- A task must belong to a run.
SELECT count(*), min(t.key) FROM limpet.tasks AS t
WHERE NOT EXISTS (SELECT FROM limpet.runs AS r WHERE r.day IN (t.run_day, 0) AND r.key = t.run_key);

-- name: check_run_version
-- A run must have been made with a version of its workflow.
SELECT count(*), min(r.key) FROM limpet.runs AS r LEFT JOIN limpet.versions AS v ON v.key = r.version_key
WHERE v.workflow_key IS DISTINCT FROM r.workflow_key;

-- name: check_version_workflow
-- A version must belong to a workflow of its tenant.
SELECT count(*), min(v.key) FROM limpet.versions AS v LEFT JOIN limpet.workflows AS w ON w.key = v.workflow_key
WHERE w.tenant_no IS DISTINCT FROM v.tenant_no;

-- name: check_event_task
-- An event must belong to a task.
SELECT count(*), min(e.key) FROM limpet.events AS e WHERE NOT EXISTS (SELECT FROM limpet.tasks AS t WHERE t.key = e.task_key);

-- name: check_metadata_run
-- An entry of the metadata index must belong to a run.
SELECT count(*), min(i.run_key) FROM limpet.run_metadata AS i
WHERE NOT EXISTS (SELECT FROM limpet.runs AS r WHERE r.day IN (i.day, 0) AND r.key = i.run_key);

-- name: check_live_worker
-- A live task must have a worker that exists, and the time of its assignment (T4).
SELECT count(*), min(key) FROM limpet.tasks
WHERE status = 3 AND (assigned_at IS NULL OR worker_key IS NULL OR worker_key NOT IN (SELECT key FROM limpet.workers));

-- name: check_ended_task
-- A task must have ended at some time exactly when its status says that it has ended.
SELECT count(*), min(key) FROM limpet.tasks WHERE (status >= 5) <> (finished_at IS NOT NULL);

-- name: check_ended_run
-- A run must have ended at some time exactly when its status says that it has ended.
SELECT count(*), min(key) FROM limpet.runs WHERE (status >= 2) <> (finished_at IS NOT NULL);

-- name: check_run_ended_early
-- An ended run must not have a task that has not ended (G2).
SELECT count(*), min(r.key) FROM limpet.runs AS r
WHERE r.status >= 2 AND EXISTS (SELECT FROM limpet.tasks AS t WHERE t.run_key = r.key AND t.status < 5);

-- name: check_run_never_ends
-- A run that has not ended must have a task that has not ended (G2).
SELECT count(*), min(r.key) FROM limpet.runs AS r
WHERE r.status < 2 AND NOT EXISTS (SELECT FROM limpet.tasks AS t WHERE t.run_key = r.key AND t.status < 5);

-- name: check_run_completed
-- A completed run must not have a failed task (G2).
SELECT count(*), min(r.key) FROM limpet.runs AS r
WHERE r.status = 2 AND EXISTS (SELECT FROM limpet.tasks AS t WHERE t.run_key = r.key AND t.status = 6);

-- name: check_open_runs
-- A run must be on the list of open runs exactly when it has not ended.
SELECT count(*), min(coalesce(o.key, r.key)) FROM limpet.open_runs AS o
FULL JOIN (SELECT key FROM limpet.runs WHERE status < 2) AS r ON r.key = o.key WHERE o.key IS NULL OR r.key IS NULL;

-- name: check_run_day
-- A run must lie in the partition of its birth or among the kept ones, and its id must be of the same day.
SELECT count(*), min(key) FROM limpet.runs
WHERE day NOT IN (0, created_at / 86400000000)
    OR (id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7' AND day > 0
        AND ('x' || lpad(substr(id, 1, 8) || substr(id, 10, 4), 16, '0'))::bit(64)::bigint / 86400000 <> day);

-- name: check_task_day
-- A task must lie in the partition of its birth or among the kept ones, and its id must be of the same day.
SELECT count(*), min(key) FROM limpet.tasks
WHERE day NOT IN (0, created_at / 86400000000)
    OR (id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7' AND day > 0
        AND ('x' || lpad(substr(id, 1, 8) || substr(id, 10, 4), 16, '0'))::bit(64)::bigint / 86400000 <> day);

-- name: check_run_name
-- A run with a child_ref or a request id that is not gone must be found by it.
SELECT count(*), min(r.key) FROM limpet.runs AS r
CROSS JOIN LATERAL (VALUES ('c' || r.child_ref), ('r' || r.request_id)) AS x (name)
WHERE x.name IS NOT NULL AND (r.finished_at IS NULL OR r.finished_at >= (SELECT gone_before FROM limpet.retention))
    AND NOT EXISTS (
        SELECT FROM limpet.run_names AS n WHERE n.tenant_no = r.tenant_no AND n.name = x.name AND n.run_key = r.key);
