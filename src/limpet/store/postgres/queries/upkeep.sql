-- Work between the commits: the metadata index, days, retention. Every deletion is small and by key.

-- name: now
-- The clock of the database, in microseconds.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: add_day
-- The partitions of a day; false when it has them.
SELECT limpet.add_day_1(:day);

-- name: add_log_day
-- The logs' partition of a day; false when it has one.
SELECT limpet.add_log_day_1(:day);

-- name: metadata_progress
-- How far the index is, by tenant.
SELECT no, metadata_cursor FROM limpet.tenants ORDER BY no;

-- name: metadata_to_index
-- The next runs of a tenant behind the cursor.
SELECT key, day, metadata FROM limpet.runs WHERE key > :cursor AND key <= :key_last ORDER BY key LIMIT :limit;

-- name: insert_metadata
-- Index entries, those of kept runs with the kept rows; what is there stays, also what another server writes right now.
INSERT INTO limpet.run_metadata (day, tenant_no, pair, run_key)
SELECT CASE WHEN n.day IN (SELECT day FROM limpet.days) THEN n.day ELSE 0 END, :tenant_no::integer, n.pair, n.run_key
FROM unnest(:days::integer[], :pairs::bytea[], :run_keys::bigint[]) AS n (day, pair, run_key)
WHERE NOT EXISTS (
    SELECT FROM limpet.run_metadata AS i
    WHERE i.day IN (n.day, 0) AND i.tenant_no = :tenant_no AND i.pair = n.pair AND i.run_key = n.run_key)
ON CONFLICT DO NOTHING;

-- name: move_metadata_cursor
-- Everything up to this run is indexed.
UPDATE limpet.tenants SET metadata_cursor = greatest(metadata_cursor, :cursor) WHERE no = :tenant_no;

-- name: hold
-- Stay the owner until the transaction ends.
SELECT limpet.hold_1(:fences);

-- name: gone_before
-- What ended before is gone.
SELECT gone_before FROM limpet.retention;

-- name: hide_finished
-- Runs that ended before the instant are gone from now on.
UPDATE limpet.retention SET gone_before = :before WHERE gone_before < :before;

-- name: days_with_parts
-- Days of which a partition is there, attached or not, oldest first.
SELECT DISTINCT substring(c.relname FROM '_d(\d+)$')::integer AS day FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = :schema::text::regnamespace AND c.relkind = 'r' AND c.relname ~ '_d\d+$' ORDER BY day;

-- name: parts_of_day
-- The partitions of a day in the order in which they go: the table they belong to, and whether they are attached to it.
SELECT substring(c.relname FROM '^(.*)_d\d+$')::text,
    CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'pending' ELSE 'attached' END
FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = c.oid
WHERE c.relnamespace = :schema::text::regnamespace AND c.relkind = 'r' AND c.relname ~ ('_d' || :day::integer || '$')
ORDER BY array_position(ARRAY['events', 'run_metadata', 'tasks', 'log_lines', 'runs'], substring(c.relname FROM '^(.*)_d\d+$'));

-- name: stragglers_of_runs
-- Runs of a day that live on: not ended, or ended too late.
SELECT key FROM limpet.runs WHERE day = :day AND (finished_at IS NULL OR finished_at >= :before);

-- name: stragglers_of_tasks
-- Tasks of a day whose run lives on: among the kept rows, or on a later day when a clock went back.
SELECT t.key FROM limpet.tasks AS t
WHERE t.day = :day AND (t.run_day > :day OR EXISTS (SELECT FROM limpet.runs AS r WHERE r.day = 0 AND r.key = t.run_key));

-- name: stragglers_of_events
-- Events of a day whose task is among the kept rows.
SELECT e.key FROM limpet.events AS e
WHERE e.day = :day AND EXISTS (SELECT FROM limpet.tasks AS t WHERE t.day = 0 AND t.key = e.task_key);

-- name: stragglers_of_run_metadata
-- Index entries of a day whose run is among the kept rows.
SELECT i.run_key, i.pair FROM limpet.run_metadata AS i
WHERE i.day = :day AND EXISTS (SELECT FROM limpet.runs AS r WHERE r.day = 0 AND r.key = i.run_key);

-- name: stragglers_of_log_lines
-- Log lines of a day whose task is among the kept rows.
SELECT l.number FROM limpet.log_lines AS l WHERE l.day = :day
AND EXISTS (SELECT FROM limpet.tasks AS t WHERE t.day = 0 AND t.tenant_no = l.tenant_no AND t.id = l.task_run_id);

-- name: keep_runs
-- Runs become kept ones.
UPDATE limpet.runs SET day = 0 WHERE day = :day AND key = ANY (:keys) RETURNING 1;

-- name: keep_tasks
-- Tasks become kept ones.
UPDATE limpet.tasks SET day = 0 WHERE day = :day AND key = ANY (:keys) RETURNING 1;

-- name: keep_events
-- Events become kept ones.
UPDATE limpet.events SET day = 0 WHERE day = :day AND key = ANY (:keys) RETURNING 1;

