-- What people read. Pages first find rows, then read what belongs to them, all in one transaction.
-- `{source}` is filled by one of the sources below; the choice depends on what the query names. A row of a source brings all
-- its columns; `OFFSET 0` keeps the order in which a source is written: what is rarest comes first, then its partition.

-- name: runs_page
-- Matching runs without inputs, newest first.
SELECT {run_columns_of_r} FROM {source} WHERE {run_conditions}
ORDER BY r.created_at DESC, r.key DESC LIMIT :limit OFFSET :offset;

-- name: runs_count
-- How many runs match, up to a bound.
SELECT count(*) FROM (SELECT FROM {source} WHERE {run_conditions} LIMIT :count_max) AS found;

-- name: tasks_page
-- Matching tasks without outputs, newest first, each with the birth of its run.
SELECT {task_columns_of_t}, r.created_at FROM {source} WHERE {task_conditions}
ORDER BY t.created_at DESC, t.key DESC LIMIT :limit OFFSET :offset;

-- name: tasks_count
-- How many tasks match, up to a bound.
SELECT count(*) FROM (SELECT FROM {source} WHERE {task_conditions} LIMIT :count_max) AS found;

-- name: status_counts
-- Matching tasks by status.
SELECT t.status, count(*) FROM {source} WHERE {task_conditions} GROUP BY t.status;

-- name: runs_from_age
-- Source: all runs of the tenant, by age.
limpet.runs AS r

-- name: runs_from_parent
-- Source: the children of a task.
limpet.runs AS r

-- name: runs_from_event
-- Source: the runs an event started.
(SELECT * FROM limpet.event_runs WHERE tenant_no = :tenant_no AND event_id = :event_id OFFSET 0) AS e CROSS JOIN LATERAL (
    SELECT * FROM limpet.runs AS one
    WHERE one.day IN ((e.created_at / 86400000000)::integer, 0) AND one.key = e.key OFFSET 0
) AS r

-- name: runs_from_metadata
-- Source: runs the index names, and those that match and are not in the index yet.
({metadata_candidates}) AS m CROSS JOIN LATERAL (
    SELECT * FROM limpet.runs AS one WHERE one.day IN (m.day, 0) AND one.key = m.run_key OFFSET 0
) AS r

-- name: tasks_from_age
-- Source: all tasks of the tenant, by age, each with its run.
limpet.tasks AS t CROSS JOIN LATERAL (
    SELECT * FROM limpet.runs AS one WHERE one.day IN (t.run_day, 0) AND one.key = t.run_key OFFSET 0
) AS r

-- name: tasks_from_parent
-- Source: the tasks of a task's children.
(SELECT * FROM {runs_from_parent} WHERE {conditions_of_both} OFFSET 0) AS r CROSS JOIN LATERAL (
    SELECT * FROM limpet.tasks AS one WHERE (one.day >= r.day OR one.day = 0) AND one.run_key = r.key OFFSET 0
) AS t

-- name: tasks_from_event
-- Source: the tasks of the runs an event started.
{runs_from_event} CROSS JOIN LATERAL (
    SELECT * FROM limpet.tasks AS one WHERE (one.day >= r.day OR one.day = 0) AND one.run_key = r.key OFFSET 0
) AS t

-- name: tasks_from_metadata
-- Source: tasks of the runs the index names, and of those that match and are not in the index yet.
{runs_from_metadata} CROSS JOIN LATERAL (
    SELECT * FROM limpet.tasks AS one WHERE (one.day >= r.day OR one.day = 0) AND one.run_key = r.key OFFSET 0
) AS t

-- name: metadata_candidates
-- Part: runs that have enough of the wanted pairs. The run of a task may be older than the task.
SELECT i.day, i.run_key FROM limpet.run_metadata AS i
WHERE i.tenant_no = :tenant_no AND i.pair = ANY (:pairs) AND (i.day BETWEEN :run_day_first AND :day_last OR i.day = 0)
GROUP BY i.day, i.run_key HAVING count(*) >= :pairs_needed
UNION
SELECT f.day, f.key FROM unnest(:fresh_days::integer[], :fresh_keys::bigint[]) AS f (day, key)

