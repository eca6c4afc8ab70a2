-- Pushed events and filters: what commits write, what a core is rebuilt from, what people read, and retention.

-- name: insert_pushed_event
-- An event as it came.
INSERT INTO pushed_events
    (key, id, tenant_no, name, payload, payload_bytes, metadata, priority, scope, webhook, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_event_run
-- A run that an event started.
INSERT INTO event_runs
    (key, tenant_no, run_id, event_key, event_id, event_name, filter_id, filter_payload, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: delete_filter
-- By key.
DELETE FROM filters WHERE key = ?;

-- name: upsert_filter
-- A filter as it stands now.
INSERT INTO filters
    (key, id, tenant_no, workflow_key, declared, created_at, scope, expression, payload, revision, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    scope = excluded.scope, expression = excluded.expression, payload = excluded.payload, revision = excluded.revision,
    updated_at = excluded.updated_at;

-- name: insert_expression_failure
-- An expression that could not be evaluated.
INSERT INTO expression_failures (key, tenant_no, at, source, about, event_id, message) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: filters_to_load
-- All filters of a tenant.
SELECT * FROM filters WHERE key BETWEEN :key_first AND :key_last ORDER BY key;

-- name: event_runs_of_unfinished_runs
-- What started the runs of a tenant that have not ended.
SELECT e.* FROM runs AS r JOIN event_runs AS e ON e.key = r.key
WHERE r.tenant_no = :tenant_no AND r.status < 2 ORDER BY e.key;

-- name: event_runs_by_key
-- What started some runs.
SELECT * FROM event_runs WHERE key IN (SELECT value FROM json_each(:keys)) ORDER BY key;

-- name: events_known
-- Some events by id, without their payloads.
SELECT {pushed_event_columns} FROM pushed_events AS p
WHERE p.tenant_no = :tenant_no AND p.id IN (SELECT value FROM json_each(:ids));

-- name: events_page
-- Keys and metadata of matching events, newest first.
SELECT p.key, p.metadata FROM {source}
WHERE p.tenant_no = :tenant_no AND p.created_at >= :since AND p.created_at < :until
    AND p.created_at >= (SELECT gone_before FROM retention)
    AND (:names IS NULL OR p.name IN (SELECT value FROM json_each(:names)))
    AND (:scopes IS NULL OR p.scope IN (SELECT value FROM json_each(:scopes)))
    AND (NOT :needs_run OR EXISTS (
        SELECT 1 FROM event_runs AS e JOIN runs AS r ON r.key = e.key
        WHERE e.event_key = p.key AND {not_gone}
            AND (:statuses IS NULL OR r.status IN (SELECT value FROM json_each(:statuses)))
            AND (:workflow_ids IS NULL OR r.workflow_key IN (
                SELECT key FROM workflows WHERE tenant_no = :tenant_no AND id IN (SELECT value FROM json_each(:workflow_ids))))))
ORDER BY p.created_at DESC, p.key DESC LIMIT :scan;

-- name: events_from_age
-- Source: all events of the tenant, by age.
pushed_events AS p INDEXED BY pushed_events_by_age

-- name: events_from_ids
-- Source: some events by id.
json_each(:ids) AS i CROSS JOIN pushed_events AS p INDEXED BY pushed_events_by_id ON p.tenant_no = :tenant_no AND p.id = i.value

-- name: events_by_key
-- Some events, without their payloads.
SELECT {pushed_event_columns} FROM pushed_events AS p WHERE p.key IN (SELECT value FROM json_each(:keys));

-- name: payloads_of_events
-- Payloads of some events.
SELECT key, payload FROM pushed_events WHERE key IN (SELECT value FROM json_each(:keys));

-- name: runs_of_events
-- The runs that some events started, with the filters that let them through.
SELECT event_key, run_id, filter_id FROM event_runs
WHERE event_key IN (SELECT value FROM json_each(:keys)) ORDER BY key LIMIT :limit;

-- name: run_counts_of_events
-- How the runs that some events started stand.
SELECT e.event_key, r.status, count(*) FROM event_runs AS e JOIN runs AS r ON r.key = e.key
WHERE e.event_key IN (SELECT value FROM json_each(:keys)) AND {not_gone} GROUP BY e.event_key, r.status;

-- name: event_names
-- The keys of all events of a tenant that are not gone, each once.
SELECT DISTINCT name FROM pushed_events
WHERE tenant_no = :tenant_no AND created_at >= (SELECT gone_before FROM retention) ORDER BY name LIMIT :limit;

-- name: filters_page
-- Matching filters, newest first, with their workflows.
SELECT f.*, w.id FROM filters AS f JOIN workflows AS w ON w.key = f.workflow_key AND w.deleted_at IS NULL
WHERE f.key BETWEEN :key_first AND :key_last AND (:ids IS NULL OR f.id IN (SELECT value FROM json_each(:ids)))
    AND (:workflow_ids IS NULL OR w.id IN (SELECT value FROM json_each(:workflow_ids)))
    AND (:scopes IS NULL OR f.scope IN (SELECT value FROM json_each(:scopes)))
ORDER BY f.key DESC LIMIT :limit OFFSET :offset;

-- name: expression_failures_page
-- The newest failures of a tenant.
SELECT * FROM expression_failures WHERE key BETWEEN :key_first AND :key_last ORDER BY key DESC LIMIT :limit;

-- name: pushed_event_columns
-- As in PushedEventRow, without the payload, which may be large, of the events called p.
p.key, p.id, p.tenant_no, p.name, x'' AS payload, p.payload_bytes, p.metadata, p.priority, p.scope, p.webhook, p.created_at

-- name: event_runs_to_prune
-- What events before the instant started, by runs that are deleted.
SELECT e.key FROM tenants AS t CROSS JOIN pushed_events AS p INDEXED BY pushed_events_by_age
CROSS JOIN event_runs AS e INDEXED BY event_runs_by_event ON e.event_key = p.key
WHERE p.tenant_no = t.no AND p.created_at < :before AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.key = e.key) LIMIT :limit;

-- name: pushed_events_to_prune
-- Events before the instant of which no run is left, but those that are held.
SELECT p.key FROM tenants AS t CROSS JOIN pushed_events AS p INDEXED BY pushed_events_by_age
WHERE p.tenant_no = t.no AND p.created_at < :before
    AND NOT EXISTS (SELECT 1 FROM event_runs AS e WHERE e.event_key = p.key)
    AND p.key NOT IN (SELECT value FROM json_each(:held)) LIMIT :limit;

-- name: expression_failures_to_prune
-- Failures before the instant.
SELECT key FROM expression_failures WHERE at < :before LIMIT :limit;

-- name: delete_event_run
-- By key.
DELETE FROM event_runs WHERE key = ?;

-- name: delete_pushed_event
-- By key.
DELETE FROM pushed_events WHERE key = ?;

-- name: delete_expression_failure
-- By key.
DELETE FROM expression_failures WHERE key = ?;

-- name: check_filter_workflow
-- A filter must belong to a workflow of its tenant.
SELECT count(*), min(f.key) FROM filters AS f LEFT JOIN workflows AS w ON w.key = f.workflow_key
WHERE w.tenant_no IS NOT f.tenant_no;

-- name: check_event_run
-- What started a run must be an event of its tenant.
SELECT count(*), min(e.key) FROM event_runs AS e LEFT JOIN pushed_events AS p ON p.key = e.event_key
WHERE p.tenant_no IS NOT e.tenant_no;
