-- Conditions of tasks: what commits write, what a core is rebuilt from, what goes with its run.

-- name: upsert_wait
-- What is known of the conditions of a task by now.
INSERT INTO waits (run_key, step, tenant_no, run_created_at, armed_at, decided_at, seen) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_key, step) DO UPDATE SET
    armed_at = excluded.armed_at, decided_at = excluded.decided_at, seen = excluded.seen;

-- name: waits_of_unfinished_runs
-- Those of runs of a tenant that have not ended.
SELECT * FROM waits WHERE run_key IN (SELECT key FROM runs WHERE tenant_no = :tenant_no AND status < 2) ORDER BY run_key, step;

-- name: waits_by_run
-- Those of some runs.
SELECT * FROM waits WHERE run_key IN (SELECT value FROM json_each(:keys)) ORDER BY run_key, step;

-- name: held_events
-- Events before the instant that conditions of unfinished runs have seen.
SELECT DISTINCT p.key FROM runs AS r INDEXED BY runs_unfinished CROSS JOIN waits AS w ON w.run_key = r.key
CROSS JOIN json_each(CAST(w.seen AS TEXT)) AS one CROSS JOIN pushed_events AS p ON p.key = json_extract(one.value, '$.event_key')
WHERE r.status < 2 AND w.seen <> CAST('{}' AS BLOB) AND p.created_at < :before AND EXISTS (
    SELECT 1 FROM tenants AS t CROSS JOIN pushed_events AS old INDEXED BY pushed_events_by_age
    WHERE old.tenant_no = t.no AND old.created_at < :before);

-- name: delete_wait
-- By run and step.
DELETE FROM waits WHERE run_key = ? AND step = ?;

-- name: check_wait_run
-- Conditions must belong to a run of their tenant.
SELECT count(*), min(w.run_key) FROM waits AS w LEFT JOIN runs AS r ON r.key = w.run_key WHERE r.tenant_no IS NOT w.tenant_no;
