-- Statements over the logs' own file.

-- name: insert_log_line
-- As in LogLine.
INSERT INTO log_lines (tenant_no, task_run_id, retry_count, at, level, message, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: log_lines_forward
-- Lines of a task, oldest first.
{log_lines_of_task} ORDER BY at, number LIMIT :limit;

-- name: log_lines_backward
-- Lines of a task, newest first.
{log_lines_of_task} ORDER BY at DESC, number DESC LIMIT :limit;

-- name: log_lines_of_task
-- Part: what a query says about lines.
SELECT tenant_no, task_run_id, retry_count, at, level, message, metadata FROM log_lines
WHERE tenant_no = :tenant_no AND task_run_id = :task_run_id AND at >= :since AND at < :until
AND (:levels IS NULL OR level IN (SELECT value FROM json_each(:levels)))
AND (:retry_count IS NULL OR retry_count = :retry_count)
AND (:search IS NULL OR contains_text(message, :search))

-- name: log_numbers_of_task
-- Lines of a task that is forgotten.
SELECT number FROM log_lines WHERE tenant_no = :tenant_no AND task_run_id = :task_run_id LIMIT :limit;

-- name: delete_log_line
-- By number.
DELETE FROM log_lines WHERE number = ?;
