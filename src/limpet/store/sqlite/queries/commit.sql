-- The statements of a commit. Their parameters are the columns of the tuple types in `limpet.core.rows`, in order,
-- or the selection of them that `commit.py` names.

-- name: raise_fence
-- The first statement of each commit; the trigger `ownership_commit` raises when it does not fit.
UPDATE ownership SET epoch = ?, seq = ?;

-- name: upsert_workflow
-- A workflow as it stands now.
INSERT INTO workflows (key, id, tenant_no, name, created_at, deleted_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    id = excluded.id, tenant_no = excluded.tenant_no, name = excluded.name,
    created_at = excluded.created_at, deleted_at = excluded.deleted_at;

-- name: insert_version
-- A definition; it never changes.
INSERT INTO versions (key, id, tenant_no, workflow_key, number, checksum, definition, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: upsert_worker
-- A worker as it stands now.
INSERT INTO workers
    (key, id, tenant_no, name, actions, slots, labels, runtime, registered_at, seen_at, paused, lost_at, gone_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    id = excluded.id, tenant_no = excluded.tenant_no, name = excluded.name, actions = excluded.actions,
    slots = excluded.slots, labels = excluded.labels, runtime = excluded.runtime,
    registered_at = excluded.registered_at, seen_at = excluded.seen_at, paused = excluded.paused,
    lost_at = excluded.lost_at, gone_at = excluded.gone_at;

-- name: delete_worker
-- A worker nothing refers to any more.
DELETE FROM workers WHERE key = ?;

-- name: insert_run
-- A run at its birth, with every column.
INSERT INTO runs
    (key, id, tenant_no, workflow_key, version_key, status, input, input_bytes, metadata, priority, sticky,
     desired_worker_id, desired_labels, pin_state, pin_worker_id, pin_task_key, parent_run_id, parent_task_id,
     child_index, child_key, child_ref, request_id, created_at, started_at, finished_at, limit_keys, stage)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_plain_run
-- A run at its birth that has none of the rare columns.
INSERT INTO runs
    (key, id, tenant_no, workflow_key, version_key, status, input, input_bytes, metadata, priority, pin_state,
     request_id, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: update_run
-- What changes in a run after its birth.
UPDATE runs SET
    status = ?, pin_state = ?, pin_worker_id = ?, pin_task_key = ?, started_at = ?, finished_at = ?,
    stage = ?
WHERE key = ?;

-- name: insert_task
-- A task at its birth, with every column.
INSERT INTO tasks
    (key, id, tenant_no, run_key, step, created_at, status, retry_count, app_retries, internal_retries, level,
     class_id, enqueue_key, queued_at, not_before, schedule_deadline, worker_key, assigned_at, execution_deadline,
     slots_released, started_at, finished_at, output, output_bytes, error, stage)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_plain_task
-- A task at its birth that waits or is assigned, and has not ended.
INSERT INTO tasks
    (key, id, tenant_no, run_key, step, created_at, status, retry_count, app_retries, internal_retries, level,
     class_id, enqueue_key, queued_at, schedule_deadline, worker_key, assigned_at, execution_deadline,
     slots_released, output_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: update_task
-- What changes in a task after its birth. An ended task that comes without its output keeps the stored one.
UPDATE tasks SET
    status = ?1, retry_count = ?2, app_retries = ?3, internal_retries = ?4, level = ?5, class_id = ?6,
    enqueue_key = ?7, queued_at = ?8, not_before = ?9, schedule_deadline = ?10, worker_key = ?11, assigned_at = ?12,
    execution_deadline = ?13, slots_released = ?14, started_at = ?15, finished_at = ?16,
    output = CASE WHEN ?17 IS NULL AND ?1 >= 5 THEN output ELSE ?17 END, output_bytes = ?18, error = ?19,
    stage = ?20
WHERE key = ?21;

-- name: insert_receipt
-- The attempts confirmed since the last commit.
INSERT INTO receipts (key, tenant_no, items) VALUES (?, ?, ?);

-- name: delete_receipt
-- Receipts whose tasks have all ended.
DELETE FROM receipts WHERE key = ?;

-- name: insert_event
-- What the columns of a task's row cannot tell.
INSERT INTO events (key, tenant_no, task_key, retry_count, at, type, worker_key, message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: raise_key_floor
-- Keys up to here were used, although their rows are gone.
UPDATE tenants SET key_floor = max(key_floor, ?) WHERE no = ?;
