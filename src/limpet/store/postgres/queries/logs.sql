-- Statements over the log lines.

-- name: insert_log_lines
-- As in LogLine, in the order they came.
INSERT INTO limpet.log_lines (day, tenant_no, task_run_id, retry_count, at, level, message, metadata)
SELECT CASE WHEN l.day IN (SELECT day FROM limpet.log_days) THEN l.day ELSE 0 END,
    l.tenant_no, l.task_run_id, l.retry_count, l.at, l.level, l.message, l.metadata
FROM unnest(
    :days::integer[], :tenant_no::integer[], :task_run_id::text[], :retry_count::integer[], :at::bigint[], :level::text[],
    :message::text[], :metadata::text[]
) WITH ORDINALITY AS l (day, tenant_no, task_run_id, retry_count, at, level, message, metadata, position)
ORDER BY l.position;

-- name: log_lines_forward
-- Lines of a task, oldest first.
{log_lines_of_task} ORDER BY at, number;

-- name: log_lines_backward
-- Lines of a task, newest first.
{log_lines_of_task} ORDER BY at DESC, number DESC;

-- name: log_lines_of_task
-- Part: what a query says about lines.
SELECT tenant_no, task_run_id, retry_count, at, level, message, metadata FROM limpet.log_lines
WHERE day = ANY (:days) AND tenant_no = :tenant_no AND task_run_id = :task_run_id AND at >= :since AND at < :until
AND (:levels::text[] IS NULL OR level = ANY (:levels))
AND (:retry_count::integer IS NULL OR retry_count = :retry_count)