-- name: run_conditions
-- Part: what a query says about runs.
(r.day BETWEEN :day_first AND :day_last OR r.day = 0) AND r.created_at >= :since AND r.created_at < :until
AND (:statuses::integer[] IS NULL OR r.status = ANY (:statuses))
AND (:worker_id::text IS NULL OR EXISTS (
    SELECT FROM limpet.tasks AS t WHERE t.run_key = r.key AND (t.day >= r.day OR t.day = 0)
        AND t.worker_key = (SELECT key FROM limpet.workers WHERE tenant_no = :tenant_no AND id = :worker_id)))
AND {conditions_of_both}

-- name: task_conditions
-- Part: what a query says about tasks.
t.tenant_no = :tenant_no AND (t.day BETWEEN :day_first AND :day_last OR t.day = 0)
AND t.created_at >= :since AND t.created_at < :until
AND (:statuses::integer[] IS NULL OR t.status = ANY (:statuses))
AND (:worker_id::text IS NULL
    OR t.worker_key = (SELECT key FROM limpet.workers WHERE tenant_no = :tenant_no AND id = :worker_id))
AND {conditions_of_both}

-- name: conditions_of_both
-- Part: what a query says about a task's run, or a run itself.
r.tenant_no = :tenant_no AND {not_gone}
AND (:parent_run_id::text IS NULL OR r.parent_run_id = :parent_run_id)
AND (:parent_task_id::text IS NULL OR r.parent_task_id = :parent_task_id)
AND (:finished_since::bigint IS NULL OR r.finished_at >= :finished_since)
AND (:finished_until::bigint IS NULL OR r.finished_at < :finished_until)
AND (:event_id::text IS NULL OR EXISTS (SELECT FROM limpet.event_runs AS o WHERE o.key = r.key AND o.event_id = :event_id))
AND (:held_keys::bytea[] IS NULL OR r.key IN (
    SELECT key FROM limpet.claims WHERE tenant_no = :tenant_no AND name = ANY (:held_keys)))
AND (:workflow_ids::text[] IS NULL OR r.workflow_key IN (
    SELECT key FROM limpet.workflows WHERE tenant_no = :tenant_no AND id = ANY (:workflow_ids)))

-- name: metadata_unindexed
-- Runs behind the index, with their metadata.
SELECT r.key, r.day, r.metadata FROM limpet.runs AS r
WHERE r.key > greatest((SELECT metadata_cursor FROM limpet.tenants WHERE no = :tenant_no), :key_first::bigint - 1)
    AND r.key <= :key_last AND r.metadata <> '{}'::bytea;

-- name: run_by_id
-- A run by its outside id, without its input.
SELECT {run_columns_of_r} FROM limpet.runs AS r
WHERE r.tenant_no = :tenant_no AND r.id = :id AND r.day = ANY (:days) AND {not_gone};

-- name: task_by_id
-- A task by its outside id, without its output, and the birth of its run.
SELECT {task_columns_of_t}, r.created_at FROM {tasks_from_age}
WHERE t.tenant_no = :tenant_no AND t.id = :id AND t.day = ANY (:days) AND {not_gone};

-- name: outputs_by_key
-- Outputs of some tasks.
SELECT key, output FROM limpet.tasks WHERE day = ANY (:days) AND key = ANY (:keys);

-- name: workflows_by_key
-- Some workflows.
SELECT {workflow_columns} FROM limpet.workflows WHERE key = ANY (:keys);

-- name: workers_by_key
-- Some workers of a tenant.
SELECT {worker_columns} FROM limpet.workers WHERE tenant_no = :tenant_no AND key = ANY (:keys);

-- name: versions_of_workflow
-- Every version of a workflow, newest first.
SELECT {version_columns} FROM limpet.versions
WHERE workflow_key = (SELECT key FROM limpet.workflows WHERE tenant_no = :tenant_no AND id = :workflow_id)
ORDER BY number DESC LIMIT :limit;

-- name: events_by_task
-- Timeline events of some tasks, oldest first.
SELECT key, tenant_no, task_key, retry_count, at, type, worker_key, message FROM limpet.events
WHERE tenant_no = :tenant_no AND (day >= :day_first OR day = 0) AND task_key = ANY (:task_keys)
ORDER BY at, key LIMIT :limit;
