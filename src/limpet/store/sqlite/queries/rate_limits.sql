-- Rate limits: what commits write, what a step needs, what people read.

-- name: delete_rate_limit
-- By key.
DELETE FROM rate_limits WHERE key = ?;

-- name: upsert_rate_limit
-- A rate limit as it stands now.
INSERT INTO rate_limits
    (key, tenant_no, name, limit_value, value, window_unit, refilled_at, refill_at, paused_until, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    limit_value = excluded.limit_value, value = excluded.value, window_unit = excluded.window_unit,
    refilled_at = excluded.refilled_at, refill_at = excluded.refill_at, paused_until = excluded.paused_until;

-- name: rate_limits_named
-- Some rate limits by name.
SELECT * FROM rate_limits WHERE tenant_no = :tenant_no AND name IN (SELECT value FROM json_each(:names));

-- name: rate_limits_page
-- Rate limits whose names contain a text.
SELECT * FROM rate_limits WHERE tenant_no = :tenant_no AND (:search IS NULL OR instr(name, :search) > 0)
ORDER BY {source} LIMIT :limit OFFSET :offset;

-- name: rate_limits_count
-- How many there are of them, counted up to a bound.
SELECT count(*) FROM (
    SELECT 1 FROM rate_limits WHERE tenant_no = :tenant_no AND (:search IS NULL OR instr(name, :search) > 0) LIMIT :count_max
);

-- name: rate_limits_from_name_up
-- Source: by name.
name

-- name: rate_limits_from_name_down
-- Source: by name, backwards.
name DESC

-- name: rate_limits_from_value_up
-- Source: by the units that are left at an instant.
CASE WHEN refill_at <= :now THEN limit_value ELSE value END, name

-- name: rate_limits_from_value_down
-- Source: by the units that are left at an instant, backwards.
CASE WHEN refill_at <= :now THEN limit_value ELSE value END DESC, name DESC

-- name: rate_limits_from_limit_up
-- Source: by the units in all.
limit_value, name

-- name: rate_limits_from_limit_down
-- Source: by the units in all, backwards.
limit_value DESC, name DESC
