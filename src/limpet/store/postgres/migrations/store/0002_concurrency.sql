-- serves: 0002
-- Concurrency limits: the keys of a run, and how far it and its tasks have passed the gates. The columns are empty for most
-- rows, so old rows need no change, and a server of the release before that is at work goes on with `commit_1` until it is
-- replaced. It must not start again: it would let runs pass their limits.

ALTER TABLE limpet.runs ADD COLUMN limit_keys bytea;
ALTER TABLE limpet.runs ADD COLUMN stage smallint;
ALTER TABLE limpet.tasks ADD COLUMN stage smallint;

CREATE TYPE limpet.run_2 AS (
    key bigint,
    id text,
    tenant_no integer,
    workflow_key bigint,
    version_key bigint,
    status smallint,
    input bytea,
    input_bytes integer,
    metadata bytea,
    priority integer,
    sticky smallint,
    desired_worker_id text,
    desired_labels bytea,
    pin_state smallint,
    pin_worker_id text,
    pin_task_key bigint,
    parent_run_id text,
    parent_task_id text,
    child_index bigint,
    child_key text,
    child_ref text,
    request_id text,
    created_at bigint,
    started_at bigint,
    finished_at bigint,
    limit_keys bytea,
    stage smallint
);
CREATE TYPE limpet.task_2 AS (
    key bigint,
    id text,
    tenant_no integer,
    run_key bigint,
    step integer,
    created_at bigint,
    status smallint,
    retry_count integer,
    app_retries integer,
    internal_retries integer,
    level integer,
    class_id bigint,
    enqueue_key bigint,
    queued_at bigint,
    not_before bigint,
    schedule_deadline bigint,
    worker_key bigint,
    assigned_at bigint,
    execution_deadline bigint,
    slots_released smallint,
    started_at bigint,
    finished_at bigint,
    output bytea,
    output_bytes integer,
    error text,
    stage smallint
);

-- As `commit_1`, with the new columns.
CREATE FUNCTION limpet.commit_2(
    fences limpet.fence_1[],
    lease_us bigint,
    workflows limpet.workflow_1[],
    versions limpet.version_1[],
    workers limpet.worker_1[],
    workers_forgotten bigint[],
    runs_opened limpet.run_2[],
    runs_changed limpet.run_2[],
    tasks_opened limpet.task_2[],
    tasks_changed limpet.task_2[],
    receipts limpet.receipt_1[],
    receipts_folded bigint[],
    events limpet.event_1[],
    key_floors limpet.key_floor_1[]
) RETURNS integer LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_nestloop = off SET enable_mergejoin = off SET enable_seqscan = off
SET jit = off AS $$
DECLARE
    known integer[];
    home integer;
    touched integer;
    total integer;
    homeless integer := 0;
