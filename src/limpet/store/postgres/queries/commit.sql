-- The statement of a commit; what it does stands in the function, in the migrations.

-- name: commit
-- Fences first, then all changes, in one round trip; returns how many new rows found no partition of their day.
SELECT limpet.commit_2(
    :fences, :lease_us, :workflows, :versions, :workers, :workers_forgotten, :runs_opened, :runs_changed, :tasks_opened,
    :tasks_changed, :receipts, :receipts_folded, :events, :key_floors);

-- name: commit_with_more
-- The same with what few commits have: the timetable, events, webhooks, conditions, rate limits, idempotency keys, pauses.
-- All of it fails together.
SELECT limpet.commit_2(
    :fences, :lease_us, :workflows, :versions, :workers, :workers_forgotten, :runs_opened, :runs_changed, :tasks_opened,
    :tasks_changed, :receipts, :receipts_folded, :events, :key_floors),
    limpet.commit_timetable_1(:crons_dropped, :crons, :schedules_dropped, :schedules),
    limpet.commit_events_1(:pushed_events, :event_runs, :filters_dropped, :filters, :expression_failures),
    limpet.commit_webhooks_1(:webhooks_dropped, :webhooks),
    limpet.commit_conditions_1(:waits),
    limpet.commit_rate_limits_1(:rate_limits_dropped, :rate_limits),
    limpet.commit_claims_1(:claims_dropped, :claims),
    limpet.commit_pauses_1(:pauses);
