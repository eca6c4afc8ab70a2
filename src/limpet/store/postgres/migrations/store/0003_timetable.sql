-- serves: 0002
--
-- What is planned. A server of the release before goes on until it is replaced; it starts nothing by the clock:
--
--   crons       when workflows start by themselves again and again; declared by a version, or made by a call
--   schedules   runs that are to start at an instant; the commit that starts one deletes its row

CREATE TABLE limpet.crons (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    workflow_key bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    expression text COLLATE "C" NOT NULL,
    input bytea NOT NULL,
    input_bytes integer NOT NULL,
    metadata bytea NOT NULL,
    priority integer,
    enabled smallint NOT NULL,
    method smallint NOT NULL,
    next_at bigint,
    created_at bigint NOT NULL,
    PRIMARY KEY (key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE UNIQUE INDEX crons_by_id ON limpet.crons (tenant_no, id);
CREATE UNIQUE INDEX crons_by_name ON limpet.crons (workflow_key, name, expression);
CREATE INDEX crons_by_time ON limpet.crons (tenant_no, next_at, key, input_bytes) WHERE next_at IS NOT NULL;

CREATE TABLE limpet.schedules (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    workflow_key bigint NOT NULL,
    at bigint NOT NULL,
    input bytea NOT NULL,
    input_bytes integer NOT NULL,
    metadata bytea NOT NULL,
    priority integer,
    parent_run_id text COLLATE "C",
    parent_task_id text COLLATE "C",
    created_at bigint NOT NULL,
    PRIMARY KEY (key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE UNIQUE INDEX schedules_by_id ON limpet.schedules (tenant_no, id);
CREATE INDEX schedules_by_time ON limpet.schedules (tenant_no, at, key, input_bytes);

CREATE TYPE limpet.cron_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    workflow_key bigint,
    name text,
    expression text,
    input bytea,
    input_bytes integer,
    metadata bytea,
    priority integer,
    enabled smallint,
    method smallint,
    next_at bigint,
    created_at bigint
);
CREATE TYPE limpet.schedule_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    workflow_key bigint,
    at bigint,
    input bytea,
    input_bytes integer,
    metadata bytea,
    priority integer,
    parent_run_id text,
    parent_task_id text,
    created_at bigint
);

-- The crons and scheduled runs of a commit; called by the statement that calls `commit_2`, behind its fence. What is
-- dropped goes first, because a name may be taken again in the same commit.
CREATE FUNCTION limpet.commit_timetable_1(
    crons_dropped bigint[],
    crons limpet.cron_1[],
    schedules_dropped bigint[],
    schedules limpet.schedule_1[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM limpet.crons AS c WHERE c.key = ANY (crons_dropped);
    INSERT INTO limpet.crons SELECT * FROM unnest(commit_timetable_1.crons)
    ON CONFLICT (key) DO UPDATE SET
        input = excluded.input, input_bytes = excluded.input_bytes, metadata = excluded.metadata, priority = excluded.priority,
        enabled = excluded.enabled, next_at = excluded.next_at;
    DELETE FROM limpet.schedules AS s WHERE s.key = ANY (schedules_dropped);
    INSERT INTO limpet.schedules SELECT * FROM unnest(commit_timetable_1.schedules)
    ON CONFLICT (key) DO UPDATE SET at = excluded.at;
END $$;
