-- Parts of other statements, named there in braces.

-- name: workflow_columns
-- As in WorkflowRow.
key, id, tenant_no, name, created_at, deleted_at

-- name: version_columns
-- As in VersionRow.
key, id, tenant_no, workflow_key, number, checksum, definition, created_at

-- name: worker_columns
-- As in WorkerRow.
key, id, tenant_no, name, actions, slots, labels, runtime, registered_at, seen_at, paused, lost_at, gone_at

-- name: run_columns
-- As in RunRow, without the input, which may be large.
key, id, tenant_no, workflow_key, version_key, status, NULL::bytea AS input, input_bytes, metadata, priority, sticky,
desired_worker_id, desired_labels, pin_state, pin_worker_id, pin_task_key, parent_run_id, parent_task_id,
child_index, child_key, child_ref, request_id, created_at, started_at, finished_at, limit_keys, stage

-- name: task_columns
-- As in TaskRow, without the output, which may be large.
key, id, tenant_no, run_key, step, created_at, status, retry_count, app_retries, internal_retries, level, class_id,
enqueue_key, queued_at, not_before, schedule_deadline, worker_key, assigned_at, execution_deadline, slots_released,
started_at, finished_at, NULL::bytea AS output, output_bytes, error, stage

-- name: whole_task_columns
-- As in TaskRow, with the output.
key, id, tenant_no, run_key, step, created_at, status, retry_count, app_retries, internal_retries, level, class_id,
enqueue_key, queued_at, not_before, schedule_deadline, worker_key, assigned_at, execution_deadline, slots_released,
started_at, finished_at, output, output_bytes, error, stage

-- name: run_columns_of_r
-- As in `run_columns`, of the runs called r.
r.key, r.id, r.tenant_no, r.workflow_key, r.version_key, r.status, NULL::bytea AS input, r.input_bytes, r.metadata,
r.priority, r.sticky, r.desired_worker_id, r.desired_labels, r.pin_state, r.pin_worker_id, r.pin_task_key,
r.parent_run_id, r.parent_task_id, r.child_index, r.child_key, r.child_ref, r.request_id, r.created_at, r.started_at,
r.finished_at, r.limit_keys, r.stage

-- name: task_columns_of_t
-- As in `task_columns`, of the tasks called t.
t.key, t.id, t.tenant_no, t.run_key, t.step, t.created_at, t.status, t.retry_count, t.app_retries,
t.internal_retries, t.level, t.class_id, t.enqueue_key, t.queued_at, t.not_before, t.schedule_deadline, t.worker_key,
t.assigned_at, t.execution_deadline, t.slots_released, t.started_at, t.finished_at, NULL::bytea AS output,
t.output_bytes, t.error, t.stage

-- name: not_gone
-- A finished run past its retention is gone for everybody (R50).
(r.finished_at IS NULL OR r.finished_at >= (SELECT gone_before FROM limpet.retention))
