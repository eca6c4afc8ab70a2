-- What every table is for:
--
--   days           the days that have partitions; day 0 always has one, for rows whose own day has none (see below)
--   leases         one row for each group of tenants: who may write (epoch, owner), how often was written (seq), until when
--   servers        the engines that work on this database, for people and for a take-over
--   backends       their commit connections, by process id and start time, so that a take-over can end those in its way
--   retention      one row: finished runs that ended before it are gone for every reader, also while their rows wait
--   tenants        who the rows belong to; `group_no` is the lease they are under, `key_floor` the largest row key that was
--                  ever deleted, so that no key returns, and `metadata_cursor` the last run whose metadata is in the index
--   tokens         what is known of API tokens, never the tokens themselves
--   workflows      names of workflows
--   versions       what was registered under these names
--   workers        registrations of worker processes
--   runs           one row for each workflow run, from birth to end
--   tasks          one row for each task run, from birth to end; its columns are its usual timeline
--   events         what happened to a task beyond its usual timeline
--   run_metadata   the index behind metadata filters, filled after the commits: digests of (name, value) pairs
--   open_runs      the runs that have not ended, so that a load finds them; no index stands over a column that changes
--   run_names      texts that name one run of a tenant, whatever its day: "c<child_ref>" and "r<request_id>"
--   receipts       which attempts their workers have confirmed: one row for each commit that brought some
--   quarantine     inputs that could not be processed, for the operator
--
-- Laws:
-- 1. Keys are made by the engine and carry the tenant in their high bits. Instants are microseconds. Columns stand in the
--    order of the tuple types in `limpet.core.rows`. There are no foreign keys: `limpet db check` tests all references.
-- 2. runs, tasks, events and run_metadata are partitioned by the day of birth, counted from 1970-01-01 UTC. A row whose day
--    has no partition is kept in day 0; so a commit never fails for want of a partition, and what outlives its day moves
--    there. Whoever looks for a row of day D looks in D and in 0. Every partition has the same indexes, made with it.
--    A task knows the day of its run (`run_day`), which may be an older one.
-- 3. Every write to a tenant's rows is fenced by the lease of the tenant's group, except the metadata index.
-- 4. What the code calls is versioned (`commit_1`): a later step adds `commit_2` and leaves this one to the release that
--    still serves.

CREATE TABLE limpet.days (day integer PRIMARY KEY);

