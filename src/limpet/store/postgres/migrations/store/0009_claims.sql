-- serves: 0008
--
-- Idempotency keys. A server of the release before goes on until it is replaced. It must not start again: it would make runs
-- without asking who holds their keys:
--
--   claims   keys that runs hold, one row for each run that holds one; rows of expired keys are purged beside the commits

CREATE TABLE limpet.claims (
    key bigint NOT NULL,
    tenant_no integer NOT NULL,
    name bytea NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE UNIQUE INDEX claims_by_name ON limpet.claims (tenant_no, name);
CREATE INDEX claims_by_time ON limpet.claims (expires_at);

CREATE TYPE limpet.claim_1 AS (
    key bigint,
    tenant_no integer,
    name bytea,
    run_id text,
    expires_at bigint
);

-- The idempotency keys of a commit; called by the statement that calls `commit_2`, behind its fence. What is given up goes
-- first, because a key may be taken again in the same commit.
CREATE FUNCTION limpet.commit_claims_1(claims_dropped bigint[], claims limpet.claim_1[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM limpet.claims AS c WHERE c.key = ANY (claims_dropped);
    INSERT INTO limpet.claims SELECT * FROM unnest(commit_claims_1.claims);
END $$;
