-- Conditions of tasks: what a core is rebuilt from, and what goes with its run. Commits write them by a function.

-- name: waits_by_run
-- Those of some runs.
SELECT run_key, step, tenant_no, run_created_at, armed_at, decided_at, seen FROM limpet.waits
WHERE run_key = ANY (:run_keys) ORDER BY run_key, step;

-- name: held_events
-- Events before the instant that conditions of unfinished runs have seen.
-- Not read as JSON, which has no place for NUL characters here; a text inside it has its quotation marks escaped.
SELECT DISTINCT p.key FROM limpet.open_runs AS o JOIN limpet.waits AS w ON w.run_key = o.key AND w.seen <> '{}'::bytea
CROSS JOIN LATERAL regexp_matches(convert_from(w.seen, 'UTF8'), '"event_key":([0-9]+)', 'g') AS one
JOIN limpet.pushed_events AS p ON p.key = one[1]::bigint
WHERE p.created_at < :before AND EXISTS (
    SELECT FROM limpet.tenants AS t JOIN limpet.pushed_events AS old ON old.tenant_no = t.no AND old.created_at < :before);

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
