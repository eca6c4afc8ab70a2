-- Pushed events and filters: what a core is rebuilt from, what people read, and retention.

-- name: filters_to_load
-- All filters of a tenant.
SELECT * FROM limpet.filters WHERE key BETWEEN :key_first AND :key_last ORDER BY key;

-- name: event_runs_by_key
-- What started some runs.
SELECT * FROM limpet.event_runs WHERE key = ANY (:keys) ORDER BY key;

-- name: events_known
-- Some events by id, without their payloads.
SELECT {pushed_event_columns} FROM limpet.pushed_events AS p WHERE p.tenant_no = :tenant_no AND p.id = ANY (:ids);

-- name: events_page
-- Keys and metadata of matching events, newest first.
SELECT p.key, p.metadata FROM {source}
WHERE p.tenant_no = :tenant_no AND p.created_at >= :since AND p.created_at < :until
    AND p.created_at >= (SELECT gone_before FROM limpet.retention)
    AND (:names::text[] IS NULL OR p.name = ANY (:names))
    AND (:scopes::text[] IS NULL OR p.scope = ANY (:scopes))
    AND (NOT :needs_run::boolean OR EXISTS (
        SELECT FROM limpet.event_runs AS e CROSS JOIN LATERAL (
            SELECT * FROM limpet.runs AS one
            WHERE one.day IN ((e.created_at / 86400000000)::integer, 0) AND one.key = e.key OFFSET 0
        ) AS r
        WHERE e.event_key = p.key AND {not_gone}
            AND (:statuses::integer[] IS NULL OR r.status = ANY (:statuses))
            AND (:workflow_ids::text[] IS NULL OR r.workflow_key IN (
                SELECT key FROM limpet.workflows WHERE tenant_no = :tenant_no AND id = ANY (:workflow_ids)))))
ORDER BY p.created_at DESC, p.key DESC LIMIT :scan;

-- name: events_from_age
-- Source: all events of the tenant, by age.
limpet.pushed_events AS p

-- name: events_from_ids
-- Source: some events by id.
(SELECT * FROM limpet.pushed_events WHERE tenant_no = :tenant_no AND id = ANY (:ids) OFFSET 0) AS p

-- name: events_by_key
-- Some events, without their payloads.
SELECT {pushed_event_columns} FROM limpet.pushed_events AS p WHERE p.key = ANY (:keys);

-- name: payloads_of_events
-- Payloads of some events.
SELECT key, payload FROM limpet.pushed_events WHERE key = ANY (:keys);

-- name: runs_of_events
-- The runs that some events started, with the filters that let them through.
SELECT event_key, run_id, filter_id FROM limpet.event_runs WHERE event_key = ANY (:keys) ORDER BY key LIMIT :limit;

-- name: run_counts_of_events
-- How the runs that some events started stand.
SELECT e.event_key, r.status, count(*) FROM limpet.event_runs AS e CROSS JOIN LATERAL (
    SELECT * FROM limpet.runs AS one
    WHERE one.day IN ((e.created_at / 86400000000)::integer, 0) AND one.key = e.key OFFSET 0
) AS r
WHERE e.event_key = ANY (:keys) AND {not_gone} GROUP BY e.event_key, r.status;

-- name: event_names
-- The keys of all events of a tenant that are not gone, each once.
SELECT DISTINCT name FROM limpet.pushed_events
WHERE tenant_no = :tenant_no AND created_at >= (SELECT gone_before FROM limpet.retention) ORDER BY name LIMIT :limit;

-- name: filters_page
-- Matching filters, newest first, with their workflows.
SELECT f.*, w.id AS workflow_id
FROM limpet.filters AS f JOIN limpet.workflows AS w ON w.key = f.workflow_key AND w.deleted_at IS NULL
WHERE f.key BETWEEN :key_first AND :key_last AND (:ids::text[] IS NULL OR f.id = ANY (:ids))
    AND (:workflow_ids::text[] IS NULL OR w.id = ANY (:workflow_ids))
    AND (:scopes::text[] IS NULL OR f.scope = ANY (:scopes))
ORDER BY f.key DESC LIMIT :limit OFFSET :offset;

-- name: expression_failures_page
-- The newest failures of a tenant.
SELECT * FROM limpet.expression_failures WHERE key BETWEEN :key_first AND :key_last ORDER BY key DESC LIMIT :limit;

-- name: pushed_event_columns
-- As in PushedEventRow, without the payload, which may be large, of the events called p.
p.key, p.id, p.tenant_no, p.name, ''::bytea AS payload, p.payload_bytes, p.metadata, p.priority, p.scope, p.webhook,
p.created_at

-- name: event_runs_to_prune
-- What events before the instant started, by runs that are deleted.
SELECT e.key FROM limpet.tenants AS t JOIN limpet.pushed_events AS p ON p.tenant_no = t.no AND p.created_at < :before
JOIN limpet.event_runs AS e ON e.event_key = p.key
WHERE NOT EXISTS (
    SELECT FROM limpet.runs AS r WHERE r.day IN ((e.created_at / 86400000000)::integer, 0) AND r.key = e.key) LIMIT :limit;

-- name: pushed_events_to_prune
-- Events before the instant of which no run is left, but those that are held.
SELECT p.key FROM limpet.tenants AS t JOIN limpet.pushed_events AS p ON p.tenant_no = t.no AND p.created_at < :before
WHERE NOT EXISTS (SELECT FROM limpet.event_runs AS e WHERE e.event_key = p.key)
    AND NOT EXISTS (SELECT FROM unnest(:held::bigint[]) AS h (key) WHERE h.key = p.key) LIMIT :limit;

-- name: expression_failures_to_prune
-- Failures before the instant.
SELECT key FROM limpet.expression_failures WHERE at < :before LIMIT :limit;

-- name: delete_event_runs
-- By key.
DELETE FROM limpet.event_runs WHERE key = ANY (:keys);

-- name: delete_pushed_events
-- By key.
DELETE FROM limpet.pushed_events WHERE key = ANY (:keys);

-- name: delete_expression_failures
-- By key.
DELETE FROM limpet.expression_failures WHERE key = ANY (:keys);

-- name: check_filter_workflow
-- A filter must belong to a workflow of its tenant.
SELECT count(*), min(f.key) FROM limpet.filters AS f LEFT JOIN limpet.workflows AS w ON w.key = f.workflow_key
WHERE w.tenant_no IS DISTINCT FROM f.tenant_no;

-- name: check_event_run
-- What started a run must be an event of its tenant.
SELECT count(*), min(e.key) FROM limpet.event_runs AS e LEFT JOIN limpet.pushed_events AS p ON p.key = e.event_key
WHERE p.tenant_no IS DISTINCT FROM e.tenant_no;
