-- serves: 0004
--
-- Events that were pushed, what they started, and what lets them through:
--
--   pushed_events        one row for each event, as it came
--   event_runs           the runs that events started, and what the filter had to say; `key` is the run's
--   filters              which events of a scope start a workflow; declared by a version, or made by a call
--   expression_failures  expressions that could not be evaluated, for people
--
-- A server of the release before goes on until it is replaced; it takes no events. `filters` is small; the others grow with
-- the events, and lose their oldest rows one by one (see `prune_events`).

CREATE TABLE limpet.pushed_events (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    payload_bytes integer NOT NULL,
    metadata bytea NOT NULL,
    priority integer,
    scope text COLLATE "C",
    webhook text COLLATE "C",
    created_at bigint NOT NULL,
    PRIMARY KEY (key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE UNIQUE INDEX pushed_events_by_id ON limpet.pushed_events (tenant_no, id);
CREATE INDEX pushed_events_by_age ON limpet.pushed_events (tenant_no, created_at, key);

CREATE TABLE limpet.event_runs (
    key bigint NOT NULL,
    tenant_no integer NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    event_key bigint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    event_name text COLLATE "C" NOT NULL,
    filter_id text COLLATE "C",
    filter_payload bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE INDEX event_runs_by_event ON limpet.event_runs (event_key, key);
CREATE INDEX event_runs_by_event_id ON limpet.event_runs (tenant_no, event_id, key);

CREATE TABLE limpet.filters (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    workflow_key bigint NOT NULL,
    declared smallint NOT NULL,
    created_at bigint NOT NULL,
    scope text COLLATE "C" NOT NULL,
    expression text COLLATE "C" NOT NULL,
    payload bytea NOT NULL,
    revision bigint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (key)
);

CREATE UNIQUE INDEX filters_by_id ON limpet.filters (tenant_no, id);

CREATE TABLE limpet.expression_failures (
    key bigint NOT NULL,
    tenant_no integer NOT NULL,
    at bigint NOT NULL,
    source smallint NOT NULL,
    about text COLLATE "C" NOT NULL,
    event_id text COLLATE "C",
    message text COLLATE "C" NOT NULL,
    PRIMARY KEY (key)
);

CREATE INDEX expression_failures_by_age ON limpet.expression_failures (at);

CREATE TYPE limpet.pushed_event_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    name text,
    payload bytea,
    payload_bytes integer,
    metadata bytea,
    priority integer,
    scope text,
    webhook text,
    created_at bigint
);
CREATE TYPE limpet.event_run_1 AS (
    key bigint,
    tenant_no integer,
    run_id text,
    event_key bigint,
    event_id text,
    event_name text,
    filter_id text,
    filter_payload bytea,
    created_at bigint
);
CREATE TYPE limpet.filter_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    workflow_key bigint,
    declared smallint,
    created_at bigint,
    scope text,
    expression text,
    payload bytea,
    revision bigint,
    updated_at bigint
);
CREATE TYPE limpet.expression_failure_1 AS (
    key bigint,
    tenant_no integer,
    at bigint,
    source smallint,
    about text,
    event_id text,
    message text
);

-- The events and filters of a commit; called by the statement that calls `commit_2`, behind its fence.
CREATE FUNCTION limpet.commit_events_1(
    pushed_events limpet.pushed_event_1[],
    event_runs limpet.event_run_1[],
    filters_dropped bigint[],
    filters limpet.filter_1[],
    expression_failures limpet.expression_failure_1[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO limpet.pushed_events SELECT * FROM unnest(commit_events_1.pushed_events);
    INSERT INTO limpet.event_runs SELECT * FROM unnest(commit_events_1.event_runs);
    DELETE FROM limpet.filters AS f WHERE f.key = ANY (filters_dropped);
    INSERT INTO limpet.filters SELECT * FROM unnest(commit_events_1.filters)
    ON CONFLICT (key) DO UPDATE SET
        scope = excluded.scope, expression = excluded.expression, payload = excluded.payload, revision = excluded.revision,
        updated_at = excluded.updated_at;
    INSERT INTO limpet.expression_failures SELECT * FROM unnest(commit_events_1.expression_failures);
END $$;