BEGIN
    PERFORM limpet.raise_fences_1(fences, lease_us);
    known := ARRAY(SELECT d.day FROM limpet.days AS d);

    IF cardinality(workflows) > 0 THEN
        INSERT INTO limpet.workflows SELECT * FROM unnest(commit_2.workflows)
        ON CONFLICT (key) DO UPDATE SET
            id = excluded.id, tenant_no = excluded.tenant_no, name = excluded.name, created_at = excluded.created_at,
            deleted_at = excluded.deleted_at;
    END IF;
    IF cardinality(versions) > 0 THEN
        INSERT INTO limpet.versions SELECT * FROM unnest(commit_2.versions);
    END IF;
    IF cardinality(workers) > 0 THEN
        INSERT INTO limpet.workers SELECT * FROM unnest(commit_2.workers)
        ON CONFLICT (key) DO UPDATE SET
            id = excluded.id, tenant_no = excluded.tenant_no, name = excluded.name, actions = excluded.actions,
            slots = excluded.slots, labels = excluded.labels, runtime = excluded.runtime,
            registered_at = excluded.registered_at, seen_at = excluded.seen_at, paused = excluded.paused,
            lost_at = excluded.lost_at, gone_at = excluded.gone_at;
    END IF;
    IF cardinality(workers_forgotten) > 0 THEN
        DELETE FROM limpet.workers AS w WHERE w.key = ANY (workers_forgotten);
    END IF;

    IF cardinality(runs_opened) > 0 THEN
        INSERT INTO limpet.runs SELECT limpet.home_1(r.created_at, known), r.* FROM unnest(runs_opened) AS r;
        INSERT INTO limpet.open_runs
        SELECT r.key, limpet.home_1(r.created_at, known) FROM unnest(runs_opened) AS r WHERE r.status < 2;
        SELECT coalesce(sum(num_nonnulls(r.child_ref, r.request_id)), 0),
            count(*) FILTER (WHERE limpet.home_1(r.created_at, known) = 0)
        INTO total, touched FROM unnest(runs_opened) AS r;
        homeless := homeless + touched;
        IF total > 0 THEN
            -- A name of a run that is gone for every reader is free, also while its row waits.
            INSERT INTO limpet.run_names AS n
            SELECT r.tenant_no, x.name, r.key, limpet.home_1(r.created_at, known) FROM unnest(runs_opened) AS r
            CROSS JOIN LATERAL (VALUES ('c' || r.child_ref), ('r' || r.request_id)) AS x (name) WHERE x.name IS NOT NULL
            ON CONFLICT (tenant_no, name) DO UPDATE SET run_key = excluded.run_key, day = excluded.day
            WHERE NOT EXISTS (
                SELECT FROM limpet.runs AS r WHERE r.day IN (n.day, 0) AND r.key = n.run_key
                    AND (r.finished_at IS NULL OR r.finished_at >= (SELECT g.gone_before FROM limpet.retention AS g)));
            GET DIAGNOSTICS touched = ROW_COUNT;
            IF touched <> total THEN
                RAISE unique_violation USING MESSAGE = 'a child_ref or request_id of a new run is taken';
            END IF;
        END IF;
    END IF;

    IF cardinality(runs_changed) > 0 THEN
        total := 0;
        FOREACH home IN ARRAY ARRAY(SELECT DISTINCT limpet.home_1(r.created_at, known) FROM unnest(runs_changed) AS r) || 0 LOOP
            CONTINUE WHEN total = cardinality(runs_changed);
            UPDATE limpet.runs AS t SET
            status = c.status, pin_state = c.pin_state, pin_worker_id = c.pin_worker_id,
            pin_task_key = c.pin_task_key, started_at = c.started_at, finished_at = c.finished_at, stage = c.stage
            FROM unnest(runs_changed) AS c
            WHERE t.day = home AND t.key = ANY (ARRAY(SELECT r.key FROM unnest(runs_changed) AS r)) AND t.key = c.key;
            GET DIAGNOSTICS touched = ROW_COUNT;
            total := total + touched;
        END LOOP;
        IF total < cardinality(runs_changed) THEN
            RAISE no_data_found USING MESSAGE = format(
                '%s of %s run rows to change are not in the store', cardinality(runs_changed) - total, cardinality(runs_changed));
        END IF;
        DELETE FROM limpet.open_runs AS o
        WHERE o.key = ANY (ARRAY(SELECT r.key FROM unnest(runs_changed) AS r WHERE r.status >= 2));
        INSERT INTO limpet.open_runs
        SELECT r.key, limpet.home_1(r.created_at, known) FROM unnest(runs_changed) AS r WHERE r.status < 2
        ON CONFLICT DO NOTHING;
    END IF;

    IF cardinality(tasks_opened) > 0 THEN
        INSERT INTO limpet.tasks
        SELECT limpet.home_1(r.created_at, known),
            coalesce((SELECT o.day FROM limpet.open_runs AS o WHERE o.key = r.run_key), limpet.home_1(r.created_at, known)), r.*
        FROM unnest(tasks_opened) AS r;
        SELECT count(*) INTO touched FROM unnest(tasks_opened) AS r WHERE limpet.home_1(r.created_at, known) = 0;
        homeless := homeless + touched;
    END IF;

    IF cardinality(tasks_changed) > 0 THEN
        total := 0;
        FOREACH home IN ARRAY ARRAY(SELECT DISTINCT limpet.home_1(r.created_at, known) FROM unnest(tasks_changed) AS r) || 0 LOOP
            CONTINUE WHEN total = cardinality(tasks_changed);
            UPDATE limpet.tasks AS t SET
            status = c.status, retry_count = c.retry_count, app_retries = c.app_retries,
            internal_retries = c.internal_retries, level = c.level, class_id = c.class_id,
            enqueue_key = c.enqueue_key, queued_at = c.queued_at, not_before = c.not_before,
            schedule_deadline = c.schedule_deadline, worker_key = c.worker_key, assigned_at = c.assigned_at,
            execution_deadline = c.execution_deadline, slots_released = c.slots_released, started_at = c.started_at,
            finished_at = c.finished_at,
            output = CASE WHEN c.output IS NULL AND c.status >= 5 THEN t.output ELSE c.output END,
            output_bytes = c.output_bytes, error = c.error, stage = c.stage
            FROM unnest(tasks_changed) AS c
            WHERE t.day = home AND t.key = ANY (ARRAY(SELECT r.key FROM unnest(tasks_changed) AS r)) AND t.key = c.key;
            GET DIAGNOSTICS touched = ROW_COUNT;
            total := total + touched;
        END LOOP;
        IF total < cardinality(tasks_changed) THEN
            RAISE no_data_found USING MESSAGE = format(
                '%s of %s task rows to change are not in the store', cardinality(tasks_changed) - total, cardinality(tasks_changed));
        END IF;
    END IF;

    IF cardinality(receipts) > 0 THEN
        INSERT INTO limpet.receipts SELECT * FROM unnest(commit_2.receipts);
    END IF;
    IF cardinality(receipts_folded) > 0 THEN
        DELETE FROM limpet.receipts AS r WHERE r.key = ANY (receipts_folded);
    END IF;
    IF cardinality(events) > 0 THEN
        INSERT INTO limpet.events SELECT limpet.home_1(e.at, known), e.* FROM unnest(commit_2.events) AS e;
    END IF;
    IF cardinality(key_floors) > 0 THEN
        UPDATE limpet.tenants AS t SET key_floor = greatest(t.key_floor, f.key)
        FROM unnest(key_floors) AS f WHERE t.no = f.tenant_no;
    END IF;
    RETURN homeless;
END $$;
