-- serves: 0009
--
-- Paused workflows. A server of the release before goes on until it is replaced. It must not start again: it would not know
-- what is paused:
--
--   pauses   the last pause of each workflow that ever was paused

CREATE TABLE limpet.pauses (
    key bigint NOT NULL,
    tenant_no integer NOT NULL,
    paused_at bigint,
    queue_ttl_us bigint NOT NULL,
    crons smallint NOT NULL,
    schedules smallint NOT NULL,
    resumed_at bigint,
    PRIMARY KEY (key)
) WITH (fillfactor = 50);

CREATE TYPE limpet.pause_1 AS (
    key bigint,
    tenant_no integer,
    paused_at bigint,
    queue_ttl_us bigint,
    crons smallint,
    schedules smallint,
    resumed_at bigint
);

-- The pauses of a commit; called by the statement that calls `commit_2`, behind its fence.
CREATE FUNCTION limpet.commit_pauses_1(pauses limpet.pause_1[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO limpet.pauses SELECT * FROM unnest(commit_pauses_1.pauses)
    ON CONFLICT (key) DO UPDATE SET
        paused_at = excluded.paused_at, queue_ttl_us = excluded.queue_ttl_us, crons = excluded.crons,
        schedules = excluded.schedules, resumed_at = excluded.resumed_at;
END $$;
