-- Rate limits: what a step needs, and what people read.

-- name: rate_limits_named
-- Some rate limits by name.
SELECT * FROM limpet.rate_limits WHERE tenant_no = :tenant_no AND name = ANY (:names);

-- name: rate_limits_page
-- Rate limits whose names contain a text.
SELECT * FROM limpet.rate_limits WHERE tenant_no = :tenant_no AND (:search::text IS NULL OR position(:search IN name) > 0)
ORDER BY {source} LIMIT :limit OFFSET :offset;

-- name: rate_limits_count
-- How many there are of them, counted up to a bound.
SELECT count(*) FROM (
    SELECT 1 FROM limpet.rate_limits WHERE tenant_no = :tenant_no AND (:search::text IS NULL OR position(:search IN name) > 0) LIMIT :count_max
) AS r;

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
