-- What people read. Pages first find keys, then read the rows behind them, all in one transaction.
-- `{source}` is filled by one of the sources below; the choice depends on what the query names.

-- name: runs_page
-- Keys of matching runs, newest first.
{source} {run_conditions}
ORDER BY r.created_at DESC, r.key DESC LIMIT :limit OFFSET :offset;

-- name: runs_count
-- How many runs match, up to a bound.
SELECT count(*) FROM ({source} {run_conditions} LIMIT :count_max);

-- name: tasks_page
-- Keys of matching tasks, newest first.
{source} {task_conditions}
ORDER BY t.created_at DESC, t.key DESC LIMIT :limit OFFSET :offset;

-- name: tasks_count
-- How many tasks match, up to a bound.
SELECT count(*) FROM ({source} {task_conditions} LIMIT :count_max);

-- name: status_counts
-- Matching tasks by status.
SELECT status, count(*) FROM ({source} {task_conditions}) GROUP BY status;

-- name: runs_from_age
-- Source: all runs of the tenant, by age.
SELECT r.key FROM runs AS r INDEXED BY runs_by_age WHERE true

-- name: runs_from_parent
-- Source: the children of a task.
SELECT r.key FROM runs AS r INDEXED BY runs_by_parent
WHERE r.tenant_no = :tenant_no AND r.parent_task_id = :parent_task_id

-- name: runs_from_event
-- Source: the runs an event started.
SELECT r.key FROM event_runs AS e INDEXED BY event_runs_by_event_id CROSS JOIN runs AS r ON r.key = e.key
WHERE e.tenant_no = :tenant_no AND e.event_id = :event_id

-- name: runs_from_metadata
-- Source: runs the index names, and all those that are not in the index yet.
SELECT r.key FROM ({metadata_candidates}) AS found CROSS JOIN runs AS r ON r.key = found.run_key WHERE true

-- name: tasks_from_age
-- Source: all tasks of the tenant, by age.
SELECT t.key, t.status FROM tasks AS t INDEXED BY tasks_by_age CROSS JOIN runs AS r ON r.key = t.run_key WHERE true

-- name: tasks_from_parent
-- Source: the tasks of a task's children.
SELECT t.key, t.status FROM runs AS r INDEXED BY runs_by_parent
CROSS JOIN tasks AS t INDEXED BY tasks_by_run ON t.run_key = r.key
WHERE r.tenant_no = :tenant_no AND r.parent_task_id = :parent_task_id

-- name: tasks_from_event
-- Source: the tasks of the runs an event started.
SELECT t.key, t.status FROM event_runs AS e INDEXED BY event_runs_by_event_id
CROSS JOIN runs AS r ON r.key = e.key CROSS JOIN tasks AS t INDEXED BY tasks_by_run ON t.run_key = r.key
WHERE e.tenant_no = :tenant_no AND e.event_id = :event_id

-- name: tasks_from_metadata
-- Source: tasks of the runs the index names, and of all those that are not in the index yet.
SELECT t.key, t.status FROM ({metadata_candidates}) AS found
CROSS JOIN runs AS r ON r.key = found.run_key CROSS JOIN tasks AS t INDEXED BY tasks_by_run ON t.run_key = r.key WHERE true

-- name: metadata_candidates
-- Part: the index holds names and values cut to a length; the conditions look at the metadata itself.
SELECT m.run_key FROM json_each(:indexed_pairs) AS p CROSS JOIN run_metadata AS m
ON m.tenant_no = :tenant_no AND m.name = json_extract(p.value, '$[0]') AND m.value = json_extract(p.value, '$[1]')
UNION
SELECT key FROM runs
WHERE key > max((SELECT metadata_cursor FROM tenants WHERE no = :tenant_no), :key_first - 1) AND key <= :key_last

-- name: run_conditions
-- Part: what a query says about runs.
AND r.tenant_no = :tenant_no AND r.created_at >= :since AND r.created_at < :until
AND (:statuses IS NULL OR r.status IN (SELECT value FROM json_each(:statuses)))
AND (:worker_id IS NULL OR EXISTS (
    SELECT 1 FROM tasks AS t WHERE t.run_key = r.key
        AND t.worker_key = (SELECT key FROM workers WHERE tenant_no = :tenant_no AND id = :worker_id)))
