-- Conditions of tasks: what a core is rebuilt from, and what goes with its run. Commits write them by a function.

-- name: waits_by_run
-- Those of some runs.
SELECT run_key, step, tenant_no, run_created_at, armed_at, decided_at, seen FROM limpet.waits
WHERE run_key = ANY (:run_keys) ORDER BY run_key, step;

-- name: delete_waits_of_day
-- Those of runs of a day, but of those that live on.
DELETE FROM limpet.waits WHERE ctid = ANY (ARRAY(
    SELECT w.ctid FROM limpet.waits AS w
    WHERE w.run_created_at >= :day::bigint * 86400000000 AND w.run_created_at < (:day::bigint + 1) * 86400000000
        AND NOT EXISTS (SELECT FROM limpet.runs AS r WHERE r.day = 0 AND r.key = w.run_key)
    LIMIT :limit)) RETURNING 1;

-- name: delete_waits
-- Of kept runs.
DELETE FROM limpet.waits WHERE run_key = ANY (:keys);

-- name: check_wait_run
-- Conditions must belong to a run of their tenant.
SELECT count(*), min(w.run_key) FROM limpet.waits AS w WHERE NOT EXISTS (
    SELECT FROM limpet.runs AS r
    WHERE r.day IN ((w.run_created_at / 86400000000)::integer, 0) AND r.key = w.run_key AND r.tenant_no = w.tenant_no);
