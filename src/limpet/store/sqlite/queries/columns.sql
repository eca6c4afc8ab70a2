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
key, id, tenant_no, workflow_key, version_key, status, NULL AS input, input_bytes, metadata, priority, sticky,
desired_worker_id, desired_labels, pin_state, pin_worker_id, pin_task_key, parent_run_id, parent_task_id,
child_index, child_key, child_ref, request_id, created_at, started_at, finished_at, limit_keys, stage

-- name: task_columns
-- As in TaskRow, without the output, which may be large.
key, id, tenant_no, run_key, step, created_at, status, retry_count, app_retries, internal_retries, level, class_id,
enqueue_key, queued_at, not_before, schedule_deadline, worker_key, assigned_at, execution_deadline, slots_released,
started_at, finished_at, NULL AS output, output_bytes, error, stage

-- name: whole_task_columns
-- As in TaskRow, with the output.
key, id, tenant_no, run_key, step, created_at, status, retry_count, app_retries, internal_retries, level, class_id,
enqueue_key, queued_at, not_before, schedule_deadline, worker_key, assigned_at, execution_deadline, slots_released,
started_at, finished_at, output, output_bytes, error, stage

-- name: not_gone
-- A finished run past its retention is gone for everybody (R50).
(r.finished_at IS NULL OR r.finished_at >= (SELECT gone_before FROM retention))
