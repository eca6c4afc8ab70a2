-- serves: 0006
--
-- What limits the pace of tasks. A server of the release before goes on until it is replaced, and knows nothing of it:
--
--   rate_limits  how many units each limit has, and how many are left in the window that runs; kept until they are deleted

CREATE TABLE limpet.rate_limits (
    key bigint NOT NULL,
    tenant_no integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    limit_value bigint NOT NULL,
    value bigint NOT NULL,
    window_unit smallint NOT NULL,
    refilled_at bigint NOT NULL,
    refill_at bigint,
    paused_until bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE UNIQUE INDEX rate_limits_by_name ON limpet.rate_limits (tenant_no, name);

CREATE TYPE limpet.rate_limit_1 AS (
    key bigint,
    tenant_no integer,
    name text,
    limit_value bigint,
    value bigint,
    window_unit smallint,
    refilled_at bigint,
    refill_at bigint,
    paused_until bigint,
    created_at bigint
);

-- The rate limits of a commit; called by the statement that calls `commit_2`, behind its fence. What is dropped goes first,
-- because a name may be taken again in the same commit.
CREATE FUNCTION limpet.commit_rate_limits_1(rate_limits_dropped bigint[], rate_limits limpet.rate_limit_1[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM limpet.rate_limits AS r WHERE r.key = ANY (rate_limits_dropped);
    INSERT INTO limpet.rate_limits SELECT * FROM unnest(commit_rate_limits_1.rate_limits)
    ON CONFLICT (key) DO UPDATE SET
        limit_value = excluded.limit_value, value = excluded.value, window_unit = excluded.window_unit,
        refilled_at = excluded.refilled_at, refill_at = excluded.refill_at, paused_until = excluded.paused_until;
END $$;
