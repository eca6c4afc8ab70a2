-- serves: 0005
--
-- Conditions of tasks. A server of the release before that is at work goes on until it is replaced. It must not start again: it
-- would run tasks without their conditions.
--
--   waits   what is known of the conditions of one task of a run, from the first that is known on; it goes with its run

CREATE TABLE limpet.waits (
    run_key bigint NOT NULL,
    step integer NOT NULL,
    tenant_no integer NOT NULL,
    run_created_at bigint NOT NULL,
    armed_at bigint,
    decided_at bigint,
    seen bytea NOT NULL,
    PRIMARY KEY (run_key, step)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE INDEX waits_by_age ON limpet.waits (run_created_at);

CREATE TYPE limpet.wait_1 AS (
    run_key bigint,
    step integer,
    tenant_no integer,
    run_created_at bigint,
    armed_at bigint,
    decided_at bigint,
    seen bytea
);

-- The conditions of a commit; called by the statement that calls `commit_2`, behind its fence.
CREATE FUNCTION limpet.commit_conditions_1(waits limpet.wait_1[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO limpet.waits SELECT * FROM unnest(commit_conditions_1.waits)
    ON CONFLICT (run_key, step) DO UPDATE SET
        armed_at = excluded.armed_at, decided_at = excluded.decided_at, seen = excluded.seen;
END $$;