AND {conditions_of_both}

-- name: task_conditions
-- Part: what a query says about tasks.
AND t.tenant_no = :tenant_no AND t.created_at >= :since AND t.created_at < :until
AND (:statuses IS NULL OR t.status IN (SELECT value FROM json_each(:statuses)))
AND (:worker_id IS NULL
    OR t.worker_key = (SELECT key FROM workers WHERE tenant_no = :tenant_no AND id = :worker_id))
AND {conditions_of_both}

-- name: conditions_of_both
-- Part: what a query says about a task's run, or a run itself.
{not_gone}
AND (:workflow_ids IS NULL OR r.workflow_key IN (
    SELECT key FROM workflows WHERE tenant_no = :tenant_no AND id IN (SELECT value FROM json_each(:workflow_ids))))
AND (:parent_run_id IS NULL OR r.parent_run_id = :parent_run_id)
AND (:finished_since IS NULL OR r.finished_at >= :finished_since)
AND (:finished_until IS NULL OR r.finished_at < :finished_until)
AND (:held_keys IS NULL OR r.key IN (
    SELECT key FROM claims WHERE tenant_no = :tenant_no AND name IN (SELECT CAST(value AS BLOB) FROM json_each(:held_keys))))
AND (:event_id IS NULL OR EXISTS (SELECT 1 FROM event_runs AS o WHERE o.key = r.key AND o.event_id = :event_id))
AND (:pairs IS NULL OR metadata_matches(r.metadata, :pairs, :every_pair))

-- name: run_key_by_id
-- A run by its outside id.
SELECT r.key FROM runs AS r WHERE r.tenant_no = :tenant_no AND r.id = :id AND {not_gone};

-- name: task_key_by_id
-- A task by its outside id.
SELECT t.key FROM tasks AS t JOIN runs AS r ON r.key = t.run_key
WHERE t.tenant_no = :tenant_no AND t.id = :id AND {not_gone};

-- name: runs_by_key
-- Rows without inputs.
SELECT {run_columns} FROM runs WHERE key IN (SELECT value FROM json_each(:keys)) ORDER BY key;

-- name: tasks_by_run
-- All tasks of some runs, without outputs.
SELECT {task_columns} FROM tasks WHERE run_key IN (SELECT value FROM json_each(:keys)) ORDER BY run_key, step, key;

-- name: tasks_by_key
-- Rows without outputs.
SELECT {task_columns} FROM tasks WHERE key IN (SELECT value FROM json_each(:keys)) ORDER BY key;

-- name: whole_tasks_by_key
-- Rows with outputs.
SELECT {whole_task_columns} FROM tasks WHERE key IN (SELECT value FROM json_each(:keys)) ORDER BY key;

-- name: inputs_by_key
-- Inputs of some runs.
SELECT key, input FROM runs WHERE key IN (SELECT value FROM json_each(:keys));

-- name: outputs_by_key
-- Outputs of some tasks.
SELECT key, output FROM tasks WHERE key IN (SELECT value FROM json_each(:keys));

-- name: workflows_by_key
-- Some workflows.
SELECT {workflow_columns} FROM workflows WHERE key IN (SELECT value FROM json_each(:keys));

-- name: versions_by_key
-- Some versions.
SELECT {version_columns} FROM versions WHERE key IN (SELECT value FROM json_each(:keys)) ORDER BY key;

-- name: workers_by_key
-- Some workers of a tenant.
SELECT {worker_columns} FROM workers
WHERE tenant_no = :tenant_no AND key IN (SELECT value FROM json_each(:keys));

-- name: versions_of_workflow
-- Every version of a workflow, newest first.
SELECT {version_columns} FROM versions
WHERE workflow_key = (SELECT key FROM workflows WHERE tenant_no = :tenant_no AND id = :workflow_id)
ORDER BY number DESC LIMIT :limit;

-- name: events_by_task
-- Timeline events of some tasks, oldest first.
SELECT key, tenant_no, task_key, retry_count, at, type, worker_key, message FROM events
WHERE tenant_no = :tenant_no AND task_key IN (SELECT value FROM json_each(:keys)) ORDER BY at, key LIMIT :limit;
