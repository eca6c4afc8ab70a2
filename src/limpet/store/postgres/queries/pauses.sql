-- Pauses of workflows.

-- name: pauses_of_tenant
-- All, by workflow.
SELECT key, tenant_no, paused_at, queue_ttl_us, crons, schedules, resumed_at FROM limpet.pauses
WHERE key BETWEEN :key_first AND :key_last ORDER BY key;
