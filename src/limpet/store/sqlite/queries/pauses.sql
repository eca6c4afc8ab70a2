-- Pauses of workflows.

-- name: upsert_pause
-- The last pause of a workflow.
INSERT OR REPLACE INTO pauses (key, tenant_no, paused_at, queue_ttl_us, crons, schedules, resumed_at) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: pauses_of_tenant
-- All, by workflow.
SELECT key, tenant_no, paused_at, queue_ttl_us, crons, schedules, resumed_at FROM pauses
WHERE key BETWEEN :key_first AND :key_last ORDER BY key;