-- name: keep_run_metadata
-- Index entries become kept ones.
UPDATE limpet.run_metadata SET day = 0
WHERE day = :day AND (run_key, pair) IN (SELECT k.run_key, k.pair FROM unnest(:keys::limpet.entry_1[]) AS k) RETURNING 1;

-- name: keep_log_lines
-- Log lines become kept ones.
UPDATE limpet.log_lines SET day = 0 WHERE day = :day AND number = ANY (:keys) RETURNING 1;

-- name: delete_names_of_day
-- Names of runs of a day, but of those that live on.
DELETE FROM limpet.run_names WHERE ctid = ANY (ARRAY(
    SELECT n.ctid FROM limpet.run_names AS n WHERE n.day = :day
        AND NOT EXISTS (SELECT FROM limpet.runs AS r WHERE r.day = 0 AND r.key = n.run_key)
    LIMIT :limit)) RETURNING 1;

-- name: count_runs_of_day
-- How many runs go with a day.
SELECT count(*) FROM limpet.runs WHERE day = :day;

-- name: raise_key_floors_of_day
-- Keys of a day were used, although their rows will be gone.
UPDATE limpet.tenants AS t SET key_floor = greatest(t.key_floor, used.key) FROM (
    SELECT one.no, greatest(
        (SELECT max(key) FROM limpet.runs WHERE day = :day AND key >> 40 = one.no),
        (SELECT max(key) FROM limpet.tasks WHERE day = :day AND key >> 40 = one.no),
        (SELECT max(key) FROM limpet.events WHERE day = :day AND key >> 40 = one.no), 0) AS key
    FROM limpet.tenants AS one
) AS used WHERE t.no = used.no AND used.key > t.key_floor;

-- name: forget_day
-- From now on rows of the day are kept ones.
DELETE FROM limpet.days WHERE day = :day;

-- name: forget_log_day
-- From now on log lines of the day are kept ones.
DELETE FROM limpet.log_days WHERE day = :day;

-- name: finished_kept_runs
-- Kept runs that ended first.
SELECT key FROM limpet.runs WHERE day = 0 AND finished_at < :before AND status >= 2 ORDER BY finished_at LIMIT :limit;

-- name: still_finished
-- Those of some kept runs that are still ended and past their retention.
SELECT key FROM limpet.runs WHERE day = 0 AND key = ANY (:keys) AND finished_at < :before AND status >= 2;

-- name: task_ids_of_runs
-- Tasks of some runs: run, key, tenant and outside id.
SELECT run_key, key, tenant_no, id FROM limpet.tasks WHERE run_key = ANY (:run_keys);

-- name: event_keys_of_tasks
-- Events of some tasks: task and key.
SELECT task_key, key FROM limpet.events WHERE task_key = ANY (:task_keys);

-- name: metadata_of_runs
-- Index entries of some runs.
SELECT run_key, pair FROM limpet.run_metadata WHERE run_key = ANY (:run_keys);

-- name: names_of_runs
-- Names of some kept runs.
SELECT r.key, r.tenant_no, x.name FROM limpet.runs AS r
CROSS JOIN LATERAL (VALUES ('c' || r.child_ref), ('r' || r.request_id)) AS x (name)
JOIN limpet.run_names AS n ON n.tenant_no = r.tenant_no AND n.name = x.name AND n.run_key = r.key
WHERE r.day = 0 AND r.key = ANY (:run_keys);

-- name: delete_events
-- By key.
DELETE FROM limpet.events WHERE key = ANY (:keys);

-- name: delete_tasks
-- By key.
DELETE FROM limpet.tasks WHERE key = ANY (:keys);

-- name: delete_metadata
-- By run and pair.
DELETE FROM limpet.run_metadata WHERE (run_key, pair) IN (SELECT k.run_key, k.pair FROM unnest(:keys::limpet.entry_1[]) AS k);

-- name: delete_names
-- By tenant and name.
DELETE FROM limpet.run_names WHERE (tenant_no, name) IN (SELECT k.tenant_no, k.name FROM unnest(:keys::limpet.name_1[]) AS k);

-- name: delete_runs
-- By key, kept ones.
DELETE FROM limpet.runs WHERE day = 0 AND key = ANY (:keys);

-- name: delete_log_lines
-- Lines of a task on a day.
DELETE FROM limpet.log_lines WHERE day = :day AND number = ANY (ARRAY(
    SELECT l.number FROM limpet.log_lines AS l
    WHERE l.day = :day AND l.tenant_no = :tenant_no AND l.task_run_id = :task_run_id LIMIT :limit)) RETURNING 1;

-- name: raise_key_floors
-- Keys up to these were used, although their rows are gone.
UPDATE limpet.tenants AS t SET key_floor = greatest(t.key_floor, used.key)
FROM (SELECT (k >> 40)::integer AS no, max(k) AS key FROM unnest(:keys::bigint[]) AS k GROUP BY 1) AS used WHERE t.no = used.no;