CREATE TABLE limpet.leases (
    group_no integer NOT NULL,
    shard_no integer NOT NULL DEFAULT 0,
    owner_id text COLLATE "C",
    epoch bigint NOT NULL DEFAULT 0,
    seq bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    address text COLLATE "C" NOT NULL DEFAULT '',
    released boolean NOT NULL DEFAULT true,
    state_version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (group_no, shard_no)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

INSERT INTO limpet.leases (group_no) SELECT generate_series(0, 63);

CREATE TABLE limpet.servers (
    id text COLLATE "C" PRIMARY KEY,
    address text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    release text COLLATE "C" NOT NULL
);

CREATE TABLE limpet.backends (
    server_id text COLLATE "C" NOT NULL,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (server_id, pid, started_at)
);

CREATE TABLE limpet.retention (single integer PRIMARY KEY CHECK (single = 1), gone_before bigint NOT NULL);

INSERT INTO limpet.retention (single, gone_before) VALUES (1, 0);

CREATE TABLE limpet.tenants (
    no integer PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    name text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    group_no integer NOT NULL,
    key_floor bigint NOT NULL DEFAULT 0,
    metadata_cursor bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE TABLE limpet.tokens (
    id text COLLATE "C" PRIMARY KEY,
    tenant_no integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint,
    last_used_at bigint
);

CREATE TABLE limpet.workflows (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    deleted_at bigint,
    PRIMARY KEY (key)
);

CREATE UNIQUE INDEX workflows_by_id ON limpet.workflows (tenant_no, id);

CREATE TABLE limpet.versions (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    workflow_key bigint NOT NULL,
    number integer NOT NULL,
    checksum bytea NOT NULL,
    definition bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (key)
);

CREATE UNIQUE INDEX versions_by_id ON limpet.versions (tenant_no, id);
CREATE UNIQUE INDEX versions_by_number ON limpet.versions (workflow_key, number);

CREATE TABLE limpet.workers (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    actions bytea NOT NULL,
    slots bytea NOT NULL,
    labels bytea NOT NULL,
    runtime bytea NOT NULL,
    registered_at bigint NOT NULL,
    seen_at bigint,
    paused smallint NOT NULL,
    lost_at bigint,
    gone_at bigint,
    PRIMARY KEY (key)
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX workers_by_id ON limpet.workers (tenant_no, id);

CREATE TABLE limpet.runs (
    day integer NOT NULL,
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    workflow_key bigint NOT NULL,
    version_key bigint NOT NULL,
    status smallint NOT NULL,
    input bytea NOT NULL,
    input_bytes integer NOT NULL,
    metadata bytea NOT NULL,
    priority integer NOT NULL,
    sticky smallint,
    desired_worker_id text COLLATE "C",
    desired_labels bytea,
    pin_state smallint NOT NULL,
    pin_worker_id text COLLATE "C",
    pin_task_key bigint,
    parent_run_id text COLLATE "C",
    parent_task_id text COLLATE "C",
    child_index bigint,
    child_key text COLLATE "C",
    child_ref text COLLATE "C",
    request_id text COLLATE "C",
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint
) PARTITION BY RANGE (day);

CREATE TABLE limpet.tasks (
    day integer NOT NULL,
    run_day integer NOT NULL,
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    run_key bigint NOT NULL,
    step integer NOT NULL,
    created_at bigint NOT NULL,
    status smallint NOT NULL,
    retry_count integer NOT NULL,
    app_retries integer NOT NULL,
    internal_retries integer NOT NULL,
    level integer NOT NULL,
    class_id bigint NOT NULL,
    enqueue_key bigint NOT NULL,
    queued_at bigint NOT NULL,
    not_before bigint,
    schedule_deadline bigint,
    worker_key bigint,
    assigned_at bigint,
    execution_deadline bigint,
    slots_released smallint NOT NULL,
    started_at bigint,
    finished_at bigint,
    output bytea,
    output_bytes integer NOT NULL,
    error text COLLATE "C"
) PARTITION BY RANGE (day);

CREATE TABLE limpet.events (
    day integer NOT NULL,
    key bigint NOT NULL,
    tenant_no integer NOT NULL,
    task_key bigint NOT NULL,
    retry_count integer NOT NULL,
    at bigint NOT NULL,
    type smallint NOT NULL,
    worker_key bigint,
    message text COLLATE "C" NOT NULL
) PARTITION BY RANGE (day);

CREATE TABLE limpet.run_metadata (
    day integer NOT NULL,
    tenant_no integer NOT NULL,
    pair bytea NOT NULL,
    run_key bigint NOT NULL
) PARTITION BY RANGE (day);

CREATE TABLE limpet.open_runs (key bigint PRIMARY KEY, day integer NOT NULL)
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE limpet.run_names (
    tenant_no integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    run_key bigint NOT NULL,
    day integer NOT NULL,
    PRIMARY KEY (tenant_no, name)
);

CREATE INDEX run_names_by_day ON limpet.run_names (day);

CREATE TABLE limpet.receipts (
    key bigint NOT NULL,
    tenant_no integer NOT NULL,
    items bytea NOT NULL,
    PRIMARY KEY (key)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE SEQUENCE limpet.quarantine_number;

CREATE TABLE limpet.quarantine (
    number bigint PRIMARY KEY DEFAULT nextval('limpet.quarantine_number'),
    tenant_no integer NOT NULL,
    at bigint NOT NULL,
    reason text NOT NULL,
    content text NOT NULL
);

-- A partition is made beside its table and attached when it is complete: that needs no lock that a commit waits for.
CREATE FUNCTION limpet.add_part_1(whole text, wanted integer, settings text, indexes text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    part text := whole || '_d' || wanted;
    columns_of_index text;
BEGIN
    EXECUTE format('CREATE TABLE limpet.%I (LIKE limpet.%I INCLUDING DEFAULTS INCLUDING STORAGE) WITH (%s)', part, whole, settings);
    FOREACH columns_of_index IN ARRAY indexes LOOP
        EXECUTE format(columns_of_index, part);
    END LOOP;
    EXECUTE format('ALTER TABLE limpet.%I ATTACH PARTITION limpet.%I FOR VALUES FROM (%s) TO (%s)', whole, part, wanted, wanted + 1);
END $$;

-- The partitions of a day; false when it has them already. Two servers at once: the second waits, then finds them.
CREATE FUNCTION limpet.add_day_1(wanted integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO limpet.days (day) VALUES (wanted) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM limpet.add_part_1('runs', wanted, 'fillfactor = 50, autovacuum_vacuum_insert_scale_factor = 0.5', ARRAY[
        'CREATE UNIQUE INDEX %1$s_by_key ON limpet.%1$I (key)',
        'CREATE UNIQUE INDEX %1$s_by_id ON limpet.%1$I (tenant_no, id)',
        'CREATE INDEX %1$s_by_age ON limpet.%1$I (tenant_no, created_at, key)',
        'CREATE INDEX %1$s_by_parent ON limpet.%1$I (tenant_no, parent_task_id) WHERE parent_task_id IS NOT NULL']);
    PERFORM limpet.add_part_1('tasks', wanted, 'fillfactor = 50, autovacuum_vacuum_insert_scale_factor = 0.5', ARRAY[
        'CREATE UNIQUE INDEX %1$s_by_key ON limpet.%1$I (key)',
        'CREATE UNIQUE INDEX %1$s_by_id ON limpet.%1$I (tenant_no, id)',
        'CREATE INDEX %1$s_by_run ON limpet.%1$I (run_key)',
        'CREATE INDEX %1$s_by_age ON limpet.%1$I (tenant_no, created_at, key)']);
    PERFORM limpet.add_part_1('events', wanted, 'fillfactor = 100', ARRAY[
        'CREATE UNIQUE INDEX %1$s_by_key ON limpet.%1$I (key)',
        'CREATE INDEX %1$s_by_task ON limpet.%1$I (task_key)']);
    PERFORM limpet.add_part_1('run_metadata', wanted, 'fillfactor = 100', ARRAY[
        'CREATE UNIQUE INDEX %1$s_by_pair ON limpet.%1$I (tenant_no, pair, run_key)',
        'CREATE INDEX %1$s_by_run ON limpet.%1$I (run_key)']);
    RETURN true;
END $$;

SELECT limpet.add_day_1(0);

CREATE TYPE limpet.fence_1 AS (group_no integer, epoch bigint, seq bigint);
CREATE TYPE limpet.entry_1 AS (run_key bigint, pair bytea);
CREATE TYPE limpet.name_1 AS (tenant_no integer, name text);
CREATE TYPE limpet.key_floor_1 AS (tenant_no integer, key bigint);
CREATE TYPE limpet.workflow_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    name text,
    created_at bigint,
    deleted_at bigint
);
CREATE TYPE limpet.version_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    workflow_key bigint,
    number integer,
    checksum bytea,
    definition bytea,
    created_at bigint
);
CREATE TYPE limpet.worker_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    name text,
    actions bytea,
    slots bytea,
    labels bytea,
    runtime bytea,
    registered_at bigint,
    seen_at bigint,
    paused smallint,
    lost_at bigint,
    gone_at bigint
);
CREATE TYPE limpet.run_1 AS (
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
    finished_at bigint
);
CREATE TYPE limpet.task_1 AS (
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
    error text
);
CREATE TYPE limpet.receipt_1 AS (
    key bigint,
    tenant_no integer,
    items bytea
);
CREATE TYPE limpet.event_1 AS (
    key bigint,
    tenant_no integer,
    task_key bigint,
    retry_count integer,
    at bigint,
    type smallint,
    worker_key bigint,
    message text
);

-- The day a row of this birth lives in.
CREATE FUNCTION limpet.home_1(born_at bigint, known integer[]) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN born_at / 86400000000 = ANY (known) THEN (born_at / 86400000000)::integer ELSE 0 END
$$;

-- The fence (R12): raises LIM01 unless every lease stands at the given epoch, one commit before. `lease_us`: how long the
-- ownership lasts from now on.
CREATE FUNCTION limpet.raise_fences_1(fences limpet.fence_1[], lease_us bigint) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    raised integer;
BEGIN
    UPDATE limpet.leases AS l SET seq = f.seq, expires_at = clock_timestamp() + lease_us * interval '1 microsecond'
    FROM unnest(fences) AS f
    WHERE l.group_no = f.group_no AND l.shard_no = 0 AND l.epoch = f.epoch AND l.seq = f.seq - 1 AND NOT l.released;
    GET DIAGNOSTICS raised = ROW_COUNT;
    IF raised <> cardinality(fences) THEN
        RAISE EXCEPTION USING ERRCODE = 'LIM01', MESSAGE = coalesce((
            SELECT 'The store stands at ' || string_agg(
                format('commit %s of epoch %s in group %s%s', l.seq, l.epoch, l.group_no,
                    CASE WHEN l.released THEN ', which is given up' ELSE '' END), '; ' ORDER BY l.group_no)
            FROM unnest(fences) AS f JOIN limpet.leases AS l ON l.group_no = f.group_no AND l.shard_no = 0
            WHERE l.epoch <> f.epoch OR l.seq <> f.seq OR l.released), 'The store has this commit already');
    END IF;
END $$;

-- One commit. Lists are in the order of `limpet.core.decision.Changes`. The settings make every plan the same, whatever the
-- statistics say: rows to change are found by `key = ANY (...)`, their new values by hash. Returns how many new runs and
-- tasks found no partition of their day.
CREATE FUNCTION limpet.commit_1(
    fences limpet.fence_1[],
    lease_us bigint,
    workflows limpet.workflow_1[],
    versions limpet.version_1[],
    workers limpet.worker_1[],
    workers_forgotten bigint[],
    runs_opened limpet.run_1[],
    runs_changed limpet.run_1[],
    tasks_opened limpet.task_1[],
    tasks_changed limpet.task_1[],
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
        INSERT INTO limpet.workflows SELECT * FROM unnest(commit_1.workflows)
        ON CONFLICT (key) DO UPDATE SET
            id = excluded.id, tenant_no = excluded.tenant_no, name = excluded.name, created_at = excluded.created_at,
            deleted_at = excluded.deleted_at;
    END IF;
    IF cardinality(versions) > 0 THEN
        INSERT INTO limpet.versions SELECT * FROM unnest(commit_1.versions);
    END IF;
    IF cardinality(workers) > 0 THEN
        INSERT INTO limpet.workers SELECT * FROM unnest(commit_1.workers)
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
            pin_task_key = c.pin_task_key, started_at = c.started_at, finished_at = c.finished_at
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
            output_bytes = c.output_bytes, error = c.error
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
        INSERT INTO limpet.receipts SELECT * FROM unnest(commit_1.receipts);
    END IF;
    IF cardinality(receipts_folded) > 0 THEN
        DELETE FROM limpet.receipts AS r WHERE r.key = ANY (receipts_folded);
    END IF;
    IF cardinality(events) > 0 THEN
        INSERT INTO limpet.events SELECT limpet.home_1(e.at, known), e.* FROM unnest(commit_1.events) AS e;
    END IF;
    IF cardinality(key_floors) > 0 THEN
        UPDATE limpet.tenants AS t SET key_floor = greatest(t.key_floor, f.key)
        FROM unnest(key_floors) AS f WHERE t.no = f.tenant_no;
    END IF;
    RETURN homeless;
END $$;

-- Become the owner of every group (R16a): waits behind the former owner's commit, raises LIM02 while its lease runs.
CREATE FUNCTION limpet.claim_1(server text, address text, lease_us bigint) RETURNS SETOF limpet.fence_1 LANGUAGE plpgsql AS $$
BEGIN
    FOR attempt IN 1..2 LOOP
        IF EXISTS (
            SELECT FROM limpet.leases AS l
            WHERE NOT l.released AND l.expires_at > clock_timestamp() AND l.owner_id IS DISTINCT FROM server) THEN
            RAISE EXCEPTION USING ERRCODE = 'LIM02', MESSAGE = 'the lease of another server runs';
        END IF;
        PERFORM FROM limpet.leases AS l ORDER BY l.group_no, l.shard_no FOR NO KEY UPDATE;
    END LOOP;
    RETURN QUERY
    UPDATE limpet.leases AS l SET owner_id = server, address = claim_1.address, epoch = l.epoch + 1, released = false,
        expires_at = clock_timestamp() + lease_us * interval '1 microsecond'
    RETURNING l.group_no, l.epoch, l.seq;
END $$;

-- Prolong leases without a commit (R12); raises LIM01 when one of them is not held any more.
CREATE FUNCTION limpet.renew_1(fences limpet.fence_1[], lease_us bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    renewed integer;
BEGIN
    UPDATE limpet.leases AS l SET expires_at = clock_timestamp() + lease_us * interval '1 microsecond'
    FROM unnest(fences) AS f WHERE l.group_no = f.group_no AND l.shard_no = 0 AND l.epoch = f.epoch AND NOT l.released;
    GET DIAGNOSTICS renewed = ROW_COUNT;
    IF renewed <> cardinality(fences) THEN
        RAISE EXCEPTION USING ERRCODE = 'LIM01', MESSAGE = format(
            '%s of %s leases are not held any more', cardinality(fences) - renewed, cardinality(fences));
    END IF;
END $$;

-- Hold the leases of an owner for the rest of the transaction; raises LIM01 when one is not held any more (R13, R19).
CREATE FUNCTION limpet.hold_1(fences limpet.fence_1[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held integer;
BEGIN
    PERFORM FROM limpet.leases AS l WHERE l.shard_no = 0 AND NOT l.released
        AND (l.group_no, l.epoch) IN (SELECT f.group_no, f.epoch FROM unnest(fences) AS f)
    ORDER BY l.group_no FOR SHARE OF l;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(fences) OR held = 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'LIM01', MESSAGE = 'the leases are not held any more';
    END IF;
END $$;

-- A new tenant gets the next number; a known id changes nothing. The row of `retention` is the queue for those who create.
CREATE FUNCTION limpet.create_tenant_1(id text, name text, created_at bigint, group_no integer) RETURNS SETOF limpet.tenants
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM limpet.retention FOR UPDATE;
    INSERT INTO limpet.tenants (no, id, name, created_at, group_no)
    SELECT coalesce(max(t.no), 0) + 1, create_tenant_1.id, create_tenant_1.name, create_tenant_1.created_at,
        create_tenant_1.group_no
    FROM limpet.tenants AS t
    ON CONFLICT ON CONSTRAINT tenants_id_key DO NOTHING;
    RETURN QUERY SELECT * FROM limpet.tenants AS t WHERE t.id = create_tenant_1.id;
END $$;
