-- Work between the commits: retention and the metadata index. Every deletion is small and by key.

-- name: hide_finished
-- Runs that ended before the instant are gone from now on.
UPDATE retention SET gone_before = max(gone_before, :before);

-- name: finished_runs
-- The runs that ended first.
SELECT key FROM runs WHERE finished_at < :before AND status >= 2 ORDER BY finished_at LIMIT :limit;

-- name: still_finished
-- Those of some runs that are still ended and past their retention.
SELECT key FROM runs WHERE key IN (SELECT value FROM json_each(:keys)) AND finished_at < :before AND status >= 2;

-- name: task_ids_of_runs
-- Tasks of some runs: run, key, tenant and outside id.
SELECT run_key, key, tenant_no, id FROM tasks WHERE run_key IN (SELECT value FROM json_each(:keys));

-- name: event_keys_of_runs
-- Events of some runs: run and key.
SELECT t.run_key, e.key FROM tasks AS t JOIN events AS e ON e.task_key = t.key
WHERE t.run_key IN (SELECT value FROM json_each(:keys));

-- name: metadata_of_runs
-- Index entries of some runs.
SELECT run_key, tenant_no, name, value FROM run_metadata WHERE run_key IN (SELECT value FROM json_each(:keys));

-- name: delete_event
-- By key.
DELETE FROM events WHERE key = ?;

-- name: delete_task
-- By key.
DELETE FROM tasks WHERE key = ?;

-- name: delete_metadata
-- By key.
DELETE FROM run_metadata WHERE run_key = ? AND tenant_no = ? AND name = ? AND value = ?;

-- name: delete_run
-- By key.
DELETE FROM runs WHERE key = ?;

-- name: metadata_progress
-- How far the index is, by tenant.
SELECT no, metadata_cursor FROM tenants ORDER BY no;

-- name: metadata_to_index
-- The next runs of a tenant behind the cursor.
SELECT key, metadata FROM runs WHERE key > :cursor AND key <= :key_last ORDER BY key LIMIT :limit;

-- name: insert_metadata
-- One index entry; a name or value that was cut may be there already.
INSERT OR IGNORE INTO run_metadata (tenant_no, name, value, run_key) VALUES (?, ?, ?, ?);

-- name: move_metadata_cursor
-- Everything up to this run is indexed.
UPDATE tenants SET metadata_cursor = :cursor WHERE no = :tenant_no;
